//! Somebody at a terminal with a broker.

use std::{
    io::Write,
    process::{Command, Stdio},
    sync::Arc,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::broker::Broker;

/// An operator, and the broker that it is for.
pub struct Operator {
    pub broker: Arc<Broker>,
    pub url: String,
    home: TempDir,
}

/// What a command did.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub out: String,
    pub error: String,
}

impl Operator {
    /// The default user, at a broker of the test's own. `None` when a broker is tested that somebody else has started.
    pub fn start(args: &[&str]) -> Option<Self> {
        let all = [&["--http-listen", "127.0.0.1:0", "--password-hashing", "sha256"], args].concat();
        let broker = Broker::start(&all, &[])?;
        let url = format!("http://{}", broker.http_address.as_ref().unwrap());
        Some(Self { broker, url, home: TempDir::new().unwrap() })
    }

    /// A file in the operator's home.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().into()
    }

    /// A command that knows where the broker is.
    pub fn command(&self) -> Command {
        let mut command = bare();
        command.env("HOME", self.home.path()).env("LEVERET_URL", &self.url);
        command
    }

    /// Runs a command.
    pub fn run(&self, args: &[&str]) -> Outcome {
        run(self.command().args(args), b"")
    }

    /// Runs a command that reads something.
    pub fn fed(&self, args: &[&str], input: &[u8]) -> Outcome {
        run(self.command().args(args), input)
    }

    /// What a command that succeeds says.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        let outcome = self.run(args);
        assert_eq!(outcome.code, 0, "{args:?}: {outcome:?}");
        assert_eq!(outcome.error, "", "{args:?}");
        outcome.out
    }

    /// The JSON that a command says.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[args, &["--format", "json"]].concat())).unwrap()
    }

    /// A command fails with this code, and its line has these words.
    #[track_caller]
    pub fn fails(&self, args: &[&str], code: i32, words: &[&str]) {
        self.run(args).failed(code, words);
    }
}

impl Outcome {
    /// It has failed with this code and one line that has these words.
    #[track_caller]
    pub fn failed(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.error.lines().count(), 1, "{self:?}");
        for word in words {
            assert!(self.error.contains(word), "{word} in {self:?}");
        }
    }
}

/// The program with nothing in its environment.
pub fn bare() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
    command.env_clear();
    command
}

/// Runs a command to its end.
pub fn run(command: &mut Command, input: &[u8]) -> Outcome {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // One that reads nothing may have ended by now.
    let _ = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code().unwrap(), out: text(output.stdout), error: text(output.stderr) }
}
