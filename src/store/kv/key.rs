//! The keys of the store, and their bytes. Numbers are stable: stores of earlier versions are opened for ever.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::core::{
    declared::{Binding, Destination, PolicyKind},
    placement::QueueId,
};
use crate::protocol::{FieldTable, ShortString};

/// What a key is of: its first octet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum KeyKind {
    /// See [`Key::Sum`].
    Sum = 0,
    /// See [`Key::Meta`].
    Meta = 1,
    /// See [`Key::Queue`].
    Queue = 2,
    /// See [`Key::Block`].
    Block = 3,
    /// See [`Key::ExchangeDeclared`].
    ExchangeDeclared = 4,
    /// See [`Key::QueueDeclared`].
    QueueDeclared = 5,
    /// See [`Key::Bound`].
    Bound = 6,
    /// See [`Key::PolicySet`].
    PolicySet = 7,
    /// See [`Key::VhostSet`].
    VhostSet = 8,
    /// See [`Key::UserSet`].
    UserSet = 9,
    /// See [`Key::PermissionsSet`].
    PermissionsSet = 10,
    /// See [`Key::TopicPermissionsSet`].
    TopicPermissionsSet = 11,
    /// See [`Key::GlobalParameterSet`].
    GlobalParameterSet = 12,
    /// See [`Key::ParameterSet`].
    ParameterSet = 13,
    /// See [`Key::UsersSetUp`].
    UsersSetUp = 14,
}

/// A key. Numbers are big endian, so that they sort; a name has its length in an octet before it.
#[derive(Debug, Clone, Copy)]
pub enum Key<'a> {
    /// `0`: a sum over all other keys and their values, kept by the store itself.
    Sum,
    /// `1`: what the whole store reflects.
    Meta,
    /// `2`, queue id (8): where a queue stands.
    Queue(QueueId),
    /// `3`, queue id (8), block number (8): live messages of a block.
    Block {
        /// Its queue.
        queue: QueueId,
        /// Its number.
        number: u64,
    },
    /// `4`, virtual host, name: an exchange.
    ExchangeDeclared {
        /// Its virtual host.
        vhost: &'a ShortString,
        /// Its name.
        name: &'a ShortString,
    },
    /// `5`, virtual host, name: a queue as it was declared.
    QueueDeclared {
        /// Its virtual host.
        vhost: &'a ShortString,
        /// Its name.
        name: &'a ShortString,
    },
    /// `6`, virtual host, source, 0 for a queue or 1 for an exchange, destination, routing key, SHA-256 of the
    /// arguments sorted by name (32): a binding. Arguments may be long; keys are not.
    Bound {
        /// Its virtual host.
        vhost: &'a ShortString,
        /// The binding.
        binding: &'a Binding,
    },
    /// `7`, virtual host, 0 for a policy or 1 for an operator policy, name: a policy.
    PolicySet {
        /// Its virtual host.
        vhost: &'a ShortString,
        /// Whose it is.
        kind: PolicyKind,
        /// Its name.
        name: &'a ShortString,
    },
    /// `8`, virtual host: what is set for it as a whole; or that it was deleted, as long as something of it is left.
    VhostSet {
        /// The virtual host.
        vhost: &'a ShortString,
    },
    /// `9`, name: a user.
    UserSet {
        /// Its name.
        name: &'a ShortString,
    },
    /// `10`, user, virtual host: what the user may do there.
    PermissionsSet {
        /// The user.
        user: &'a ShortString,
        /// The virtual host.
        vhost: &'a ShortString,
    },
    /// `11`, user, virtual host, exchange: which keys the user may use with it.
    TopicPermissionsSet {
        /// The user.
        user: &'a ShortString,
        /// The virtual host.
        vhost: &'a ShortString,
        /// The exchange.
        exchange: &'a ShortString,
    },
    /// `12`, name: a global parameter.
    GlobalParameterSet {
        /// Its name.
        name: &'a ShortString,
    },
    /// `13`, virtual host, component, name: a parameter.
    ParameterSet {
        /// Its virtual host.
        vhost: &'a ShortString,
        /// What it is for.
        component: &'a ShortString,
        /// Its name.
        name: &'a ShortString,
    },
    /// `14`: there was a user once.
    UsersSetUp,
}

/// The bytes of a key, as text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName(Box<[u8]>);

impl KeyKind {
    /// All kinds that hold content.
    pub const ALL: [Self; 14] = [
        Self::Meta,
        Self::Queue,
        Self::Block,
        Self::ExchangeDeclared,
        Self::QueueDeclared,
        Self::Bound,
        Self::PolicySet,
        Self::VhostSet,
        Self::UserSet,
        Self::PermissionsSet,
        Self::TopicPermissionsSet,
        Self::GlobalParameterSet,
        Self::ParameterSet,
        Self::UsersSetUp,
    ];

