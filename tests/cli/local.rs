//! What takes no broker.

use tempfile::TempDir;

use crate::operator::{bare, run};

#[test]
fn hashes_completions_and_manual_pages_are_made_without_a_broker() {
    let ok = |args: &[&str]| {
        let outcome = run(bare().args(args), b"");
        assert_eq!((outcome.code, &*outcome.error), (0, ""), "{args:?}");
        outcome.out
    };
    assert!(ok(&["hash-password", "secret"]).starts_with("$argon2id$v=19$"));
    assert_eq!(ok(&["hash-password", "secret", "--algorithm", "sha256"]).trim().len(), 48);
    assert_eq!(run(bare().arg("hash-password"), b"").code, 2);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(ok(&["completions", shell]).contains("list-queues"), "{shell}");
    }
    assert_eq!(run(bare().args(["completions", "no-such"]), b"").code, 2);
    let page = ok(&["man"]);
    assert!(page.contains(".TH leveret 1") && page.contains("list\\-queues"), "{page}");
    assert!(ok(&["man", "--markdown"]).starts_with("# The command line"));
    let folder = TempDir::new().unwrap();
    let pages = folder.path().join("pages");
    ok(&["man", "--dir", pages.to_str().unwrap()]);
    for name in ["leveret.1", "leveret-list-queues.1", "leveret-show-queue.1"] {
        assert!(pages.join(name).is_file(), "{name}");
    }
}
