//! SASL EXTERNAL: a client is who its certificate says.

use std::sync::Arc;

use crate::{
    broker::Broker,
    tls::{Files, Identity, Tls, VERSIONS, client, text},
    wire::{
        CLIENT_CAPABILITIES, PROTOCOL_HEADER, Reader, Wire, connection_open, queue_declare, start_ok, tune_ok,
    },
};

/// A broker that takes a certificate's common name for its user, and clients without one too.
fn broker(files: &Files) -> Option<Arc<Broker>> {
    let ca = files.path("ca");
    let by_name = ["--tls-ca", text(&ca), "--tls-verify", "optional", "--ssl-cert-login-from", "common_name"];
    files.broker(&by_name)
}

/// A client's side of the handshake, and the mechanisms that it is offered.
fn offered(broker: &Arc<Broker>, files: &Files, shown: Option<&Identity>, version: usize) -> (Wire, String) {
    let config = client(&files.ca, &VERSIONS[version..=version], shown);
    let mut wire = Wire::over(Tls::connect(broker, &config), broker.clone());
    let mut start: Reader = wire.raw(PROTOCOL_HEADER).expect(0, 10, 10);
    start.u16();
    start.table();
    (wire, start.long())
}

fn claim(wire: &mut Wire, response: &[u8]) {
    wire.send(0, &start_ok(&CLIENT_CAPABILITIES.table(), "EXTERNAL", response));
}

#[test]
fn who_shows_the_certificate_of_a_user_is_that_user_whatever_else_it_says() {
    let files = Files::new();
    let Some(broker) = broker(&files) else { return };
    let guest = files.ca.client("guest");
    for (version, response) in [(0, b"".as_slice()), (1, b""), (1, b"somebody"), (0, b"\0root\0secret")] {
        let (mut wire, mechanisms) = offered(&broker, &files, Some(&guest), version);
        assert_eq!(mechanisms, "PLAIN AMQPLAIN EXTERNAL");
        claim(&mut wire, response);
        wire.expect(0, 10, 30);
        wire.send(0, &tune_ok((2047, 131_072, 0))).send(0, &connection_open("/")).expect(0, 10, 41);
        wire.channel(1).send(1, &queue_declare("q", 0)).expect(1, 50, 11);
    }
    let words = ["login", "user=guest", "mechanism=EXTERNAL", "tls=true", "certificate=guest"];
    broker.log().expect(&words);
}

#[test]
fn the_certificate_of_somebody_who_is_no_user_lets_nobody_in_by_itself() {
    let files = Files::new();
    let Some(broker) = broker(&files) else { return };
    let nobody = files.ca.client("nobody");
    for version in [0, 1] {
        let (mut wire, _) = offered(&broker, &files, Some(&nobody), version);
        claim(&mut wire, b"guest");
        let text = "ACCESS_REFUSED - Login was refused using authentication mechanism EXTERNAL. For details see the \
                    broker logfile.";
        wire.expect_close(403, text);
        broker.log().expect(&["login-refused", "nobody", "invalid credentials"]);
        let (mut wire, _) = offered(&broker, &files, Some(&nobody), version);
        wire.send(0, &start_ok(&CLIENT_CAPABILITIES.table(), "PLAIN", b"\0guest\0guest")).expect(0, 10, 30);
    }
}

#[test]
fn who_shows_no_certificate_is_not_offered_it_and_is_closed_if_it_tries() {
    let files = Files::new();
    let Some(broker) = broker(&files) else { return };
    for version in [0, 1] {
        let (mut wire, mechanisms) = offered(&broker, &files, None, version);
        assert_eq!(mechanisms, "PLAIN AMQPLAIN");
        claim(&mut wire, b"guest");
        wire.expect_eof();
        broker.log().expect(&["connection refused", "unknown authentication mechanism 'EXTERNAL'"]);
    }
}
