//! Carries a document out. What is there already stays, if it cannot be replaced; nothing is deleted.

use std::{collections::HashSet, fmt};

use super::{Document, document, json::name, values};
use crate::audit;
use crate::broker::{Broker, Exists, Vhost, completed::completed, everything};
use crate::core::{
    ConnectionId,
    access::{AccessChange, Registry},
    commit::Commit,
    declared::{Destination, PolicyKind, VhostSettings},
    error::AmqpError,
};
use crate::limits::DECLARED_AT_ONCE_MAX;
use crate::protocol::ShortString;
use values::Declaration;

/// What is wrong, and where in the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The list and the place in it, such as `queues[3]`.
    pub place: String,
    /// What it is about.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ('{}'): {}", self.place, self.name, self.why)
    }
}

/// What a document brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Imported {
    /// Things that are new, or other than before.
    pub changed: usize,
    /// Things that were there already.
    pub unchanged: usize,
}

impl Imported {
    fn count(&mut self, changed: bool) {
        if changed {
            self.changed += 1;
        } else {
            self.unchanged += 1;
        }
    }
}

/// A value and where it stands.
struct Placed<T> {
    place: String,
    name: String,
    value: T,
}

impl<T> Placed<T> {
    fn problem(&self, why: impl Into<String>) -> Problem {
        Problem { place: self.place.clone(), name: self.name.clone(), why: why.into() }
    }
}

/// Everything that a document says.
#[derive(Default)]
struct Values {
    vhosts: Vec<Placed<(ShortString, VhostSettings)>>,
    access: Vec<Placed<AccessChange>>,
    declarations: Vec<Placed<(ShortString, Declaration)>>,
    problems: Vec<Problem>,
}

impl Values {
    /// In the order in which things can be made.
    fn of(written: &Document) -> Self {
        let mut all = Self::default();
        let Self { vhosts, access, declarations, problems } = &mut all;
        each("vhosts", &written.vhosts, |it| &it.name, values::vhost, vhosts, problems);
        each("users", &written.users, |it| &it.name, values::user, access, problems);
        each("permissions", &written.permissions, |it| &it.user, values::permissions, access, problems);
        let topics = &written.topic_permissions;
        each("topic_permissions", topics, |it| &it.user, values::topic_permissions, access, problems);
        let globals = &written.global_parameters;
        each("global_parameters", globals, |it| &it.name, values::global_parameter, access, problems);
        let value = in_vhost(|it: &document::Parameter| &it.vhost, values::parameter);
        each("parameters", &written.parameters, |it| &it.name, value, declarations, problems);
        let value = in_vhost(|it: &document::Policy| &it.vhost, |it| values::policy(PolicyKind::User, it));
        each("policies", &written.policies, |it| &it.name, value, declarations, problems);
        let value = in_vhost(|it: &document::Exchange| &it.vhost, values::exchange);
        each("exchanges", &written.exchanges, |it| &it.name, value, declarations, problems);
        let value = in_vhost(|it: &document::Queue| &it.vhost, values::queue);
        each("queues", &written.queues, |it| &it.name, value, declarations, problems);
        let value = in_vhost(|it: &document::Binding| &it.vhost, values::binding);
        each("bindings", &written.bindings, |it| &it.destination, value, declarations, problems);
        all
    }
}

/// What is declared, and where.
fn in_vhost<W>(
    vhost: impl Fn(&W) -> &String,
    value: impl Fn(&W) -> Result<Declaration, String>,
) -> impl Fn(&W) -> Result<(ShortString, Declaration), String> {
    move |written| Ok((name(vhost(written))?, value(written)?))
}

fn each<W, T>(
    list: &str,
    written: &[W],
    name: impl Fn(&W) -> &String,
    value: impl Fn(&W) -> Result<T, String>,
    values: &mut Vec<Placed<T>>,
    problems: &mut Vec<Problem>,
) {
    for (at, written) in written.iter().enumerate() {
        let (place, name) = (format!("{list}[{at}]"), name(written).clone());
        match value(written) {
            Ok(value) => values.push(Placed { place, name, value }),
            Err(why) => problems.push(Problem { place, name, why }),
        }
    }
}

impl Broker {
    /// Makes everything that a document says. Users, permissions, policies, parameters and settings of virtual hosts take the
    /// place of those of their name; exchanges and queues that are there stay as they are (RabbitMQ). If something in it makes no
    /// sense by itself, nothing is changed; what a virtual host refuses is left out, and told together. What was made outlives a crash
    /// when this returns.
    pub async fn import(&self, document: &Document) -> Result<Imported, Vec<Problem>> {
        self.import_for(document, None).await
    }

