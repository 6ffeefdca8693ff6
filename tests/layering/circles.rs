//! No circle of files, and none of rooms.
//!
//! A *room* is what lies directly in a folder: a file, or a folder together with the file of its name. Without a circle of rooms
//! they can be put on floors so that all imports run downwards. What a file names by `use` or by a path counts, and what is handed
//! on by `pub use` counts for the file that defines it. A part of a module may name the module that it is a part of (`super::Queue`
//! in `queue/leaving.rs`), because its methods are those of that module's types.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use crate::sources::{Source, paths, sources};

/// Files that may know each other: what the generator writes, and what it is written for.
const MAY_KNOW_EACH_OTHER: &[&str] = &["protocol::generated", "protocol::method"];

type Modules = BTreeMap<String, Source>;
/// Module to the modules that it names.
pub type Arrows = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_files_import_each_other_in_a_circle() {
    let modules = modules();
    let mut arrows = arrows(&modules);
    for module in MAY_KNOW_EACH_OTHER {
        arrows.remove(*module);
    }
    let circles = circles(&arrows);
    assert!(circles.is_empty(), "circles of files:\n{}", told(&circles, &arrows));
}

#[test]
fn no_rooms_of_a_folder_import_each_other_in_a_circle() {
    let arrows = arrows(&modules());
    let folders: BTreeSet<&str> =
        arrows.keys().filter_map(|module| Some(module.rsplit_once("::")?.0)).collect();
    let mut wrong = String::new();
    for folder in folders.into_iter().filter(|folder| *folder != "protocol") {
        let rooms = rooms_of(folder, &arrows);
        let circles = circles(&rooms);
        if !circles.is_empty() {
            writeln!(wrong, "{folder}:\n{}", told(&circles, &rooms)).unwrap();
        }
    }
    assert!(wrong.is_empty(), "circles of rooms:\n{wrong}");
}

#[test]
fn circles_are_found() {
    let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    let modules = by_module([
        source("core/mod.rs", "pub mod a; pub mod b;"),
        source("core/a.rs", "use crate::core::b::Thing; pub struct Other;"),
        source("core/b.rs", "pub use inner::Thing; pub struct Whole;"),
        source("core/b/inner.rs", "use super::Whole; pub struct Thing; fn f(it: crate::core::a::Other) {}"),
        source("core/c.rs", "use super::b;"),
    ]);
    let arrows = arrows(&modules);
    let to = |module: &str| arrows[module].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(to("core::a"), ["core::b::inner"], "what is handed on counts for who defines it");
    assert_eq!(to("core::b::inner"), ["core::a"], "a part may name its whole");
    assert_eq!((to("core::b").len(), to("core::c")), (0, vec!["core::b"]), "handing on is no import");
    assert_eq!(circles(&arrows), [["core::a", "core::b::inner"].map(String::from)]);
    assert_eq!(circles(&rooms_of("core", &arrows)), [["a", "b"].map(String::from)]);
}

/// Which module of the program names which.
pub fn all_arrows() -> Arrows {
    arrows(&modules())
}

fn modules() -> Modules {
    by_module(sources())
}

fn by_module(sources: impl IntoIterator<Item = Source>) -> Modules {
    let name = |source: &Source| {
        let path = source.path.with_extension("");
        let path = if path.ends_with("mod") { path.parent().unwrap() } else { &path };
        let parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap()).collect();
        parts.join("::")
    };
    sources.into_iter().map(|source| (name(&source), source)).collect()
}

fn arrows(modules: &Modules) -> Arrows {
    let arrows_of = |(module, source): (&String, &Source)| {
        let own = without_handing_on(&source.text);
        let named = paths(&own).into_iter().filter_map(|path| defining(modules, module, &path, 0));
        let is_whole = |other: &String| module.starts_with(&format!("{other}::"));
        let others = named.filter(|other| other != module && !is_whole(other)).collect();
        (module.clone(), others)
    };
    modules.iter().map(arrows_of).collect()
}

