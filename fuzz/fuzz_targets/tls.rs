//! The same behind TLS: with bytes that nobody has encrypted, or with those of a client that keeps to the rules, damaged on their way. Where
//! nothing is damaged, it is as without TLS.
#![no_main]

use std::sync::OnceLock;

use arbitrary::{Arbitrary, Unstructured};
use leveret::connection::fuzzing::{
    GuardedHost, Received, Remains, TlsVersion, Visitor, Wiretap, write_proxy_header,
};
use leveret_fuzz::{LogsIn, Script, play};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Scene {
    proxy: u8,
    login: LogsIn,
    /// Whether bytes are spoilt before they are encrypted, in the place of afterwards.
    is_spoilt_before: bool,
    script: Script,
}

fuzz_target!(|data: &[u8]| {
    static HOST: OnceLock<GuardedHost> = OnceLock::new();
    let host = HOST.get_or_init(GuardedHost::default);
    let Some(([mode, pieces], rest)) = data.split_first_chunk() else { return };
    if mode % 2 == 0 {
        let visitor = Visitor { words: rest, pieces: *pieces, tls: Some(Wiretap::Bytes), proxy: None };
        assert!(host.receive(&visitor).client.is_none(), "it has guessed a handshake");
        return;
    }
    let Ok(scene) = Scene::arbitrary_take_rest(Unstructured::new(rest)) else { return };
    let mut header = Vec::new();
    write_proxy_header(scene.proxy, &mut header);
    let mut words = scene.script.visits(&[scene.login]).remove(0);
    let mut damage = scene.script.damage();
    if scene.is_spoilt_before {
        scene.script.spoil(&mut words);
        damage.clear();
    }
    let (version, is_certified) =
        (if mode & 4 == 0 { TlsVersion::Tls12 } else { TlsVersion::Tls13 }, mode & 8 != 0);
    let tls = Wiretap::Client { version, is_certified, damage: &damage };
    let proxy = (mode & 2 != 0).then_some(&*header);
    let visitor = Visitor { proxy, words: &words, pieces: *pieces, tls: Some(tls) };
    let received = host.receive(&visitor);
    let heard = outcome(&received);
    play(received.client.into_iter().collect(), *pieces);
    assert_eq!(host.clear(), Remains::default());
    // Without TLS there is no certificate, and a header that is missing is read out of what comes behind it.
    if damage.is_empty() && !is_certified && (proxy.is_none() || !header.is_empty()) {
        let received = host.receive(&Visitor { tls: None, ..visitor });
        assert_eq!(outcome(&received), heard, "TLS makes a difference");
        play(received.client.into_iter().collect(), *pieces);
        assert_eq!(host.clear(), Remains::default());
    }
});

/// What it was told, and what it sent behind the handshake if it was let in.
fn outcome(received: &Received) -> (Vec<u8>, Option<Vec<u8>>) {
    (received.told.clone(), received.client.as_ref().map(|(_, behind)| behind.clone()))
}
