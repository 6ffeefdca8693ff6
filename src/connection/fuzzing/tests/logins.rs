//! Who is let in by a host with users, and that nothing is left of those who come with spoilt bytes.

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::super::{
    GuardedHost, Login, Mutation, Received, Step, TlsVersion, Visitor, Wiretap, write_proxy_header,
};
use super::*;

const SEED: u64 = 0x10_61_4E;
const VISITS: usize = 1_500;

fn words(login: Login) -> Vec<u8> {
    let mut words = Vec::new();
    login.write(&mut words);
    words
}

/// Who is let in, and where; it leaves at once.
fn who_comes_in(host: &GuardedHost, visitor: &Visitor<'_>) -> Option<(String, String)> {
    let (client, behind) = host.receive(visitor).client?;
    assert_eq!(behind, b"");
    let names = (client.session.user.to_string(), client.session.vhost.name.to_string());
    client.leave();
    Some(names)
}

/// Users by their number in a [`Login`].
const NAMES: [&str; 6] = ["guest", "team", "reader", "stranger", "old", "certified"];

#[test]
fn who_has_the_right_password_comes_in_where_it_may_be() {
    let host = GuardedHost::default();
    for (user, name) in (0..).zip(NAMES) {
        let is_let_in = matches!(name, "guest" | "team" | "reader");
        let vhost = if name == "guest" { "/" } else { "team" };
        for mechanism in [0, 1] {
            let right = Login::right(user, mechanism);
            let expected = is_let_in.then(|| (name.to_owned(), vhost.to_owned()));
            let visit = |login| who_comes_in(&host, &Visitor { words: &words(login), ..Visitor::default() });
            assert_eq!(visit(right), expected, "{right:?}");
            for wrong in [
                Login { password: 210, ..right },
                Login { password: 240, ..right },
                Login { vhost: 250, ..right },
                Login { header: 250, ..right },
                Login { mechanism: 6, ..right },
            ] {
                assert_eq!(visit(wrong), None, "{wrong:?}");
            }
        }
    }
    assert_eq!(host.clear(), Remains::default());
}

#[test]
fn a_proxy_s_word_counts_for_where_a_client_is() {
    let host = GuardedHost::default();
    for (header, guest_comes_in) in
        [(0, false), (1, false), (2, true), (3, true), (4, false), (5, true), (6, true), (7, false)]
    {
        for (user, comes_in) in [(0, guest_comes_in), (1, header != 7)] {
            let (mut proxy, words) = (Vec::new(), words(Login::right(user, 0)));
            write_proxy_header(header, &mut proxy);
            let visitor = Visitor { proxy: Some(&proxy), words: &words, ..Visitor::default() };
            assert_eq!(who_comes_in(&host, &visitor).is_some(), comes_in, "{header} {user}");
        }
    }
}

#[test]
fn a_certificate_lets_its_owner_in_and_nobody_else() {
    const EXTERNAL: u8 = 3;
    let host = GuardedHost::default();
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        for is_certified in [false, true] {
            for (mechanism, user, expected) in [
                (EXTERNAL, 1, is_certified.then_some("certified")),
                (4, 1, Some("reader")),
                (0, 1, Some("team")),
                (0, 5, None),
            ] {
                let words = words(Login { vhost: 230, ..Login::right(user, mechanism) });
                let tls = Some(Wiretap::Client { version, is_certified, damage: &[] });
                let came = who_comes_in(&host, &Visitor { words: &words, tls, ..Visitor::default() });
                let name = came.map(|(name, _)| name);
                assert_eq!(name.as_deref(), expected, "{version:?} {is_certified} {mechanism} {user}");
            }
        }
    }
}

