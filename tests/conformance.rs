//! Every test named in the conformance tables exists, and docs/faults.md has a row for each fault, with a test that exists.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

fn files(folder: &Path, ending: &str, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, ending, out);
        } else if path.extension().is_some_and(|extension| extension == ending) {
            out.push(path);
        }
    }
}

/// The paths of all functions that may be tests: `switch::tests::binding::x`, `talking::x`, and those of another crate from its
/// root: `msrp::path::tests::x`, `msrp_wire::x`.
fn tests() -> HashSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = HashSet::new();
    for folder in ["src", "src/proto", "src/proto/tests", "benches/load", "tests"] {
        let mut sources = Vec::new();
        files(&root.join(folder), "rs", &mut sources);
        for source in sources {
            let module = module_of(source.strip_prefix(root.join(folder)).unwrap());
            let text = fs::read_to_string(&source).unwrap();
            let (before, inner) = text.split_once("\nmod tests {").unwrap_or((&text, ""));
            let names = |text: &str, module: &str| -> Vec<String> {
                let name = |rest: &str| rest.split(['(', '<']).next().unwrap_or_default().to_owned();
                text.split("fn ").skip(1).map(|rest| format!("{module}::{}", name(rest))).collect()
            };
            paths.extend(names(before, &module));
            paths.extend(names(inner, &format!("{module}::tests")));
        }
    }
    paths
}

/// The module of a file: `switch/tests/binding.rs` is `switch::tests::binding`, `focus/mod.rs` and `focus/main.rs` are `focus`.
fn module_of(file: &Path) -> String {
    let path = file.with_extension("");
    let mut parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap()).collect();
    if parts.len() > 1 && matches!(parts.last(), Some(&"mod" | &"main")) {
        parts.pop();
    }
    parts.join("::")
}

/// What a table names as tests: paths in backquotes.
fn named(table: &str) -> Vec<String> {
    let quoted = table.split('`').skip(1).step_by(2);
    quoted.filter(|text| text.contains("::") && !text.contains(' ')).map(str::to_owned).collect()
}

#[test]
fn every_named_test_exists() {
    let tests = tests();
    let mut tables = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance"), "md", &mut tables);
    assert!(tables.len() >= 3, "the tables are there");
    let mut missing = Vec::new();
    for table in tables {
        let named = named(&fs::read_to_string(&table).unwrap());
        assert!(named.len() > 10, "{} names its tests", table.display());
        let absent = named.into_iter().filter(|name| !tests.contains(name));
        missing.extend(absent.map(|name| format!("{} names {name}, which is no test", table.display())));
    }
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
}

/// Faults that have a row each: a letter and its numbers.
const FAULTS: [(char, &[u8]); 4] = [
    ('S', &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
    ('P', &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ('L', &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]),
    ('U', &[1, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14]),
];

/// The rows of a text's tables, each with the ids in its first cell: `S1`, or `L4, L5`.
fn rows(text: &str) -> Vec<(Vec<String>, &str)> {
    let lines =
        text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| id ") && !line.starts_with("|--"));
    let ids = |line: &str| {
        let first = line.split('|').nth(1).unwrap_or_default();
        first.split([',', ' ']).filter(|id| is_id(id)).map(str::to_owned).collect()
    };
    lines.map(|line| (ids(line), line)).collect()
}

fn is_id(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|letter| FAULTS.iter().any(|(known, _)| *known == letter))
        && !characters.as_str().is_empty()
        && characters.all(|c| c.is_ascii_digit())
}

/// What is named as a test in a row of docs/faults.md: only paths of modules, as other code stands in backquotes there too.
fn named_tests(row: &str) -> Vec<String> {
    let is_path =
        |name: &String| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:".contains(c));
    named(row).into_iter().filter(|name| is_path(name) && !name.starts_with(':')).collect()
}

/// Faults without a row.
fn missing_faults(text: &str) -> Vec<String> {
    let there: HashSet<String> = rows(text).into_iter().flat_map(|(ids, _)| ids).collect();
    let all = FAULTS.iter().flat_map(|(letter, numbers)| numbers.iter().map(move |number| format!("{letter}{number}")));
    all.filter(|id| !there.contains(id)).collect()
}

/// What is wrong with the rows that are there: tests that do not exist, and rows that name none.
fn wrong_rows(text: &str) -> Vec<String> {
    let (tests, mut wrong) = (tests(), Vec::new());
    for (ids, row) in rows(text) {
        let named = named_tests(row);
        if !ids.is_empty() && named.is_empty() {
            wrong.push(format!("{} names no test", ids.join(", ")));
        }
        let absent = named.into_iter().filter(|name| !tests.contains(name));
        wrong.extend(absent.map(|name| format!("{} names {name}, which is no test", ids.join(", "))));
    }
    wrong
}

fn faults() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md")).unwrap()
}

#[test]
fn every_fault_has_a_row() {
    let missing = missing_faults(&faults());
    assert!(missing.is_empty(), "docs/faults.md has no row for {}", missing.join(", "));
}

#[test]
fn every_test_of_a_fault_exists() {
    let wrong = wrong_rows(&faults());
    assert!(wrong.is_empty(), "docs/faults.md:\n{}\n", wrong.join("\n"));
}

#[test]
fn a_fault_without_a_row_or_without_a_test_is_noticed() {
    let own = "conformance::a_fault_without_a_row_or_without_a_test_is_noticed";
    let text =
        format!("| id | x |\n|---|---|\n| S1 | `[::]:1` | `{own}` |\n| L4, L5 | `a::b::none` |\n| P9 | none |\n");
    let missing = missing_faults(&text);
    assert!(!["S1", "L4", "L5", "P9"].iter().any(|id| missing.contains(&(*id).to_owned())), "{missing:?}");
    assert!(missing.contains(&"S16".to_owned()) && missing.len() == 51, "{missing:?}");
    assert_eq!(wrong_rows(&text), ["L4, L5 names a::b::none, which is no test", "P9 names no test"]);
}

#[test]
fn a_name_without_a_test_is_noticed() {
    let names = named("| 1 | x | `a::b::no_such_thing_at_all`, `not a path` |");
    assert_eq!(names, ["a::b::no_such_thing_at_all"]);
    assert!(!tests().contains(&names[0]));
    let own = "conformance::a_name_without_a_test_is_noticed";
    assert!(tests().contains(own) && !tests().contains(&own.replace("conformance", "talking")));
}