    /// The same in the name of a user, who may do everything in virtual hosts that are new by it, from the commit on that has them.
    pub async fn import_for(
        &self,
        document: &Document,
        maker: Option<&ShortString>,
    ) -> Result<Imported, Vec<Problem>> {
        let mut values = Values::of(document);
        self.check_names(&mut values);
        let Values { vhosts, access, declarations, mut problems } = values;
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut imported = Imported::default();
        for Placed { value: (name, settings), .. } in vhosts {
            imported.count(self.import_vhost(&name, settings, maker).await);
        }
        let registered = self.access.read(|registry| {
            let is_new = |placed: &Placed<AccessChange>| !has(registry, &placed.value);
            access.into_iter().partition::<Vec<_>, _>(is_new)
        });
        imported.changed += registered.0.len();
        imported.unchanged += registered.1.len();
        for placed in registered.0 {
            if let Err(why) = self.import_access(&placed.value) {
                problems.push(placed.problem(why));
            }
        }
        for (at, placed) in declarations.into_iter().enumerate() {
            let Placed { place, name, value: (vhost, declaration) } = placed;
            let declared = match self.vhosts.find(&vhost) {
                Some(there) => match declare(&there, declaration) {
                    Ok(_) if there.is_leaving() => Err(deleted(&vhost)),
                    declared => declared,
                },
                None => Err(deleted(&vhost)),
            };
            match declared {
                Ok(changed) => imported.count(changed),
                Err(why) => problems.push(Problem { place, name, why }),
            }
            if at % DECLARED_AT_ONCE_MAX == DECLARED_AT_ONCE_MAX - 1 {
                tokio::task::yield_now().await;
            }
        }
        self.all_changes_kept().await;
        if problems.is_empty() { Ok(imported) } else { Err(problems) }
    }

    /// Waits until no crash can take back what users, permissions and virtual hosts are now.
    async fn all_changes_kept(&self) {
        completed(&*self.journal, self.access.last_change()).await;
        for vhost in self.vhosts.all() {
            completed(&*self.journal, vhost.last_change().unwrap_or_default()).await;
        }
    }

    /// Users and virtual hosts that are named must be there, or come with the document.
    fn check_names(&self, values: &mut Values) {
        let Values { vhosts, access, declarations, problems } = values;
        let new_vhosts: HashSet<_> = vhosts.iter().map(|placed| &placed.value.0).collect();
        let new_users: HashSet<_> = access
            .iter()
            .filter_map(|placed| match &placed.value {
                AccessChange::UserSet(user) => Some(&user.name),
                _ => None,
            })
            .collect();
        let vhost = |name: &ShortString| new_vhosts.contains(name) || self.vhosts.find(name).is_some();
        let user = |name: &ShortString| new_users.contains(name) || self.access.user(name).is_some();
        let no_vhost = |name: &ShortString| format!("there is no virtual host '{name}'");
        for placed in &*declarations {
            let (name, _) = &placed.value;
            if !vhost(name) {
                problems.push(placed.problem(no_vhost(name)));
            }
        }
        for placed in &*access {
            let (of, at) = match &placed.value {
                AccessChange::PermissionsSet(spec) => (&spec.user, &spec.vhost),
                AccessChange::TopicPermissionsSet(spec) => (&spec.user, &spec.vhost),
                _ => continue,
            };
            if !vhost(at) {
                problems.push(placed.problem(no_vhost(at)));
            }
            if !user(of) {
                problems.push(placed.problem(format!("there is no user '{of}'")));
            }
        }
    }

    /// Changes users or permissions. A virtual host and a user that the change names were there when names were checked; if they have
    /// been deleted since, it is refused: who takes the name would have these permissions.
    pub(super) fn import_access(&self, change: &AccessChange) -> Result<(), String> {
        let mut gone = None;
        let changed = self.access.change_by(|registry| {
            gone = self.gone(registry, change);
            gone.is_none().then(|| change.clone())
        });
        match gone {
            Some(why) => Err(why),
            None => changed.map(drop).map_err(|error| error.to_string()),
        }
    }

    /// What a change names and is not there.
    fn gone(&self, registry: &Registry, change: &AccessChange) -> Option<String> {
        let (user, vhost) = match change {
            AccessChange::PermissionsSet(spec) => (&spec.user, &spec.vhost),
            AccessChange::TopicPermissionsSet(spec) => (&spec.user, &spec.vhost),
            _ => return None,
        };
        if self.vhosts.find(vhost).is_none() {
            return Some(deleted(vhost));
        }
        registry.user(user).is_none().then(|| format!("the user '{user}' is deleted"))
    }

