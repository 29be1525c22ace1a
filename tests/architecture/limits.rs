//! Every maximum stands in `src/limits.rs`, those of the grammar in `src/proto/limits.rs`, and a test names it.

use std::collections::HashSet;

use super::source::words;
use super::{FLOORS, is_at, module_of, rust_files, test_places};

const LIMITS: [&str; 2] = ["src/limits.rs", "src/proto/limits.rs"];

/// Maxima of the floors below the shell that no peer can make us reach.
const OUR_OWN: [(&str, &str); 4] = [
    ("src/focus/lifecycle/session.rs", "SHARD_ANSWER_MAX"),
    ("src/call/session_timer.rs", "EARLY_MAX"),
    ("src/proto/msrp/end_line.rs", "END_LINE_BYTES_MAX"),
    ("src/transaction/encoder.rs", "BODY_COPIED_MAX"),
];

#[test]
fn every_limit_is_named_by_a_test() {
    let files = rust_files("src");
    let limits = files.iter().filter(|(path, _)| LIMITS.contains(&&**path));
    let names: Vec<String> = limits.flat_map(|(_, text)| constants(text)).collect();
    assert!(names.len() > 60, "{} limits", names.len());
    let mut tests: Vec<String> = rust_files("tests").into_iter().map(|(_, text)| text).collect();
    let places: Vec<String> = files.iter().flat_map(|(path, text)| test_places(path, text)).collect();
    tests.extend(files.iter().map(|(path, text)| match places.iter().any(|place| is_at(path, place)) {
        true => text.clone(),
        false => tests_within(text).to_owned(),
    }));
    let named: HashSet<String> = tests.iter().flat_map(|text| words(text)).collect();
    let untested: Vec<_> = names.iter().filter(|name| !named.contains(*name)).collect();
    assert!(untested.is_empty(), "no test names {untested:?}");
}

#[test]
fn below_the_shell_maxima_stand_in_one_file() {
    let misplaced: Vec<String> = rust_files("src").iter().flat_map(|(path, text)| misplaced(path, text)).collect();
    assert!(misplaced.is_empty(), "to be moved to {LIMITS:?}: {misplaced:?}");
}

#[test]
fn a_maximum_that_stands_elsewhere_is_noticed() {
    let text = "const QUEUE_MAX: usize = 1;\n    pub(super) const X_MAX: u8 = 2;\nconst MAXIMUM: u8 = 3;\n// const Y_MAX: u8 = 4;";
    assert_eq!(misplaced("src/focus/face.rs", text), ["src/focus/face.rs QUEUE_MAX", "src/focus/face.rs X_MAX"]);
    assert_eq!(misplaced("src/shard/flush.rs", text), [""; 0], "the shell has buffers of its own");
    assert_eq!(misplaced(LIMITS[0], text), [""; 0]);
    assert_eq!(misplaced("src/focus/face.rs", &format!("#[cfg(test)]\nmod tests {{\n{text}\n}}")), [""; 0]);
    assert_eq!(tests_within("const A: u8 = 1;\n#[cfg(test)]\nmod tests {\nA }"), "mod tests {\nA }");
}

/// The names of the constants of a file, private ones too.
fn constants(text: &str) -> Vec<String> {
    let after =
        |line: &str| line.trim_start().rsplit_once("const ").map(|(before, rest)| (before.to_owned(), rest.to_owned()));
    let named = text.lines().filter_map(after).filter(|(before, _)| before.is_empty() || before.starts_with("pub"));
    named.filter_map(|(_, rest)| Some(rest.split_once(':')?.0.to_owned())).filter(|name| name != "_").collect()
}

/// The maxima of a file below the shell that it should not have.
fn misplaced(path: &str, text: &str) -> Vec<String> {
    let floor = FLOORS.iter().find(|(name, _)| module_of(path).first() == Some(name)).map(|(_, floor)| *floor);
    if LIMITS.contains(&path) || floor.is_none_or(|floor| floor > 2) {
        return Vec::new();
    }
    let own = &text[..text.len() - tests_within(text).len()];
    let maxima = constants(own).into_iter().filter(|name| name.ends_with("_MAX"));
    maxima.filter(|name| !OUR_OWN.contains(&(path, name))).map(|name| format!("{path} {name}")).collect()
}

/// The tests that stand in a file, at its end.
fn tests_within(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod tests {").map_or("", |at| text[at..].split_once('\n').map_or("", |(_, tests)| tests))
}
