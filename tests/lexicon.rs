//! docs/lexicon.md names types that exist, and has every public type of the machines (floor 2). docs/architecture.md names files that
//! exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const LEXICON: &str = "docs/lexicon.md";
const ARCHITECTURE: &str = "docs/architecture.md";
const MACHINES: [&str; 8] = ["facts", "nickname", "session", "room", "switch", "transaction", "call", "focus"];
/// The crates of the workspace by the first part of a path; other paths are in `src`.
const CRATES: [(&str, &str); 2] = [("proto", "src/proto"), ("bench", "benches/load")];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The types in the last column of a lexicon's tables, with the line that each is on.
fn named_types(lexicon: &str) -> Vec<(usize, String)> {
    let rows = lexicon.lines().enumerate().filter(|(_, line)| line.starts_with("| "));
    rows.flat_map(|(at, line)| {
        let cell = line.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default();
        let types = cell.split('`').skip(1).step_by(2).filter(|name| name.contains("::"));
        types.map(|name| (at + 1, name.to_owned())).collect::<Vec<_>>()
    })
    .collect()
}

/// The files of a module: `a.rs`, and all below `a/`.
fn module_files(path: &[&str]) -> Vec<PathBuf> {
    let (base, rest) = match CRATES.iter().find(|(name, _)| path.first() == Some(name)) {
        Some((_, folder)) => (*folder, &path[1..]),
        None => ("src", path),
    };
    let place = rest.iter().fold(root().join(base), |place, part| place.join(part));
    let (mut open, mut files) = (vec![place.clone(), place.with_extension("rs")], Vec::new());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") && path.is_file() {
            files.push(path);
        }
    }
    files
}

/// Whether a text defines a type, or gives one from elsewhere this name.
fn defines(text: &str, name: &str) -> bool {
    let is_end = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    ["struct ", "enum ", "trait ", "type ", " as "].iter().any(|keyword| {
        text.match_indices(&format!("{keyword}{name}")).any(|(at, found)| is_end(&text[at + found.len()..]))
    }) || is_reexported(text, name)
}

/// Whether `pub use` names it: types of floor 1 that facts pass on are found so.
fn is_reexported(text: &str, name: &str) -> bool {
    public_uses(text).contains(name)
}

/// The types that the `pub use` declarations of a text name.
fn public_uses(text: &str) -> BTreeSet<String> {
    let uses = text.split("\npub use ").skip(1).filter_map(|rest| rest.split(';').next());
    let names = uses.flat_map(|text| {
        text.split(['{', '}', ',']).map(|part| {
            let name = part.trim().rsplit([' ', ':']).next().unwrap_or_default();
            name.to_owned()
        })
    });
    names.filter(|name| is_type(name)).collect()
}

/// `ChunkParser`, but neither `parse` nor `BYTES_MAX`.
fn is_type(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase()) && name.contains(|c: char| c.is_ascii_lowercase())
}

/// The public types that a module declares in its own file or folder file.
fn public_types(module: &str) -> BTreeSet<String> {
    let text = [format!("src/{module}/mod.rs"), format!("src/{module}.rs")]
        .iter()
        .find_map(|path| fs::read_to_string(root().join(path)).ok())
        .unwrap_or_else(|| panic!("the machine `{module}` has neither src/{module}/mod.rs nor src/{module}.rs"));
    let keywords = ["\npub struct ", "\npub enum ", "\npub trait ", "\npub type "];
    let own = keywords
        .iter()
        .flat_map(|keyword| text.split(keyword).skip(1))
        .map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned());
    own.chain(public_uses(&text)).collect()
}

#[test]
fn every_named_type_exists() {
    let lexicon = fs::read_to_string(root().join(LEXICON)).unwrap();
    let named = named_types(&lexicon);
    assert!(named.len() > 80, "{LEXICON} names {} types only", named.len());
    let missing: Vec<String> = named
        .into_iter()
        .filter_map(|(line, name)| {
            let parts: Vec<&str> = name.split("::").collect();
            let (item, module) = parts.split_last().unwrap();
            let files = module_files(module);
            if files.is_empty() {
                return Some(format!("{LEXICON}:{line}: `{name}`: there is no such module; was it moved?"));
            }
            let found = files.iter().any(|file| defines(&fs::read_to_string(file).unwrap(), item));
            (!found).then(|| {
                format!("{LEXICON}:{line}: `{name}`: no struct, enum, trait or type of this name; was it renamed?")
            })
        })
        .collect();
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
}

#[test]
fn every_public_type_of_the_machines_is_listed() {
    let lexicon = fs::read_to_string(root().join(LEXICON)).unwrap();
    let named: BTreeSet<String> = named_types(&lexicon).into_iter().map(|(_, name)| name).collect();
    let all = MACHINES
        .iter()
        .flat_map(|module| public_types(module).into_iter().map(move |name| format!("{module}::{name}")));
    let all: Vec<String> = all.collect();
    assert!(all.len() > 40, "the machines have {} public types only: {all:?}", all.len());
    let missing: Vec<String> = all
        .into_iter()
        .filter(|name| !named.contains(name))
        .map(|name| format!("{LEXICON} has no row for `{name}`: add the word, what it is and its RFC section"))
        .collect();
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
}

/// The paths in backquotes of a text, with the line that each is on.
fn named_paths(text: &str) -> Vec<(usize, &str)> {
    let is_path = |name: &&str| ["src/", "tests/", "benches/"].iter().any(|folder| name.starts_with(folder));
    let lines = text.lines().enumerate();
    lines
        .flat_map(|(at, line)| line.split('`').skip(1).step_by(2).filter(is_path).map(move |name| (at + 1, name)))
        .collect()
}

#[test]
fn every_file_of_the_architecture_exists() {
    let text = fs::read_to_string(root().join(ARCHITECTURE)).unwrap();
    let named = named_paths(&text);
    assert!(named.len() > 80, "{ARCHITECTURE} names {} files only", named.len());
    let missing: Vec<String> = named
        .into_iter()
        .filter(|(_, path)| !root().join(path).exists())
        .map(|(line, path)| format!("{ARCHITECTURE}:{line}: `{path}` does not exist; was it moved?"))
        .collect();
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
    assert_eq!(named_paths("`src/a.rs` and\n`b`, `tests/c`"), [(1, "src/a.rs"), (2, "tests/c")]);
}

#[test]
fn a_type_that_does_not_exist_is_noticed() {
    let rows = named_types(
        "| word | meaning | RFC | type |\n|---|---|---|---|\n| a | `x::Y` | 1 | `ids::RoomId` `ids::Rooms` |\n",
    );
    assert_eq!(rows, [(3, "ids::RoomId".to_owned()), (3, "ids::Rooms".to_owned())]);
    let text = fs::read_to_string(root().join("src/ids.rs")).unwrap();
    assert!(defines(&text, "RoomId") && !defines(&text, "Rooms") && !defines(&text, "Room"));
    let uses = "\npub use a::{Bee, C_MAX, d};\npub use e::Far as Near;\npub use h::Ice;\n";
    assert_eq!(public_uses(uses).into_iter().collect::<Vec<_>>(), ["Bee", "Ice", "Near"]);
    assert!(module_files(&["no", "such"]).is_empty() && module_files(&["proto", "msrp"]).len() > 3);
}