    /// Those that hold what is declared and set.
    pub const ENTITIES: &'static [Self] = Self::ALL.split_at(3).1;

    /// What all keys of the kind begin with.
    pub fn prefix(self) -> [u8; 1] {
        [self as u8]
    }
}

impl Key<'_> {
    /// Its kind.
    pub fn kind(&self) -> KeyKind {
        match self {
            Self::Sum => KeyKind::Sum,
            Self::Meta => KeyKind::Meta,
            Self::Queue(_) => KeyKind::Queue,
            Self::Block { .. } => KeyKind::Block,
            Self::ExchangeDeclared { .. } => KeyKind::ExchangeDeclared,
            Self::QueueDeclared { .. } => KeyKind::QueueDeclared,
            Self::Bound { .. } => KeyKind::Bound,
            Self::PolicySet { .. } => KeyKind::PolicySet,
            Self::VhostSet { .. } => KeyKind::VhostSet,
            Self::UserSet { .. } => KeyKind::UserSet,
            Self::PermissionsSet { .. } => KeyKind::PermissionsSet,
            Self::TopicPermissionsSet { .. } => KeyKind::TopicPermissionsSet,
            Self::GlobalParameterSet { .. } => KeyKind::GlobalParameterSet,
            Self::ParameterSet { .. } => KeyKind::ParameterSet,
            Self::UsersSetUp => KeyKind::UsersSetUp,
        }
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.kind().prefix().to_vec();
        match *self {
            Self::Sum | Self::Meta | Self::UsersSetUp => {}
            Self::Queue(id) => out.extend_from_slice(&id.0.to_be_bytes()),
            Self::Block { queue, number } => {
                out.extend_from_slice(&queue.0.to_be_bytes());
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::ExchangeDeclared { vhost, name } | Self::QueueDeclared { vhost, name } => {
                put_names(&mut out, &[vhost, name]);
            }
            Self::Bound { vhost, binding } => {
                put_name(&mut out, vhost);
                put_binding(&mut out, binding);
            }
            Self::PolicySet { vhost, kind, name } => {
                put_name(&mut out, vhost);
                out.push(match kind {
                    PolicyKind::User => 0,
                    PolicyKind::Operator => 1,
                });
                put_name(&mut out, name);
            }
            Self::VhostSet { vhost: name } | Self::UserSet { name } | Self::GlobalParameterSet { name } => {
                put_name(&mut out, name);
            }
            Self::PermissionsSet { user, vhost } => put_names(&mut out, &[user, vhost]),
            Self::TopicPermissionsSet { user, vhost, exchange } => {
                put_names(&mut out, &[user, vhost, exchange]);
            }
            Self::ParameterSet { vhost, component, name } => put_names(&mut out, &[vhost, component, name]),
        }
        out
    }
}

impl Key<'static> {
    /// A key of numbers from its bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&kind, rest) = bytes.split_first()?;
        let mut numbers = rest.chunks_exact(8).map(|number| number.try_into().map(u64::from_be_bytes));
        let mut number = || numbers.next()?.ok();
        match (kind, rest.len()) {
            (1, 0) => Some(Self::Meta),
            (2, 8) => Some(Self::Queue(QueueId(number()?))),
            (3, 16) => Some(Self::Block { queue: QueueId(number()?), number: number()? }),
            _ => None,
        }
    }
}

impl From<&[u8]> for KeyName {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Key::from_bytes(&self.0) {
            Some(Key::Meta) => f.write_str("the stamp"),
            Some(Key::Queue(id)) => write!(f, "{id:?}"),
            Some(Key::Block { queue, number }) => write!(f, "block {number} of {queue:?}"),
            _ => {
                let kind = KeyKind::ALL.iter().find(|kind| self.0.first() == Some(&(**kind as u8)));
                let kind = kind.map_or_else(|| "unknown".to_owned(), |kind| format!("{kind:?}"));
                write!(f, "{kind} {}", self.0.get(1..).unwrap_or_default().escape_ascii())
            }
        }
    }
}

fn put_names(out: &mut Vec<u8>, names: &[&ShortString]) {
    for name in names {
        put_name(out, name);
    }
}

fn put_name(out: &mut Vec<u8>, name: &ShortString) {
    out.push(name.len() as u8);
    out.extend_from_slice(name);
}

fn put_binding(out: &mut Vec<u8>, binding: &Binding) {
    put_name(out, &binding.source);
    let (kind, destination) = match &binding.destination {
        Destination::Queue(name) => (0, name),
        Destination::Exchange(name) => (1, name),
    };
    out.push(kind);
    put_name(out, destination);
    put_name(out, &binding.key);
    out.extend_from_slice(&digest(&binding.arguments));
}

