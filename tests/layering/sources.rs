//! The sources of the program, without what only tests see, and the paths that they name.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A source file without comments, literals and parts for tests; spaces only where two words would run together.
pub struct Source {
    /// Below `src`.
    pub path: PathBuf,
    pub text: String,
}

impl Source {
    /// The first folder, or the file's name without its ending.
    pub fn layer(&self) -> String {
        let first = self.path.components().next().unwrap();
        first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
    }

    /// Top-level modules that it names behind `crate::`.
    pub fn layers_used(&self) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        for path in paths(&self.text) {
            let mut parts = path.split("::");
            if matches!(parts.next(), Some("crate" | "leveret"))
                && let Some(layer) = parts.next()
            {
                used.insert(layer.to_owned());
            }
        }
        used.retain(|layer| layer.starts_with(char::is_lowercase) && layer != "self");
        used
    }

    /// Whether a path begins with `name`, or ends so (`Instant::now`, `SystemTime`).
    pub fn mentions(&self, name: &str) -> bool {
        let parts: Vec<&str> = name.split("::").collect();
        paths(&self.text).iter().any(|path| {
            let path: Vec<&str> = path.split("::").collect();
            let anywhere = name.starts_with(char::is_uppercase);
            path.starts_with(&parts) || (anywhere && path.windows(parts.len()).any(|window| window == parts))
        })
    }
}

/// All source files that are compiled into the program.
pub fn sources() -> impl Iterator<Item = Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 40, "the sources are there");
    let texts: Vec<(PathBuf, String)> = files
        .into_iter()
        .map(|path| (path.strip_prefix(&root).unwrap().to_owned(), fs::read_to_string(&path).unwrap()))
        .collect();
    let for_tests: BTreeSet<PathBuf> =
        texts.iter().flat_map(|(path, text)| test_modules(path, &without_literals(text))).collect();
    let compiled =
        move |path: &Path| !path.ancestors().any(|part| for_tests.contains(&part.with_extension("")));
    texts
        .into_iter()
        .filter(move |(path, _)| compiled(path))
        .map(|(path, text)| Source { path, text: stripped(&text) })
}

/// Files (without ending) that a file declares as modules for tests: `#[cfg(test)] mod tests;`.
fn test_modules(path: &Path, text: &str) -> Vec<PathBuf> {
    let folder = match path.file_stem().unwrap().to_str().unwrap() {
        "mod" | "lib" | "main" => path.parent().unwrap().to_owned(),
        _ => path.with_extension(""),
    };
    let declared = |rest: &str| {
        let end = rest.find([';', '{'])?;
        let name = rest[..end].split_whitespace().next_back()?;
        let is_file = rest[..end].contains("mod ") && rest[end..].starts_with(';');
        is_file.then(|| folder.join(name))
    };
    text.split("#[cfg(test)]").skip(1).filter_map(declared).collect()
}

pub fn stripped(text: &str) -> String {
    without_tests(&without_literals(text))
}

/// Comments and literals blanked out.
fn without_literals(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if let Some(hashes) = raw_string(rest).filter(|_| !kept.ends_with(is_word)) {
            let end = format!("\"{hashes}");
            let from = 2 + hashes.len();
            rest[from..].find(&end).map_or(rest.len(), |at| from + at + end.len())
        } else if first == '"' {
            1 + quoted(&rest[1..], '"')
        } else if first == '\'' && is_character(rest) {
            1 + quoted(&rest[1..], '\'')
        } else {
            0
        };
        if skipped == 0 {
            kept.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            kept.push(' ');
            rest = &rest[skipped..];
        }
    }
    kept
}

/// The hashes of a raw string that begins here.
fn raw_string(text: &str) -> Option<&str> {
    let text = text.strip_prefix('r')?;
    let hashes = text.len() - text.trim_start_matches('#').len();
    text[hashes..].starts_with('"').then(|| &text[..hashes])
}

/// Bytes up to and with the closing quote.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if letter == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A character literal, not a lifetime.
fn is_character(text: &str) -> bool {
    let mut letters = text.chars().skip(1);
    letters.next() == Some('\\') || letters.next() == Some('\'')
}

/// Without what follows `#[cfg(test)]`: up to a semicolon, or a block in braces.
fn without_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut parts = text.split("#[cfg(test)]");
    kept.push_str(parts.next().unwrap());
    for part in parts {
        let end = part.find([';', '{']).unwrap();
        let mut depth = 0;
        let end = part[end..].char_indices().find_map(|(at, letter)| {
            depth += i32::from(letter == '{') - i32::from(letter == '}');
            (depth == 0).then_some(end + at + 1)
        });
        kept.push_str(&part[end.unwrap()..]);
    }
    kept
}

/// All paths in a text, those in braces written out: `a::{b, c::d}` is `a::b` and `a::c::d`.
pub fn paths(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Vec<Option<String>> = Vec::new();
    let mut current = String::new();
    let mut joined = false;
    for token in tokens(text) {
        match token {
            "::" => joined = true,
            "{" => {
                let path = std::mem::take(&mut current);
                if !joined {
                    found.push(path.clone());
                }
                open.push(joined.then_some(path));
                current = open.last().cloned().flatten().unwrap_or_default();
                joined = !current.is_empty();
            }
            "}" | "," | ";" => {
                found.push(std::mem::take(&mut current));
                if token == "}" {
                    open.pop();
                }
                current = open.last().cloned().flatten().filter(|_| token != ";").unwrap_or_default();
                joined = !current.is_empty();
            }
            word if word.starts_with(is_word) => {
                if joined && !current.is_empty() {
                    current.push_str("::");
                } else {
                    found.push(std::mem::take(&mut current));
                }
                current.push_str(word);
                joined = false;
            }
            _ => {
                found.push(std::mem::take(&mut current));
                joined = false;
            }
        }
    }
    found.push(current);
    found.retain(|path| !path.is_empty());
    found
}

fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let first = rest.chars().next()?;
        let size = if rest.starts_with("::") {
            2
        } else if is_word(first) {
            rest.find(|letter| !is_word(letter)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (token, behind) = rest.split_at(size);
        rest = behind;
        Some(token)
    })
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}
