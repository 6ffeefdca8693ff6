//! The map in `src/lib.rs` holds: no module refers to one that lies further out, and the core touches neither the
//! network, the disk, the clock nor chance. Read from the sources, because the compiler would allow it.
//!
//! Parts under `#[cfg(test)]` are free to use what they like.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, but clippy only knows #[test] functions")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

/// Who may refer to whom. Everybody may use `limits`.
const ALLOWED: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("containment", &[]),
    ("protocol", &[]),
    ("core", &["protocol"]),
    ("store", &["core", "protocol", "config", "containment"]),
    ("auth", &["protocol"]),
    ("config", &["protocol"]),
    ("broker", &["store", "core", "protocol", "auth", "config"]),
    ("connection", &["broker", "store", "core", "protocol", "auth", "config", "containment"]),
    ("management", &["broker", "store", "core", "protocol", "auth", "config"]),
    ("server", &["connection", "management", "broker", "store", "core", "protocol", "auth", "config"]),
    (
        "cli",
        &["server", "management", "broker", "store", "core", "protocol", "auth", "config", "containment"],
    ),
];

/// Folders inside which files import each other in no circle, and rooms do not either. A room is a file that lies directly in the
/// folder, together with the folder of the same name.
const WITHOUT_CIRCLES: &[&str] = &["connection"];

/// What the pure layers do without.
const IMPURE: &[&str] = &[
    "tokio",
    "sled",
    "rand",
    "axum",
    "std::net",
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
    "Instant::now",
    "SystemTime",
];

