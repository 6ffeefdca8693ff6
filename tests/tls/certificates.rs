//! Clients' certificates, and files that change while the broker runs.

use std::{fs, io::Read, process::Command, sync::Arc};

use rustls::ClientConfig;

use crate::{
    broker::Broker,
    tls::{Ca, Files, Tls, VERSIONS, client, der, shown_certificate},
    wire::{PROTOCOL_HEADER, Wire},
};

/// Whether the broker takes what a client shows; with TLS 1.3 that is only known when it answers.
fn is_let_in(broker: &Arc<Broker>, config: &Arc<ClientConfig>) -> bool {
    let Ok(mut tls) = Tls::connect(broker, config).agree() else { return false };
    std::io::Write::write_all(&mut tls, PROTOCOL_HEADER).is_ok()
        && tls.read(&mut [0; 1]).is_ok_and(|read| read == 1)
}

#[test]
fn who_must_show_a_certificate_gets_in_with_one_that_is_valid_only() {
    let files = Files::new();
    let stranger = Ca::new();
    let shown = [
        ("none", None),
        ("the right one", Some(files.ca.client("guest"))),
        ("an expired one", Some(files.ca.expired_client("guest"))),
        ("one that somebody else has signed", Some(stranger.client("guest"))),
        ("a server's", Some(files.ca.server())),
    ];
    for verify in ["none", "optional", "required"] {
        let Some(broker) = files.broker_that_verifies(verify) else { return };
        for version in VERSIONS {
            for (what, identity) in &shown {
                let is_right =
                    matches!((verify, *what), ("none", _) | (_, "the right one") | ("optional", "none"));
                let config = client(&files.ca, &[version], identity.as_ref());
                assert_eq!(is_let_in(&broker, &config), is_right, "{verify}, {what}, {version:?}");
            }
        }
        if verify == "required" {
            for why in
                ["peer sent no certificates", "certificate expired", "BadSignature", "extended key usage"]
            {
                broker.log().expect(&["connection refused", "the TLS handshake failed", why]);
            }
        }
    }
}

#[test]
fn the_log_says_what_a_certificate_is_taken_for() {
    let files = Files::new();
    let ca = files.path("ca");
    let ca = ca.to_str().unwrap();
    let config = client(&files.ca, &VERSIONS, Some(&files.ca.client("Hare, the March")));
    for (from, shown) in [
        ("distinguished_name", r"certificate=CN=Hare\\, the March"),
        ("common_name", "certificate=Hare, the March"),
    ] {
        let Some(broker) = files.broker(&["--tls-ca", ca, "--ssl-cert-login-from", from]) else { return };
        Tls::connect(&broker, &config).log_in(&broker).assert_alive();
        let line = broker.log().expect(&["connection opened", "certificate="]);
        assert!(line.contains(shown) || line.contains(&shown.replace(r"\\", r"\")), "{line}");
    }
}

#[test]
fn a_new_certificate_is_shown_after_sighup_and_connections_stay() {
    let files = Files::new();
    let Some(broker) = files.broker(&[]) else { return };
    let mut old = Tls::connect(&broker, &files.client()).log_in(&broker);
    let first = shown_certificate(&broker, &files.client());
    let renewed = files.ca.server();
    files.renew(&renewed);
    hang_up(&broker);
    broker.log().expect(&["the files of TLS have been read again"]);
    let now = shown_certificate(&broker, &files.client());
    assert!(now == der(&renewed.certificate) && now != first);
    old.assert_alive();
}

#[test]
fn files_that_change_are_read_without_being_told() {
    let files = Files::new();
    let Some(broker) = files.broker(&[]) else { return };
    let mut old = Tls::connect(&broker, &files.client()).log_in(&broker);
    let renewed = files.ca.server();
    files.renew(&renewed);
    broker.log().expect(&["the files of TLS have been read again"]);
    assert_eq!(shown_certificate(&broker, &files.client()), der(&renewed.certificate));
    old.assert_alive();
}

#[test]
fn a_file_that_is_broken_is_told_and_the_old_one_stays_in_use() {
    let files = Files::new();
    let Some(broker) = files.broker(&[]) else { return };
    let first = shown_certificate(&broker, &files.client());
    fs::write(files.path("cert"), "nonsense").unwrap();
    hang_up(&broker);
    let why = "has no certificate in it";
    broker.log().expect(&["ERROR", "the new files of TLS cannot be used; the old ones stay in use", why]);
    assert_eq!(shown_certificate(&broker, &files.client()), first);
    let renewed = files.ca.server();
    files.renew(&renewed);
    hang_up(&broker);
    broker.log().expect(&["the files of TLS have been read again"]);
    assert_eq!(shown_certificate(&broker, &files.client()), der(&renewed.certificate));
}

#[test]
fn whoever_signs_clients_certificates_can_be_replaced() {
    let files = Files::new();
    let Some(broker) = files.broker_that_verifies("required") else { return };
    let (old, next) = (files.ca.client("old"), Ca::new());
    let as_old = client(&files.ca, &VERSIONS, Some(&old));
    let as_new = client(&files.ca, &VERSIONS, Some(&next.client("new")));
    let mut connected = Tls::connect(&broker, &as_old).log_in(&broker);
    assert!(!is_let_in(&broker, &as_new));
    fs::write(files.path("ca"), next.pem()).unwrap();
    hang_up(&broker);
    broker.log().expect(&["the files of TLS have been read again"]);
    assert!(is_let_in(&broker, &as_new) && !is_let_in(&broker, &as_old));
    connected.assert_alive();
    let _: &Wire = &connected;
}

fn hang_up(broker: &Broker) {
    let pid = broker.pid().unwrap().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
}
