//! The rules of `src/lib.rs`: imports point down and not in circles, the floors below the shell use no clock and no socket, `unsafe` is in
//! one folder, and no file has more than 500 lines. The last tests show that a broken rule is noticed.

use std::path::{Path, PathBuf};

#[path = "architecture/circles.rs"]
mod circles;
#[path = "architecture/limits.rs"]
mod limits;
#[path = "architecture/source.rs"]
mod source;

use source::Source;

const FILE_LINES_MAX: usize = 500;
const UNSAFE_FOLDER: &str = "src/shard/socket/";
/// The crate `parlor-bench`, which knows the grammar and nothing of the server.
const BENCH_FOLDER: &str = "benches/load";

/// Every module at the top of the crate and its floor. One that is missing here breaks the test until it has a floor.
const FLOORS: [(&str, u8); 20] = [
    ("ids", 0),
    ("limits", 0),
    ("log_throttle", 0),
    ("shares", 0),
    ("timers", 0),
    ("proto", 1),
    ("facts", 2),
    ("nickname", 2),
    ("session", 2),
    ("room", 2),
    ("switch", 2),
    ("transaction", 2),
    ("call", 2),
    ("focus", 2),
    ("tls", 3),
    ("shard", 3),
    ("control", 3),
    ("cli", 4),
    ("config", 4),
    ("main", 4),
];

/// What the machines of floor 2 may not know of one another: the switch side and the focus side meet in `facts` only.
const STRANGERS: [(&str, &[&str]); 7] = [
    ("facts", &["session", "room", "switch", "call", "focus"]),
    ("nickname", &["session", "room", "switch", "call", "focus"]),
    ("session", &["switch", "call", "focus"]),
    ("room", &["switch", "call", "focus"]),
    ("call", &["switch", "session", "room", "focus"]),
    ("switch", &["call", "focus"]),
    ("focus", &["switch", "session", "room"]),
];

/// Crates that have no business below floor 3.
const SHELL_CRATES: [&str; 16] = [
    "tokio",
    "glommio",
    "socket2",
    "io_uring",
    "libc",
    "async_channel",
    "core_affinity",
    "getrandom",
    "rand",
    "clap",
    "miette",
    "rustls",
    "rustls_pki_types",
    "tokio_rustls",
    "aws_lc_rs",
    "toml",
];

/// Ends and beginnings of paths that reach for a clock, a socket, a file, a thread or randomness.
const SHELL_PATHS: [&[&str]; 14] = [
    &["Instant", "now"],
    &["SystemTime"],
    &["UNIX_EPOCH"],
    &["TcpStream"],
    &["TcpListener"],
    &["UdpSocket"],
    &["ToSocketAddrs"],
    &["std", "fs"],
    &["std", "os"],
    &["std", "thread"],
    &["std", "process"],
    &["std", "env"],
    &["OsRng"],
    &["SysRng"],
];
const SHELL_CALLS: [&str; 7] = ["elapsed", "from_os_rng", "try_from_os_rng", "println!", "eprintln!", "print!", "dbg!"];

