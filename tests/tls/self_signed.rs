//! `leveret tls self-signed`, and a broker with what it has made.

use std::{
    fs,
    process::{Command, Output},
};

use crate::{
    broker::Broker,
    tls::{Identity, Tls, VERSIONS, trusting},
};

fn make(folder: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
    command.args(["tls", "self-signed", folder]).args(args).output().unwrap()
}

#[test]
fn a_broker_and_a_client_work_with_what_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("new");
    let output = make(folder.to_str().unwrap(), &[]);
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let [ca, cert, key] = ["ca_certificate.pem", "server_certificate.pem", "server_key.pem"].map(file);
    for file in [&ca, &cert, &key] {
        assert!(told.contains(&**file), "{told}");
    }
    let args = ["--amqps-listen", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key, "--tls-ca", &ca];
    let Some(broker) = Broker::start(&args, &[]) else { return };
    let read = |name: &str| fs::read_to_string(file(name)).unwrap();
    let shown = Identity { certificate: read("client_certificate.pem"), key: read("client_key.pem") };
    let config = trusting(&read("ca_certificate.pem"), &VERSIONS, Some(&shown));
    Tls::connect(&broker, &config).log_in(&broker).assert_alive();
    broker.log().expect(&["connection opened", "certificate=CN=guest"]);
}

#[test]
fn a_second_time_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    assert!(
        make(folder, &["--host", "a.example", "--host", "192.0.2.1", "--client", "hare"]).status.success()
    );
    let again = make(folder, &[]);
    let told = String::from_utf8(again.stderr).unwrap();
    assert!(!again.status.success() && again.stdout.is_empty());
    assert!(told.starts_with("leveret: ") && told.contains("is not overwritten"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}
