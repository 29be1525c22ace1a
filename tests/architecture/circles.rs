//! No file imports what imports it, by whatever detour: each can be read, and changed, with what stands below it alone.
//!
//! Paths are followed to the file that defines what they name: a `pub use` is a signpost, not an import. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Source;
use super::{is_at, rust_files, test_places};

/// The crates, by the folder of their root.
const CRATES: [&str; 3] = ["src/proto/", "benches/load/", "src/"];

/// Folders that still have circles. One that has none any more goes from this list.
const OPEN: [&str; 0] = [];

/// A module: its crate's folder and the modules from there.
type Module = (&'static str, Vec<String>);

/// The files of a crate, and what each is called.
struct Files<'a> {
    by_module: BTreeMap<Module, &'a str>,
    sources: BTreeMap<&'a str, Source>,
}

#[test]
fn no_file_is_in_a_circle_with_another() {
    let files: Vec<_> = ["src", "benches/load"].into_iter().flat_map(rust_files).collect();
    let (open, closed): (Vec<_>, Vec<_>) =
        circles(&files).into_iter().partition(|circle| OPEN.iter().any(|folder| circle.starts_with(folder)));
    assert!(closed.is_empty(), "\n{}\n", closed.join("\n"));
    let done: Vec<_> = OPEN.iter().filter(|folder| !open.iter().any(|circle| circle.starts_with(**folder))).collect();
    assert!(done.is_empty(), "{done:?} have no circles any more: take them from the list");
}

#[test]
fn a_circle_is_noticed_by_whatever_way_it_goes() {
    let circles_of = |files: &[(&str, &str)]| {
        let files: Vec<_> = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        circles(&files).len()
    };
    let lib = ("src/lib.rs", "pub mod a; pub mod b;");
    assert_eq!(circles_of(&[lib, ("src/a.rs", "use crate::b::B;"), ("src/b.rs", "struct B;")]), 0);
    assert_eq!(circles_of(&[lib, ("src/a.rs", "use crate::b::B;"), ("src/b.rs", "fn f(a: crate::a::A) {}")]), 1);
    let folder = [("src/a/mod.rs", "mod x; mod y; pub use x::X; pub use y::Y;"), lib];
    let with = |x, y| circles_of(&[folder[0], lib, ("src/a/x.rs", x), ("src/a/y.rs", y)]);
    assert_eq!(with("use super::Y;", "struct Y;"), 0, "a signpost is no import");
    assert_eq!(with("use super::Y;", "use super::{Z, X as W};"), 1, "the signposts lead to the files");
    assert_eq!(with("use super::Y;", "#[cfg(test)] use super::X;"), 0, "tests are left out");
    let parent = |mod_rs, x| circles_of(&[lib, ("src/a/mod.rs", mod_rs), ("src/a/x.rs", x)]);
    assert_eq!(parent("mod x; use self::x::X; struct A;", "use super::A;"), 1, "nor does a child need its parent");
    assert_eq!(parent("mod x; fn f() { x::g() }", "fn g(a: super::A) {}"), 1);
    assert_eq!(parent("mod x; struct A;", "use super::A;"), 0);
}

/// Every circle, as the imports that are part of it.
fn circles(files: &[(String, String)]) -> Vec<String> {
    let edges = imports(files);
    let reach: BTreeMap<&str, BTreeSet<&str>> = edges.keys().map(|from| (*from, reachable(&edges, from))).collect();
    let mut circles: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (from, others) in &edges {
        for to in others.iter().filter(|to| reach.get(*to).is_some_and(|back| back.contains(from))) {
            let first = reach[from].iter().find(|other| reach[*other].contains(from)).copied().unwrap_or(from);
            circles.entry(first).or_default().push(format!("{from} imports {to}"));
        }
    }
    circles.into_values().map(|imports| imports.join("\n") + "\n").collect()
}

fn reachable<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(file) = open.pop() {
        for next in edges.get(file).into_iter().flatten() {
            if reached.insert(*next) {
                open.push(next);
            }
        }
    }
    reached
}

/// Which file names what stands in which.
fn imports(files: &[(String, String)]) -> BTreeMap<&str, BTreeSet<&str>> {
    let tests: Vec<String> = files.iter().flat_map(|(path, text)| test_places(path, text)).collect();
    let files: Vec<_> = files.iter().filter(|(path, _)| !tests.iter().any(|place| is_at(path, place))).collect();
    let known = Files {
        by_module: files.iter().filter_map(|(path, _)| Some((module(path)?, path.as_str()))).collect(),
        sources: files.iter().map(|(path, text)| (path.as_str(), Source::read(text))).collect(),
    };
    files.iter().map(|(path, _)| (path.as_str(), known.named_in(path))).collect()
}

fn module(path: &str) -> Option<Module> {
    let root = CRATES.into_iter().find(|root| path.starts_with(root))?;
    let parts = path[root.len()..].trim_end_matches(".rs").split('/');
    Some((root, parts.filter(|part| !matches!(*part, "mod" | "lib" | "main")).map(str::to_owned).collect()))
}

/// Signposts that are followed one after the other.
const SIGNPOSTS_MAX: usize = 8;

impl<'a> Files<'a> {
    /// The files of what a file names.
    fn named_in(&self, path: &str) -> BTreeSet<&'a str> {
        let (Some(module), Some(source)) = (module(path), self.sources.get(path)) else { return BTreeSet::new() };
        let signposts = source.reexports();
        let paths = source.paths().into_iter().filter(|path| !signposts.contains(path));
        paths.filter_map(|named| self.file_of(&module, &named, 0)).filter(|file| *file != path).collect()
    }

    /// The file that defines what a path names, if it is one of ours. The path stands in `module`.
    fn file_of(&self, module: &Module, path: &[String], followed: usize) -> Option<&'a str> {
        let (root, own) = module;
        // A word alone is a declaration, a variable, or how far something is visible.
        if path.len() == 1 {
            return None;
        }
        let (mut at, rest) = match path[0].as_str() {
            "crate" => (Vec::new(), &path[1..]),
            "self" => (own.clone(), &path[1..]),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                (own[..own.len().checked_sub(ups)?].to_vec(), &path[ups..])
            }
            child => {
                let mut inner = own.clone();
                inner.push(child.to_owned());
                self.by_module.contains_key(&(*root, inner)).then(|| (own.clone(), path))?
            }
        };
        let mut rest = rest.iter();
        let mut item = None;
        for part in rest.by_ref() {
            at.push(part.clone());
            if !self.by_module.contains_key(&(*root, at.clone())) {
                at.pop();
                item = Some(part);
                break;
            }
        }
        let place = (*root, at);
        let file = self.by_module.get(&place)?;
        let signposts = self.sources.get(file)?.reexports();
        match signposts.iter().find(|signpost| item.is_some() && signpost.last() == item) {
            Some(signpost) if followed < SIGNPOSTS_MAX => self.file_of(&place, signpost, followed + 1),
            _ => Some(file),
        }
    }
}