/// What is spoilt behind the handshake of TLS is noticed, so whatever is spoilt, the words that count are the client's own.
#[test]
fn spoilt_visits_let_nobody_in_who_should_not_be_and_leave_nothing_behind() {
    let host = GuardedHost::default();
    let mut random = StdRng::seed_from_u64(SEED);
    let (mut came_in, mut came_in_by_tls, mut turned_away) = (0, 0, 0);
    for visit in 0..VISITS {
        let visits: Vec<_> = (0..random.random_range(1..=3)).map(|_| Drawn::new(&mut random)).collect();
        let received: Vec<Received> = visits.iter().map(|drawn| drawn.visit(&host)).collect();
        for (drawn, received) in visits.iter().zip(received) {
            match received.client {
                Some((mut client, behind)) => {
                    came_in += 1;
                    came_in_by_tls += usize::from(drawn.tls.is_some());
                    for piece in behind.chunks(random.random_range(1..600)) {
                        if !client.feed(piece) {
                            break;
                        }
                        client.drain();
                    }
                    client.leave();
                }
                None => turned_away += 1,
            }
        }
        assert_eq!(host.clear(), Remains::default(), "seed {SEED}, visit {visit}");
    }
    assert!(came_in > VISITS / 4 && came_in_by_tls > VISITS / 40 && turned_away > VISITS / 4);
}

#[test]
fn tls_makes_no_difference_where_nothing_is_spoilt() {
    let host = GuardedHost::default();
    let mut random = StdRng::seed_from_u64(SEED + 1);
    let outcome = |visitor: &Visitor<'_>| {
        let Received { told, client } = host.receive(visitor);
        let behind = client.map(|(client, behind)| {
            client.leave();
            behind
        });
        (told, behind)
    };
    for _ in 0..VISITS / 5 {
        let Drawn { words, pieces, .. } = Drawn::new(&mut random);
        let plain = Visitor { words: &words, pieces, ..Visitor::default() };
        let expected = outcome(&plain);
        for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
            let tls = Some(Wiretap::Client { version, is_certified: false, damage: &[] });
            assert!(outcome(&Visitor { tls, ..plain }) == expected, "{version:?} {pieces} {words:?}");
        }
    }
    assert_eq!(host.clear(), Remains::default());
}

/// A visit that was drawn.
struct Drawn {
    proxy: Option<Vec<u8>>,
    words: Vec<u8>,
    pieces: u8,
    tls: Option<(TlsVersion, bool, Vec<Mutation>)>,
}

impl Drawn {
    fn new(random: &mut StdRng) -> Self {
        let mut words = words(login(random));
        let steps: Vec<Step> = (0..random.random_range(0..30)).map(|_| step(random)).collect();
        write_session(&steps, &mut words);
        let mut damage: Vec<_> = (0..random.random_range(0..3)).map(|_| mutation(random)).collect();
        let speaks_tls = random.random_bool(0.3);
        if !speaks_tls || random.random_bool(0.5) {
            damage.drain(..).for_each(|mutation| mutation.apply(&mut words));
        }
        let version = if random.random() { TlsVersion::Tls12 } else { TlsVersion::Tls13 };
        let proxy = random.random_bool(0.2).then(|| {
            let mut header = Vec::new();
            write_proxy_header(random.random(), &mut header);
            header
        });
        let tls = speaks_tls.then(|| (version, random.random(), damage));
        Self { proxy, words, pieces: random.random(), tls }
    }

    fn visit(&self, host: &GuardedHost) -> Received {
        let tls = self.tls.as_ref().map(|(version, is_certified, damage)| Wiretap::Client {
            version: *version,
            is_certified: *is_certified,
            damage,
        });
        let Self { proxy, words, pieces, .. } = self;
        host.receive(&Visitor { proxy: proxy.as_deref(), words, pieces: *pieces, tls })
    }
}

/// Mostly one that may come in.
fn login(random: &mut StdRng) -> Login {
    let mut drawn = |chance| if random.random_bool(chance) { random.random() } else { 0 };
    let [header, password, properties, tune, vhost] = [0.1, 0.2, 0.5, 0.2, 0.2].map(&mut drawn);
    let mechanism = drawn(0.5);
    Login { header, mechanism, user: drawn(1.0), password, properties, tune, vhost }
}

fn mutation(random: &mut StdRng) -> Mutation {
    // Most of them near the beginning: that is what is visited here.
    let at = if random.random_bool(0.7) { random.random_range(0..700) } else { random.random() };
    Mutation { what: random.random(), at, value: random.random() }
}

fn step(random: &mut StdRng) -> Step {
    let [what, channel, queue, exchange, key, bits] = random.random();
    Step { what, channel, queue, exchange, key, bits, number: random.random() }
}