#[test]
fn imports_point_down() {
    let files = rust_files("src");
    assert!(files.len() > 20, "the source is there: {} files", files.len());
    let tests: Vec<String> = files.iter().flat_map(|(path, text)| test_places(path, text)).collect();
    let wrong: Vec<String> = files
        .iter()
        .filter(|(path, _)| !tests.iter().any(|place| is_at(path, place)))
        .flat_map(|(path, text)| violations(path, text))
        .collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn print_macros_are_not_used() {
    let files = [rust_files("src"), rust_files(BENCH_FOLDER)].concat();
    let tests: Vec<String> = files.iter().flat_map(|(path, text)| test_places(path, text)).collect();
    let files = files.iter().filter(|(path, _)| !tests.iter().any(|place| is_at(path, place)));
    let wrong: Vec<String> = files.filter_map(|(path, text)| panicking_print(path, text)).collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(panicking_print("src/x.rs", "fn f() { println!(\"x\") }").is_some());
    assert!(panicking_print("src/x.rs", "fn f() { eprint!(\"x\") }").is_some());
}

#[test]
fn unsafe_is_in_one_folder() {
    let files = ["src", BENCH_FOLDER].into_iter().flat_map(rust_files);
    let wrong: Vec<String> = files.filter_map(|(path, text)| misplaced_unsafe(&path, &text)).collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn no_file_is_too_long() {
    let files = ["src", "tests", "benches"].into_iter().flat_map(rust_files);
    let wrong: Vec<String> = files.filter_map(|(path, text)| too_long(&path, &text)).collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn the_load_generator_knows_nothing_of_the_server() {
    let files = rust_files(BENCH_FOLDER);
    assert!(files.len() > 20, "the load generator is there: {} files", files.len());
    let wrong: Vec<String> = files.iter().filter_map(|(path, text)| names_the_server(path, text)).collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(names_the_server("benches/load/x.rs", "use parlor::cli;").is_some());
    assert!(names_the_server("benches/load/x.rs", "use parlor_proto::msrp;").is_none());
}

/// Every `.rs` file below a folder of the package, with its path from there.
fn rust_files(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open: Vec<PathBuf> = vec![root.join(folder)];
    let mut files = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
    files.sort();
    files
}

/// Where the test modules that a file declares have their files: without the ending, and folder and file alike. A crate within `src`
/// has its own tests and examples beside its lib.rs.
fn test_places(path: &str, text: &str) -> Vec<String> {
    let folder = match path.rsplit_once('/') {
        Some((folder, "mod.rs" | "lib.rs" | "main.rs")) => folder.to_owned(),
        _ => path.trim_end_matches(".rs").to_owned(),
    };
    let mut names = Source::read(text).test_modules;
    if path.ends_with("/lib.rs") && folder != "src" {
        names.extend(["tests", "examples"].map(str::to_owned));
    }
    names.iter().map(|name| format!("{folder}/{name}")).collect()
}

/// Whether a file is that module's, or a module's within it.
fn is_at(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// The modules from the crate's root to the file's own: `src/a/b.rs` is `a`, `b`.
fn module_of(path: &str) -> Vec<&str> {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
    inside.split('/').filter(|part| !matches!(*part, "mod" | "lib")).collect()
}

fn floor_of(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// What of a file is against the rules.
fn violations(path: &str, text: &str) -> Vec<String> {
    let module = module_of(path);
    let Some(&own) = module.first() else { return Vec::new() };
    let Some(floor) = floor_of(own) else { return vec![format!("{path}: the module {own} has no floor")] };
    let source = Source::read(text);
    let paths = source.paths();
    let mut wrong: Vec<String> = paths.iter().filter_map(|named| wrong_import(own, floor, &module, named)).collect();
    wrong.extend(
        paths
            .iter()
            .filter(|named| !matches!(own, "proto" | "transaction") && named[0] == "sipx_sip")
            .map(|named| named.join("::")),
    );
    if floor < 3 {
        wrong.extend(paths.iter().filter(|named| reaches_out(named)).map(|named| named.join("::")));
        wrong.extend(source.calls().into_iter().filter(|call| SHELL_CALLS.contains(&&**call)));
    }
    wrong.into_iter().map(|what| format!("{path} (floor {floor}): {what}")).collect()
}

/// A path into another module of the crate that may not be known here.
fn wrong_import(own: &str, floor: u8, module: &[&str], named: &[String]) -> Option<String> {
    let supers = named.iter().take_while(|part| *part == "super").count();
    let target = match named[0].as_str() {
        "crate" | "parlor" => named.get(1),
        "super" if supers == module.len() => named.get(supers),
        _ => None,
    }?;
    let strangers = STRANGERS.iter().find(|(name, _)| *name == own).map_or(&[][..], |(_, strangers)| strangers);
    let up = floor_of(target).is_some_and(|target| target > floor);
    (up || strangers.contains(&target.as_str())).then(|| named.join("::"))
}

fn reaches_out(named: &[String]) -> bool {
    SHELL_CRATES.contains(&&*named[0])
        || SHELL_PATHS.iter().any(|path| named.windows(path.len()).any(|part| part.iter().eq(path.iter())))
}

/// The macros of the standard library panic where what they write to is full or closed: `src/cli/output.rs` prints.
fn panicking_print(path: &str, text: &str) -> Option<String> {
    let prints = ["print!", "println!", "eprint!", "eprintln!", "dbg!"];
    let call = Source::read(text).calls().into_iter().find(|call| prints.contains(&&**call))?;
    Some(format!("{path}: {call}"))
}

fn names_the_server(path: &str, text: &str) -> Option<String> {
    let named = Source::read(text).paths().into_iter().find(|named| named.len() > 1 && named[0] == "parlor")?;
    Some(format!("{path}: {}", named.join("::")))
}

fn misplaced_unsafe(path: &str, text: &str) -> Option<String> {
    (!path.starts_with(UNSAFE_FOLDER) && source::has_word(text, "unsafe")).then(|| format!("{path}: unsafe"))
}

fn too_long(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > FILE_LINES_MAX).then(|| format!("{path}: {lines} lines, {FILE_LINES_MAX} at most"))
}

#[test]
fn an_import_that_points_up_is_noticed() {
    let bad = [
        ("src/ids.rs", "use crate::facts::Event;"),
        ("src/ids.rs", "use crate::{limits::CALLS_MAX, room::Room};"),
        ("src/room/mod.rs", "fn f() { super::tls::open() }"),
        ("src/room/audience.rs", "use super::super::shard;"),
        ("src/nickname/value.rs", "fn f() -> crate::shard::Shard { todo() }"),
        ("src/switch/mod.rs", "pub use crate::cli::serve;"),
        ("src/control/mod.rs", "use parlor::config::Config;"),
        ("src/focus/focus.rs", "use crate::room::nickname;"),
        ("src/switch/mod.rs", "use crate::call;"),
        ("src/call/mod.rs", "use crate::focus::Focus;"),
        ("src/room/mod.rs", "use crate::switch::Switch;"),
        ("src/facts/mod.rs", "use crate::room::Room;"),
        ("src/focus/mod.rs", "use sipx_sip::Message;"),
        ("src/proto/sip/mod.rs", "use std::net::TcpStream;"),
        ("src/novel/mod.rs", ""),
    ];
    for (path, text) in bad {
        assert_eq!(violations(path, text).len(), 1, "{path}: {text}");
    }
}

#[test]
fn a_clock_or_a_socket_below_the_shell_is_noticed() {
    let bad = [
        "fn f() { let now = Instant::now(); }",
        "fn f(t: Instant) { t.elapsed(); }",
        "use std::time::SystemTime;",
        "use std::{net::TcpStream, fmt};",
        "use std::{fmt, fs};",
        "use tokio::net;",
        "use glommio::{executor};",
        "fn f() { std::thread::sleep(d) }",
        "fn f() { println!(\"x\"); }",
        "fn f() { rand_core::OsRng.next() }",
        "fn f<'a>(x: &'a str) { let c = '\"'; let q = '\\''; std::fs::read(x) }",
    ];
    for text in bad {
        assert_eq!(violations("src/room/mod.rs", text).len(), 1, "{text}");
        assert_eq!(violations("src/shard/mod.rs", text), [""; 0], "{text}");
    }
}

#[test]
fn what_is_allowed_passes() {
    let good = [
        "use crate::facts::{Command, Event}; use super::super::ids;",
        "use std::{net::{IpAddr, SocketAddr}, time::{Duration, Instant}};",
        "fn f(now: Instant, rng: &mut impl rand_core::Rng) {}",
        "// use tokio::net;\n/* std::fs */ const X: &str = \"std::fs \\\" tokio\"; const Y: &str = r#\"use \"tokio\"\"#;",
        "fn tokio_like(x: self::tokio) { x.tokio }",
        "#[cfg(test)]\nmod tests { fn f() { Instant::now(); if true { std::fs::read(x) } } }\nfn g() {}",
        "#[cfg(test)]\nuse std::{fs};\n#[cfg(test)]\nmod tests;",
    ];
    for text in good {
        assert_eq!(violations("src/room/stream.rs", text), [""; 0], "{text}");
    }
    let after_tests = "#[cfg(test)]\nmod tests { fn f() {} }\nuse std::fs;";
    assert_eq!(violations("src/room/stream.rs", after_tests).len(), 1);
}

#[test]
fn test_files_are_known() {
    let text = "#[cfg(test)]\nmod tests;\nmod roster;";
    assert_eq!(test_places("src/room/mod.rs", text), ["src/room/tests"]);
    assert_eq!(test_places("src/room/roster.rs", text), ["src/room/roster/tests"]);
    assert_eq!(test_places("src/lib.rs", ""), [""; 0]);
    assert_eq!(test_places("src/proto/lib.rs", ""), ["src/proto/tests", "src/proto/examples"]);
    for (path, is_test) in [
        ("src/room/tests.rs", true),
        ("src/room/tests/mod.rs", true),
        ("src/room/tests/deep/er.rs", true),
        ("src/room/testsuite.rs", false),
        ("src/room/roster.rs", false),
    ] {
        assert_eq!(is_at(path, "src/room/tests"), is_test, "{path}");
    }
}

#[test]
fn misplaced_unsafe_and_long_files_are_noticed() {
    assert!(misplaced_unsafe("src/room/mod.rs", "fn f() { unsafe { g() } }").is_some());
    assert!(misplaced_unsafe("src/room/mod.rs", "// unsafe\nconst A: &str = \"unsafe\";").is_none());
    assert!(misplaced_unsafe("src/shard/socket.rs", "fn f() { unsafe { g() } }").is_some());
    assert!(misplaced_unsafe("src/shard/socket/mod.rs", "fn f() { unsafe { g() } }").is_none());
    assert!(too_long("a.rs", &"x\n".repeat(FILE_LINES_MAX + 1)).is_some());
    assert!(too_long("a.rs", &"x\n".repeat(FILE_LINES_MAX)).is_none());
}