/// The module that defines what a path names, as `module` sees it. `None` if that is none of ours.
fn defining(modules: &Modules, module: &str, path: &str, depth: usize) -> Option<String> {
    let mut at: Vec<&str> = module.split("::").filter(|part| !part.is_empty()).collect();
    let mut rest = path.split("::").peekable();
    match *rest.peek()? {
        "crate" | "leveret" => {
            at.clear();
            rest.next();
        }
        "self" => drop(rest.next()),
        "super" => {
            while rest.next_if_eq(&"super").is_some() {
                at.pop();
            }
        }
        first => {
            at.push(first);
            modules.get(&at.join("::"))?;
            rest.next();
        }
    }
    while let Some(part) = rest.peek() {
        at.push(part);
        if !modules.contains_key(&at.join("::")) {
            at.pop();
            break;
        }
        rest.next();
    }
    let found = at.join("::");
    let source = modules.get(&found)?;
    let Some(name) = rest.next() else { return Some(found) };
    // It may be handed on from elsewhere.
    let handed_on = handing_on(&source.text);
    let from = paths(&handed_on)
        .into_iter()
        .find(|path| path.rsplit("::").next() == Some(name) && path.contains("::"));
    match from {
        Some(from) if depth < 8 => defining(modules, &found, &from, depth + 1).or(Some(found)),
        _ => Some(found),
    }
}

/// What is between `pub use` and its semicolon, for all of them.
fn handing_on(text: &str) -> String {
    let handed_on = uses(text).into_iter().filter(|(_, public)| *public);
    handed_on.map(|(part, _)| part).collect::<Vec<_>>().join(";") + ";"
}

fn without_handing_on(text: &str) -> String {
    let mut kept = text.to_owned();
    for (part, _) in uses(text).into_iter().filter(|(_, public)| *public) {
        kept = kept.replace(part, "");
    }
    kept
}

/// The paths of all `use` declarations, as they stand there, and whether each is public.
fn uses(text: &str) -> Vec<(&str, bool)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("use ") {
        let before = text[..at].trim_end();
        if text[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_') {
            continue;
        }
        let public = before.ends_with("pub")
            || before.ends_with(')') && before.rsplit("pub(").next().is_some_and(|it| it.len() < 40);
        let end = text[at..].find(';').map_or(text.len(), |end| at + end);
        found.push((&text[at + 4..end], public));
    }
    found
}

/// The rooms of a folder, and which names which.
fn rooms_of(folder: &str, arrows: &Arrows) -> Arrows {
    let room = |module: &str| {
        let inside = module.strip_prefix(folder)?.strip_prefix("::")?;
        Some(inside.split("::").next()?.to_owned())
    };
    let mut rooms = Arrows::new();
    for (module, others) in arrows {
        let Some(own) = room(module) else { continue };
        let others = others.iter().filter_map(|other| room(other)).filter(|other| *other != own);
        rooms.entry(own.clone()).or_default().extend(others);
    }
    rooms
}

/// Sets of at least two that can be reached from each other.
fn circles(arrows: &Arrows) -> Vec<Vec<String>> {
    let reached = |from: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(next) = open.pop() {
            for other in arrows.get(&next).into_iter().flatten() {
                if seen.insert(other.clone()) {
                    open.push(other.clone());
                }
            }
        }
        seen
    };
    let reach: BTreeMap<&String, BTreeSet<String>> =
        arrows.keys().map(|module| (module, reached(module))).collect();
    let mut found = BTreeSet::new();
    for (module, its) in &reach {
        if its.contains(*module) {
            let circle =
                its.iter().filter(|other| reach.get(*other).is_some_and(|back| back.contains(*module)));
            found.insert(circle.cloned().collect::<Vec<_>>());
        }
    }
    found.into_iter().collect()
}

fn told(circles: &[Vec<String>], arrows: &Arrows) -> String {
    let mut told = String::new();
    for circle in circles {
        for module in circle {
            let others: Vec<_> =
                arrows[module].iter().filter(|other| circle.contains(other)).map(String::as_str).collect();
            writeln!(told, "  {module} -> {}", others.join(", ")).unwrap();
        }
        told.push('\n');
    }
    told
}
