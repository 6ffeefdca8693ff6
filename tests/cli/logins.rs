//! Who asks, and where: flags, the environment, profiles, TLS.

use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use crate::operator::{Operator, run};

#[test]
fn who_asks_is_found_in_flags_then_the_environment_then_the_profile() {
    let Some(operator) = Operator::start(&[]) else { return };
    operator.ok(&["add-user", "ann", "secret-a", "--tag", "management"]);
    operator.ok(&["add-user", "ben", "secret-b", "--tag", "management"]);
    for user in ["ann", "ben"] {
        operator.ok(&["set-permissions", user, "", "", ""]);
    }
    let file = operator.file("password", "secret-a\n");
    operator.ok(&["list-queues", "--user", "ann", "--password-file", &file]);
    let profiles = format!(
        "[default]\nuser = 'ben'\npassword = 'secret-b'\n[ann]\nuser = 'ann'\npassword-file = '{file}'\nformat = 'csv'\n[bad]\nuser = 'ann'\npassword = 'x'\n"
    );
    let path = operator.file(".config/leveret/profiles.toml", &profiles);
    let code = |args: &[&str], env: &[(&str, &str)]| {
        let outcome = run(operator.command().envs(env.iter().copied()).arg("list-users").args(args), b"");
        outcome.error.split('\'').nth(1).unwrap_or_default().to_owned()
    };
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    operator.fails(&["list-users"], 2, &["others can read it", "chmod 600"]);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    // Only administrators may list users: what is refused says who it was.
    let env = [("LEVERET_USER", "ann"), ("LEVERET_PASSWORD", "secret-a")];
    assert_eq!(code(&[], &[]), "ben", "the default profile");
    assert_eq!(code(&["--profile", "ann"], &[]), "ann");
    assert_eq!(code(&[], &[("LEVERET_PROFILE", "ann")]), "ann");
    assert_eq!(code(&[], &env), "ann", "the environment before the profile");
    assert_eq!(
        code(&["--user", "ben", "--password", "secret-b"], &env),
        "ben",
        "flags before the environment"
    );
    assert_eq!(code(&["--user", "guest", "--password", "guest"], &env), "", "may");
    operator.fails(&["list-users", "--profile", "bad"], 1, &["user 'ann' is not let in"]);
    operator.fails(&["list-users", "--profile", "none"], 2, &["those that there are: ann, bad, default"]);
    assert_eq!(operator.ok(&["list-queues", "--profile", "ann"]), "name,messages\n", "its format");
    let other = operator.file("other.toml", "[default]\nurl = 'http://127.0.0.1:1'\nuser = 'guest'\n");
    assert_eq!(
        operator.run(&["list-users", "--profiles", &other]).code,
        0,
        "LEVERET_URL before the profile's"
    );
    let broken = operator.file("broken.toml", "[default]\nurll = 'x'\n");
    operator.fails(&["list-users", "--profiles", &broken], 2, &["line 2: unknown field `urll`"]);
}

#[test]
fn over_tls_only_a_certificate_counts_that_is_signed_by_somebody_known() {
    let folder = TempDir::new().unwrap();
    leveret::tls::make_self_signed(folder.path(), &["127.0.0.1".into()], "guest").unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (file("server_certificate.pem"), file("server_key.pem"));
    let Some(operator) =
        Operator::start(&["--https-listen", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key])
    else {
        return;
    };
    let listeners = operator.json(&["status"])["listeners"].clone();
    let of_tls = listeners.as_array().unwrap().iter().find(|its| its["protocol"] == "https").unwrap().clone();
    let url = format!("https://127.0.0.1:{}", of_tls["port"]);
    operator.ok(&["list-queues", "--url", &url, "--cacert", &file("ca_certificate.pem")]);
    operator.fails(
        &["list-queues", "--url", &url, "--cacert", &file("client_certificate.pem")],
        69,
        &["--cacert"],
    );
    operator.fails(&["list-queues", "--url", &url, "--cacert", &key], 2, &["has no certificate"]);
    operator.fails(&["list-queues", "--url", &url, "--cacert", "/no/such/file"], 1, &["/no/such/file"]);
}
