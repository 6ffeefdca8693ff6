//! Users, permissions and limits for tests.

use proptest::{collection::vec, prelude::*};

use crate::core::access::{
    AccessChange, HashAlgorithm, Limit, Limits, PasswordHash, PermissionsSpec, TopicPermissionsSpec, UserSpec,
};
use crate::protocol::arbitrary::short_string;

/// Any change. Expressions need not be ones.
pub(in crate::store) fn change() -> impl Strategy<Value = AccessChange> {
    use AccessChange as Change;
    let name = short_string;
    let permissions = (name(), name(), any::<[String; 3]>()).prop_map(|(user, vhost, patterns)| {
        let [configure, write, read] = patterns;
        Change::PermissionsSet(PermissionsSpec { user, vhost, configure, write, read })
    });
    let topics =
        (name(), name(), name(), any::<[String; 2]>()).prop_map(|(user, vhost, exchange, patterns)| {
            let [write, read] = patterns;
            Change::TopicPermissionsSet(TopicPermissionsSpec { user, vhost, exchange, write, read })
        });
    prop_oneof![
        user().prop_map(Change::UserSet),
        name().prop_map(Change::UserDeleted),
        permissions,
        (name(), name()).prop_map(|(user, vhost)| Change::PermissionsDeleted { user, vhost }),
        topics,
        (name(), name(), name()).prop_map(|(user, vhost, exchange)| {
            Change::TopicPermissionsDeleted { user, vhost, exchange }
        }),
        (name(), any::<String>()).prop_map(|(name, value)| Change::GlobalParameterSet { name, value }),
        name().prop_map(Change::GlobalParameterDeleted),
    ]
}

/// Any user.
pub(in crate::store) fn user() -> impl Strategy<Value = UserSpec> {
    let algorithm = prop::sample::select(&HashAlgorithm::ALL[..]);
    (short_string(), algorithm, vec(any::<u8>(), 0..40), vec(short_string(), 0..3), limits()).prop_map(
        |(name, algorithm, bytes, tags, limits)| UserSpec {
            name,
            password: PasswordHash { algorithm, bytes: bytes.into() },
            tags,
            limits,
        },
    )
}

/// Any limits.
pub(in crate::store) fn limits() -> impl Strategy<Value = Limits> {
    vec((prop::sample::select(&Limit::ALL[..]), any::<u64>()), 0..4).prop_map(Limits::from_iter)
}
