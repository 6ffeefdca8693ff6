//! What documents point to is there.

use std::{fs, path::Path};

/// Written from the project's folder, or from `src`.
#[test]
fn every_path_in_the_documents_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents: Vec<_> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"].map(|name| root.join(name)).into();
    let pages = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    documents.extend(pages.filter(|page| page.is_file()));
    let (mut missing, mut seen) = (Vec::new(), 0);
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        // Between backticks, outside of blocks of code.
        let code = text.split("```").step_by(2).flat_map(|part| part.split('`').skip(1).step_by(2));
        for path in code.filter(|code| is_path(code)) {
            seen += 1;
            if !root.join(path).exists() && !root.join("src").join(path).exists() {
                missing.push(format!("{}: {path}", document.strip_prefix(root).unwrap().display()));
            }
        }
    }
    assert!(seen > 40, "{seen} paths are found");
    assert!(missing.is_empty(), "these are not there:\n{}", missing.join("\n"));
}

fn is_path(code: &str) -> bool {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "_-./".contains(letter);
    let is_ours = code.starts_with("src/") || code.starts_with("tests/") || code.starts_with("docs/");
    code.chars().all(is_name)
        && (is_ours || code.contains('/') && Path::new(code).extension().is_some_and(|it| it == "rs"))
}
