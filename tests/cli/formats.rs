//! How answers are written.

use crate::operator::Operator;

#[test]
fn a_list_is_a_table_json_or_csv_with_its_headers_or_without() {
    let Some(operator) = Operator::start(&[]) else { return };
    operator.ok(&["declare-queue", "b,\"c\""]);
    operator.ok(&["declare-queue", "jobs"]);
    operator.ok(&["publish", "jobs", "x"]);
    let list = |more: &[&str]| operator.ok(&[&["list-queues", "name", "messages"], more].concat());
    assert_eq!(list(&[]), "name   messages\nb,\"c\"         0\njobs          1\n");
    assert_eq!(list(&["--no-headers"]), "b,\"c\"  0\njobs   1\n");
    assert_eq!(list(&["--format", "csv"]), "name,messages\n\"b,\"\"c\"\"\",0\njobs,1\n");
    assert_eq!(list(&["--format", "csv", "--no-headers"]), "\"b,\"\"c\"\"\",0\njobs,1\n");
    let json = "[\n  {\n    \"messages\": 0,\n    \"name\": \"b,\\\"c\\\"\"\n  },\n  {\n    \"messages\": 1,\n    \"name\": \"jobs\"\n  }\n]\n";
    assert_eq!(list(&["--format", "json"]), json);
    assert_eq!(operator.run(&["list-queues", "--format", "xml"]).code, 2);
}

#[test]
fn what_a_peer_has_put_in_a_name_does_not_reach_the_terminal() {
    let Some(operator) = Operator::start(&[]) else { return };
    operator.ok(&["declare-queue", "evil\u{1b}[2Jname"]);
    let shown = operator.ok(&["list-queues", "name"]);
    assert_eq!(shown, "name\nevil\\u{1b}[2Jname\n");
    for command in [&["show", "queue", "evil\u{1b}[2Jname"][..], &["top", "--count", "1"]] {
        let shown = operator.ok(command);
        assert!(!shown.contains('\u{1b}') && shown.contains("evil\\u{1b}"), "{shown}");
    }
    operator.fails(&["delete-queue", "no\u{1b}[2J\nname"], 1, &["no\\u{1b}[2J\\nname"]);
}

#[test]
fn nobody_who_reads_on_is_no_error() {
    let Some(operator) = Operator::start(&[]) else { return };
    let mut command = operator.command();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.args(["list-exchanges"]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
}
