//! Every test that the conformance tables name exists, so that the tables cannot promise what is not checked.

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

/// The paths of all functions that may be tests: `switch::tests::binding::x`, `msrp::path::tests::x`, `talking::x`.
fn tests() -> HashSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = HashSet::new();
    for folder in ["src", "tests"] {
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
fn every_test_that_is_named_exists() {
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

#[test]
fn a_name_that_is_no_test_is_noticed() {
    let names = named("| 1 | x | `a::b::no_such_thing_at_all`, `not a path` |");
    assert_eq!(names, ["a::b::no_such_thing_at_all"]);
    assert!(!tests().contains(&names[0]));
    let own = "conformance::a_name_that_is_no_test_is_noticed";
    assert!(tests().contains(own) && !tests().contains(&own.replace("conformance", "talking")));
}