/// The order of arguments does not tell bindings apart.
fn digest(arguments: &FieldTable) -> [u8; 32] {
    let mut sorted: Vec<_> = arguments.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    sorted.sort_by(|(left, _), (right, _)| left.cmp(right));
    let mut bytes = Vec::new();
    FieldTable::from_iter(sorted).encode(&mut bytes);
    Sha256::digest(&bytes).into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn name(text: &'static str) -> ShortString {
        ShortString::from_static(text)
    }

    fn binding(arguments: FieldTable) -> Binding {
        Binding { source: name("s"), destination: Destination::Queue(name("d")), key: name("k"), arguments }
    }

    #[test]
    fn the_layout_of_keys_is_stable() {
        let (vhost, name) = (&name("/"), &name("ab"));
        let number = Key::Block { queue: QueueId(1), number: 258 }.to_bytes();
        assert_eq!((Key::Sum.to_bytes(), Key::Meta.to_bytes()), (vec![0], vec![1]));
        assert_eq!(Key::Queue(QueueId(1)).to_bytes(), [2, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(number, [3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(Key::ExchangeDeclared { vhost, name }.to_bytes(), b"\x04\x01/\x02ab");
        assert_eq!(Key::QueueDeclared { vhost, name }.to_bytes(), b"\x05\x01/\x02ab");
        let bound = Key::Bound { vhost, binding: &binding(FieldTable::new()) }.to_bytes();
        assert_eq!(&bound[..10], b"\x06\x01/\x01s\x00\x01d\x01k");
        assert_eq!(bound[10..14], [0xDF, 0x3F, 0x61, 0x98]);
        assert_eq!(bound.len(), 42);
        let policy = |kind| Key::PolicySet { vhost, kind, name }.to_bytes();
        assert_eq!(policy(PolicyKind::User), b"\x07\x01/\x00\x02ab");
        assert_eq!(policy(PolicyKind::Operator), b"\x07\x01/\x01\x02ab");
        assert_eq!(Key::VhostSet { vhost }.to_bytes(), b"\x08\x01/");
        let (user, exchange, component) = (&ShortString::from_static("u"), name, vhost);
        assert_eq!(Key::UserSet { name }.to_bytes(), b"\x09\x02ab");
        assert_eq!(Key::PermissionsSet { user, vhost }.to_bytes(), b"\x0A\x01u\x01/");
        let topics = Key::TopicPermissionsSet { user, vhost, exchange }.to_bytes();
        assert_eq!(topics, b"\x0B\x01u\x01/\x02ab");
        assert_eq!(Key::GlobalParameterSet { name }.to_bytes(), b"\x0C\x02ab");
        assert_eq!(Key::ParameterSet { vhost, component, name }.to_bytes(), b"\x0D\x01/\x01/\x02ab");
        assert_eq!(Key::UsersSetUp.to_bytes(), [14]);
    }

    #[test]
    fn the_order_of_arguments_does_not_tell_bindings_apart() {
        let vhost = &name("/");
        let key = |arguments| Key::Bound { vhost, binding: &binding(arguments) }.to_bytes();
        let keys = [
            key(FieldTable::new().with("a", 1).with("b", 2)),
            key(FieldTable::new().with("b", 2).with("a", 1)),
            key(FieldTable::new().with("a", 2).with("b", 1)),
            key(FieldTable::new()),
        ];
        assert_eq!(keys[0], keys[1]);
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 3);
    }

    #[test]
    fn keys_of_numbers_are_read_again() {
        for key in [Key::Meta, Key::Queue(QueueId(7)), Key::Block { queue: QueueId(7), number: 9 }] {
            let bytes = key.to_bytes();
            assert_eq!(Key::from_bytes(&bytes).unwrap().to_bytes(), bytes);
            assert!(Key::from_bytes(&[&bytes[..], &[0]].concat()).is_none());
        }
        assert!(Key::from_bytes(&[]).is_none() && Key::from_bytes(&[9]).is_none());
    }

    #[test]
    fn keys_are_named_for_people() {
        let (vhost, exchange) = (&name("/"), &name("é"));
        let named = |key: Key<'_>| KeyName::from(&key.to_bytes()[..]).to_string();
        assert_eq!(named(Key::Meta), "the stamp");
        assert_eq!(named(Key::Block { queue: QueueId(7), number: 9 }), "block 9 of queue 7");
        assert_eq!(
            named(Key::ExchangeDeclared { vhost, name: exchange }),
            "ExchangeDeclared \\x01/\\x02\\xc3\\xa9"
        );
        assert_eq!(KeyName::from(&b"\xFF"[..]).to_string(), "unknown ");
    }
}