#[test]
fn no_module_refers_to_one_that_lies_further_out() {
    let mut wrong = String::new();
    for source in sources() {
        let layer = source.layer();
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == layer) else {
            assert!(
                matches!(&*layer, "lib" | "main"),
                "src/{layer} has no place in the map of tests/layering.rs"
            );
            continue;
        };
        for used in source.layers_used() {
            if used != layer && used != "limits" && !allowed.contains(&&*used) {
                writeln!(wrong, "{} refers to {used}", source.path.display()).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that run the wrong way:\n{wrong}");
}

#[test]
fn inside_these_folders_files_and_rooms_import_in_no_circle() {
    for folder in WITHOUT_CIRCLES {
        let arrows = arrows_inside(folder);
        assert!(arrows.len() > 10, "the arrows inside {folder} are seen: {arrows:?}");
        let rooms: Arrows = arrows.iter().map(|(from, to)| (room(from), room(to))).collect();
        for (what, arrows) in [("files", arrows), ("rooms", rooms)] {
            let circles = circles(arrows);
            assert!(
                circles.is_empty(),
                "{what} of {folder} that import each other in a circle: {circles:#?}"
            );
        }
    }
}

#[test]
fn circles_are_seen() {
    let arrows = |arrows: &[(&str, &str)]| -> Arrows {
        arrows.iter().map(|(from, to)| (PathBuf::from(from), PathBuf::from(to))).collect()
    };
    let tied = arrows(&[("b", "c"), ("c", "d"), ("d", "b")]);
    let mut all = tied.clone();
    all.extend(arrows(&[("a", "b"), ("d", "e"), ("a", "e")]));
    assert_eq!(circles(all), tied);
    let modules: BTreeMap<_, _> = ["f/mod.rs", "f/g.rs", "f/g/h.rs", "f/i.rs"]
        .map(|path| (module(Path::new(path)), PathBuf::from(path)))
        .into();
    let used = |path: &str| {
        let from = module(Path::new("f/g.rs"));
        file_of(path, &from, &modules).map(|file| file.to_str().unwrap())
    };
    assert_eq!(used("super::i::I"), Some("f/i.rs"));
    assert_eq!(used("crate::f::g::h::H"), Some("f/g/h.rs"));
    assert_eq!(used("h::H"), Some("f/g/h.rs"));
    assert_eq!(used("super::F"), Some("f/mod.rs"));
    assert_eq!(used("h"), None, "a name of something else");
    assert_eq!(used("crate::other::O"), None);
    assert_eq!(used("super"), None, "pub(super)");
    assert_eq!(used("crate::f"), None, "pub(in crate::f)");
    assert_eq!(room(Path::new("f/g/h.rs")), room(Path::new("f/g.rs")));
}

#[test]
fn the_core_and_the_protocol_are_pure() {
    let mut wrong = String::new();
    for source in sources().filter(|source| matches!(&*source.layer(), "core" | "protocol")) {
        for name in IMPURE.iter().filter(|name| source.mentions(name)) {
            writeln!(wrong, "{} mentions {name}", source.path.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "the core does no I/O, reads no clock and draws no chance:\n{wrong}");
}

#[test]
fn the_storage_engine_is_known_to_one_file() {
    let wrong: Vec<_> = sources()
        .filter(|source| source.mentions("sled") && source.path != Path::new("store/kv.rs"))
        .map(|source| source.path)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?} mention sled");
}

#[test]
fn this_test_sees_what_it_should() {
    let text = "
        //! use crate::server::Comment;
        use crate::{broker::{Broker, Vhost as V}, core::{self, queue::Queue}, limits};
        pub use crate::protocol;
        fn f(at: crate::auth::Users) { let text = \"crate::cli\"; } // crate::store
        use super::other; /* crate::connection */
        fn lifetime<'a>(x: &'a str) -> char { '\"' }
        #[cfg(test)]
        mod tests { use crate::server::Server; fn f() { tokio::spawn(\"}\"); } }
        #[cfg(any(test, feature = \"x\"))]
        pub mod also;
        #[cfg(test)]
        mod elsewhere;
        use std::{fs, net::IpAddr}; fn g() { crate :: config::load() }
        fn h() { crate::store::Kv { path: 1 } }
    ";
    let source = Source { path: PathBuf::from("connection/mod.rs"), text: stripped(text) };
    let expected = ["auth", "broker", "config", "core", "limits", "protocol", "store"];
    assert!(source.layers_used().iter().eq(expected), "{:?}", source.layers_used());
    assert!(source.mentions("std::fs") && source.mentions("std::net") && !source.mentions("tokio"));
    assert!(!source.text.contains("elsewhere") && source.text.contains("also"));
}

/// A source file without comments, literals and parts for tests; spaces only where two words would run together.
struct Source {
    /// Below `src`.
    path: PathBuf,
    text: String,
}

impl Source {
    /// The first folder, or the file's name without its ending.
    fn layer(&self) -> String {
        let first = self.path.components().next().unwrap();
        first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
    }

    /// Top-level modules that it names behind `crate::`.
    fn layers_used(&self) -> BTreeSet<String> {
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
    fn mentions(&self, name: &str) -> bool {
        let parts: Vec<&str> = name.split("::").collect();
        paths(&self.text).iter().any(|path| {
            let path: Vec<&str> = path.split("::").collect();
            let anywhere = name.starts_with(char::is_uppercase);
            path.starts_with(&parts) || (anywhere && path.windows(parts.len()).any(|window| window == parts))
        })
    }
}

/// Who imports whom.
type Arrows = BTreeSet<(PathBuf, PathBuf)>;

/// The arrows between the files of a folder.
fn arrows_inside(folder: &str) -> Arrows {
    let sources: Vec<Source> = sources().filter(|source| source.path.starts_with(folder)).collect();
    let modules: BTreeMap<_, _> =
        sources.iter().map(|source| (module(&source.path), source.path.clone())).collect();
    let mut arrows = Arrows::new();
    for source in &sources {
        let from = module(&source.path);
        for path in paths(&source.text) {
            if let Some(to) = file_of(&path, &from, &modules)
                && *to != source.path
            {
                arrows.insert((source.path.clone(), to.clone()));
            }
        }
    }
    arrows
}

/// The module that a file is: `a/b.rs` and `a/b/mod.rs` are both `a::b`.
fn module(path: &Path) -> Vec<String> {
    let path = path.with_extension("");
    let path = if path.ends_with("mod") { path.parent().unwrap() } else { &path };
    path.iter().map(|part| part.to_str().unwrap().to_owned()).collect()
}

/// The file in which a path ends that stands in the module `from`. One that names a folder is only how far something is visible.
fn file_of<'a>(
    path: &str,
    from: &[String],
    modules: &'a BTreeMap<Vec<String>, PathBuf>,
) -> Option<&'a PathBuf> {
    let mut parts = path.split("::").peekable();
    let mut at = from.to_vec();
    match parts.peek().copied()? {
        "crate" | "leveret" => at.clear(),
        "super" | "self" => {}
        child if path.contains("::") && modules.contains_key(&[from, &[child.to_owned()]].concat()) => {}
        _ => return None,
    }
    for part in parts {
        match part {
            "crate" | "leveret" | "self" => {}
            "super" => drop(at.pop()),
            name => at.push(name.to_owned()),
        }
    }
    let names_folder =
        |file: &PathBuf, size| size == at.len() && (path == "super" || file.ends_with("mod.rs"));
    (1..=at.len())
        .rev()
        .find_map(|size| Some((modules.get(&at[..size])?, size)))
        .and_then(|(file, size)| (!names_folder(file, size)).then_some(file))
}

/// The file or folder that lies directly in the top folder.
fn room(path: &Path) -> PathBuf {
    path.iter().take(2).collect::<PathBuf>().with_extension("")
}

/// Arrows that are part of a circle, or lead from one to another.
fn circles(mut arrows: Arrows) -> Arrows {
    arrows.retain(|(from, to)| from != to);
    loop {
        let before = arrows.clone();
        let leads_on = |file: &Path| before.iter().any(|(from, _)| from == file);
        let is_led_to = |file: &Path| before.iter().any(|(_, to)| to == file);
        arrows.retain(|(from, to)| is_led_to(from) && leads_on(to));
        if arrows.len() == before.len() {
            return arrows;
        }
    }
}

/// All source files that are compiled into the program.
fn sources() -> impl Iterator<Item = Source> {
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

fn stripped(text: &str) -> String {
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
fn paths(text: &str) -> Vec<String> {
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