    /// Whether it is new or has changed.
    async fn import_vhost(
        &self,
        name: &ShortString,
        settings: VhostSettings,
        maker: Option<&ShortString>,
    ) -> bool {
        let made = match maker {
            None => self.vhosts.open(name, settings.clone()).await.map(drop),
            Some(maker) => self.vhosts.when_free(name, || self.make_for(name, settings.clone(), maker)).await,
        };
        match made {
            Ok(()) => {
                if maker.is_some() {
                    audit::vhost_made(name, &settings);
                }
                true
            }
            Err(Exists) => self.vhosts.find(name).is_some_and(|vhost| {
                vhost.change_settings(|before| VhostSettings { limits: before.limits.clone(), ..settings })
            }),
        }
    }
}

impl Broker {
    /// Makes a virtual host in which a user may do everything, if there is that user: one group for the journal.
    fn make_for(
        &self,
        name: &ShortString,
        settings: VhostSettings,
        maker: &ShortString,
    ) -> Result<(), Exists> {
        let permission = |registry: &Registry| {
            let is_free = self.vhosts.find(name).is_none();
            (is_free && registry.user(maker).is_some()).then(|| everything(maker, name))
        };
        let made =
            self.access.change_with(permission, |others| match self.vhosts.make(name, settings, others) {
                Ok((_, commit)) => (commit.unwrap_or_default(), Ok(())),
                Err(exists) => (Commit::default(), Err(exists)),
            });
        made.expect("`.*` is an expression").1
    }
}

/// Whether a change would change nothing.
fn has(registry: &Registry, change: &AccessChange) -> bool {
    match change {
        AccessChange::UserSet(spec) => registry.user(&spec.name).is_some_and(|user| **user == *spec),
        AccessChange::PermissionsSet(spec) => {
            registry.permissions_of(&spec.user, &spec.vhost).is_some_and(|there| there == spec)
        }
        AccessChange::TopicPermissionsSet(spec) => {
            registry.topic_permissions_of(&spec.user, &spec.vhost).any(|there| there == spec)
        }
        AccessChange::GlobalParameterSet { name, value } => {
            registry.global_parameter(name).is_some_and(|there| there == value)
        }
        _ => false,
    }
}

fn deleted(vhost: &ShortString) -> String {
    format!("the virtual host '{vhost}' is deleted")
}

/// Whether something has changed by it; not in a virtual host that is deleted.
fn declare(vhost: &Vhost, declaration: Declaration) -> Result<bool, String> {
    let refused = |error: AmqpError| error.text;
    match declaration {
        Declaration::Limits(limits) => {
            Ok(vhost.change_settings(|before| VhostSettings { limits, ..before.clone() }))
        }
        Declaration::Parameter { component, name, value } => {
            let is_there = vhost.read(|topology| topology.parameter(&component, &name) == Some(&value));
            if !is_there {
                vhost.change_unless_left(|topology| topology.set_parameter(component, name, value));
            }
            Ok(!is_there)
        }
        Declaration::Policy(kind, spec) => {
            let is_there = vhost.read(|topology| topology.policies(kind).any(|policy| policy.spec == spec));
            if !is_there {
                vhost.set_policy(kind, spec).map_err(|error| error.in_plain_words())?;
            }
            Ok(!is_there)
        }
        Declaration::Exchange(declaration) => {
            // The ones that every virtual host has stand in some documents, too.
            if vhost.read(|topology| topology.has_exchange(&declaration.name)) {
                return Ok(false);
            }
            vhost.make_free(&Destination::Exchange(declaration.name.clone()));
            let declared = vhost.change_unless_left(|topology| topology.declare_exchange(declaration));
            declared.map_or(Ok(false), |(declared, _)| declared.map(|()| true)).map_err(refused)
        }
        Declaration::Queue(declaration) => {
            if vhost.read(|topology| topology.queue(&declaration.name).is_some()) {
                return Ok(false);
            }
            vhost.make_free(&Destination::Queue(declaration.name.clone()));
            let declared = vhost.change_unless_left(|topology| topology.declare_queue(declaration, NOBODY));
            declared.map_or(Ok(false), |(declared, _)| declared.map(|_| true)).map_err(refused)
        }
        Declaration::Binding(binding) => {
            // Every queue is bound to the exchange without a name, and some documents say so.
            if binding.source.is_empty() || vhost.read(|topology| topology.has_binding(&binding)) {
                return Ok(false);
            }
            let bound = vhost.change_unless_left(|topology| topology.bind(binding, NOBODY));
            let Some((bound, _)) = bound else { return Ok(false) };
            let mut effects = bound.map_err(refused)?.effects;
            effects.read_deferred();
            vhost.append(&mut effects, false);
            Ok(true)
        }
    }
}

/// No connection has this number.
const NOBODY: ConnectionId = ConnectionId(0);
