//! What it costs to check a password: by each hash, and when it was proven lately. What a whole login costs, with its connection, tells
//! `leveret bench --churn connection`.

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use criterion::{Criterion, criterion_group, criterion_main};
use leveret::auth::{Authenticator, Claim, Secret, new_hash};
use leveret::config::{Config, PasswordHashing, Settings};
use leveret::core::access::{Limits, UserSpec};
use leveret::protocol::ShortString;
use tokio::runtime::Builder;

const HASHINGS: [(&str, PasswordHashing); 2] =
    [("sha256", PasswordHashing::Sha256), ("argon2id", PasswordHashing::Argon2id)];
const FROM: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn secret() -> Secret {
    Secret::from(b"a password".to_vec())
}

/// One check takes as long as making the hash.
fn hashes(c: &mut Criterion) {
    let mut group = c.benchmark_group("password/hash");
    for (name, hashing) in HASHINGS {
        group.bench_function(name, |b| b.iter(|| new_hash(hashing, black_box(&secret()))));
    }
}

/// The same password again and again: argon2id is paid once in a while.
fn logins(c: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_time().build().expect("threads can be made");
    let mut group = c.benchmark_group("password/log_in_again");
    for (name, hashing) in HASHINGS {
        let settings = Settings { password_hashing: Some(hashing), ..Settings::default() };
        let authenticator = Authenticator::new(&Config::load(settings).expect("it is valid"));
        let user = Arc::new(UserSpec {
            name: ShortString::from_static("user"),
            password: new_hash(hashing, &secret()),
            tags: Vec::new(),
            limits: Limits::default(),
        });
        let claim = Claim::Password { user: b"user".to_vec(), password: secret() };
        group.bench_function(name, |b| {
            b.iter(|| {
                let log_in = authenticator.log_in(&claim, FROM, |_| Some(user.clone()));
                runtime.block_on(log_in).expect("it is the password")
            });
        });
    }
}

criterion_group!(benches, hashes, logins);
criterion_main!(benches);
