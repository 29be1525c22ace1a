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

/// The names of all test functions.
fn tests() -> HashSet<String> {
    let mut sources = Vec::new();
    for folder in ["src", "tests"] {
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), "rs", &mut sources);
    }
    let texts = sources.iter().map(|path| fs::read_to_string(path).unwrap());
    let names = |text: String| -> Vec<String> {
        let functions =
            text.split("fn ").skip(1).map(|rest| rest.split(['(', '<']).next().unwrap_or_default().to_owned());
        functions.collect()
    };
    texts.flat_map(names).collect()
}

/// What a table names as tests: paths in backquotes.
fn named(table: &str) -> Vec<String> {
    let quoted = table.split('`').skip(1).step_by(2);
    let paths = quoted.filter(|text| text.contains("::") && !text.contains(' '));
    paths.map(|path| path.rsplit("::").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn every_test_that_is_named_exists() {
    let tests = tests();
    let mut tables = Vec::new();
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance"), "md", &mut tables);
    assert!(tables.len() >= 3, "the tables are there");
    for table in tables {
        let text = fs::read_to_string(&table).unwrap();
        let named = named(&text);
        assert!(named.len() > 10, "{} names its tests", table.display());
        for name in named {
            assert!(tests.contains(&name), "{} names {name}, which is no test", table.display());
        }
    }
}

#[test]
fn a_name_that_is_no_test_is_noticed() {
    let names = named("| 1 | x | `a::b::no_such_thing_at_all`, `not a path` |");
    assert_eq!(names, ["no_such_thing_at_all"]);
    assert!(!tests().contains(&["no_such_thing_at_all", "_really"].concat()));
}
