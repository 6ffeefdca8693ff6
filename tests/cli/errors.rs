//! What is said when something cannot be done, and the exit codes.

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
};

use crate::operator::{Operator, bare, run};

#[test]
fn who_is_not_let_in_hears_who_that_was_and_how_to_be_somebody_else() {
    let Some(operator) = Operator::start(&[]) else { return };
    let words =
        ["user 'guest' is not let in at http://127.0.0.1", "--password-file", "LEVERET_USER", "--profile"];
    operator.fails(&["list-queues", "--password", "wrong"], 1, &words);
    operator.fails(
        &["list-queues", "--user", "nobody", "--password", "x"],
        1,
        &["user 'nobody' is not let in"],
    );
    operator.fails(&["list-queues", "--token", "no.such.token"], 1, &["who has this token is not let in"]);
    operator.ok(&["add-user", "ann", "secret", "--tag", "management"]);
    let ann = ["--user", "ann", "--password", "secret"];
    operator.fails(
        &[&["list-users"], &ann[..]].concat(),
        1,
        &["user 'ann' may not do this", "administrator"],
    );
    operator.fails(&[&["declare-queue", "q"], &ann[..]].concat(), 1, &["user 'ann' may not do this"]);
    operator.ok(&[&["status"], &ann[..]].concat());
}

#[test]
fn a_broker_that_is_not_there_is_code_69_and_says_what_to_look_at() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    for command in
        [&["list-queues"][..], &["health"], &["health", "--ready"], &["top"], &["show", "queue", "q"]]
    {
        let outcome = run(bare().args(command).args(["--url", &url]), b"");
        outcome.failed(
            69,
            &["cannot reach http://127.0.0.1:", "connection refused", "--http-listen", "LEVERET_URL"],
        );
    }
}

#[test]
fn a_command_line_that_makes_no_sense_is_code_2() {
    for (command, words) in [
        (&["list-queues", "--url", "localhost:15672"][..], "does not begin with http://"),
        (&["list-queues", "--url", "http://ann:secret@localhost"], "do not stand in the address"),
        (&["list-queues", "--user", "ann"], "the password of user 'ann' is not given"),
        (&["list-queues", "--user", "ann", "--token", "t"], "only one of them can count"),
        (&["list-queues", "--password", "a", "--password-file", "b"], "only one of them can count"),
        (&["list-queues", "--profile", "none"], "there is no profile 'none'"),
        (&["list-queues", "no-such-column"], "there is no column"),
        (&["redrive", "q", "--to-origin", "--older-than", "5"], "is no time"),
    ] {
        let outcome = run(bare().args(command), b"");
        assert_eq!(outcome.code, 2, "{command:?}: {outcome:?}");
        outcome.failed(2, &[words]);
    }
    for command in
        [&["no-such-command"][..], &["declare-queue"], &["list-queues", "--no-such-flag"], &["redrive", "q"]]
    {
        assert_eq!(run(bare().args(command), b"").code, 2, "{command:?}");
    }
}

/// Somebody at an address who has one answer to everything.
fn answering(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let mut head = [0; 4_096];
            let _ = socket.read(&mut head);
            let _ = socket.write_all(answer);
        }
    });
    url
}

#[test]
fn somebody_else_at_the_address_is_no_broker() {
    for (answer, words) in [
        (&b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>"[..], "is not the HTTP API's"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "a list is expected"),
        (
            b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
            "leads elsewhere",
        ),
        (b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 6\r\n\r\n<html>", "the broker answers 502"),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 6\r\n\r\n<html>", "there is no"),
        (b"AMQP\x00\x00\x09\x01", "127.0.0.1"),
    ] {
        let outcome = run(bare().args(["list-queues", "--url", &answering(answer)]), b"");
        assert!(matches!(outcome.code, 1 | 69), "{outcome:?}");
        outcome.failed(outcome.code, &[words]);
    }
}
