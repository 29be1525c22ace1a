//! What `parlor bench report` and `compare` make of a result: no load, no clock, the same every time. What they write is kept in
//! `tests/bench-samples/`; after a change that is meant, `BLESS=1 cargo test --test bench_report` writes it anew.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench-samples")
}

fn bench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_parlor")).arg("bench").args(arguments).current_dir(samples()).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Compares with what is kept, or keeps it.
fn is_as_kept(name: &str, text: &str) {
    let path = samples().join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    if let Some((at, (is, was))) = text.lines().zip(kept.lines()).enumerate().find(|(_, (is, was))| is != was) {
        panic!("{name}, line {}:\n is {is}\nwas {was}", at + 1);
    }
    assert_eq!(text.len(), kept.len(), "{name} is longer or shorter than it was");
}

/// Has a result drawn into a folder, and reads a file of it.
fn drawn(result: &str, option: &str, name: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    let output = bench(&["report", result, option, path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_result_is_told_in_words() {
    let output = bench(&["report", "result.json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    is_as_kept("result.txt", stdout(&output));
}

#[test]
fn a_result_is_told_in_tables() {
    is_as_kept("result.csv", &drawn("result.json", "--csv", "result.csv"));
    is_as_kept("result.hgrm", &drawn("result.json", "--hgrm", "result.hgrm"));
}

#[test]
fn a_result_read_and_written_is_the_same() {
    let text = drawn("result.json", "--json", "again.json");
    is_as_kept("result.json", &text);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&value["schema"], &value["version"]), (&"parlor-bench".into(), &1.into()));
    for name in ["scenario", "title", "operation", "parameters", "stamp", "subjects", "findings"] {
        assert!(!value[name].is_null(), "{name} is part of the schema");
    }
}

#[test]
fn a_page_has_everything_in_it() {
    let page = drawn("result.json", "--html", "result.html");
    for reaching_out in ["<script", "src=", "href=", "url(", "@import"] {
        assert!(!page.contains(reaching_out), "{reaching_out}");
    }
    for chart in ["cpu", "ratios", "latency", "throughput"] {
        assert!(page.contains(&format!("<figure id=\"{chart}\">")), "{chart}");
    }
    assert!(page.contains("prefers-color-scheme: dark"));
    is_as_kept("result.html", &page);
}

#[test]
fn drawings_are_files() {
    let folder = tempfile::tempdir().unwrap();
    let output = bench(&["report", "result.json", "--svg", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["result-cpu.svg", "result-latency.svg", "result-ratios.svg", "result-throughput.svg"]);
    let drawing = std::fs::read_to_string(folder.path().join("result-latency.svg")).unwrap();
    is_as_kept("result-latency.svg", &drawing);
}

#[test]
fn a_sweep_is_drawn() {
    let page = drawn("sweep.json", "--html", "sweep.html");
    assert!(page.contains("<figure id=\"sweep\">") && !page.contains("<figure id=\"throughput\">"));
    let output = bench(&["report", "sweep.json"]);
    assert!(stdout(&output).contains("messages per second is the highest rate with p99 under"), "{}", stdout(&output));
}

#[test]
fn a_result_compared_with_itself_is_the_same() {
    let output = bench(&["compare", "result.json", "result.json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    is_as_kept("compared.txt", stdout(&output));
    let json: serde_json::Value =
        serde_json::from_str(stdout(&bench(&["compare", "--json", "result.json", "result.json"]))).unwrap();
    assert_eq!((&json["schema"], &json["verdict"]), (&"parlor-bench-compare".into(), &"same".into()));
}

/// `result.json` with Parlor's processor time multiplied.
fn dearer(by: f64) -> tempfile::NamedTempFile {
    let text = std::fs::read_to_string(samples().join("result.json")).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    for turn in value["subjects"][0]["turns"].as_array_mut().unwrap() {
        for part in ["user_ns", "system_ns", "softirq_ns"] {
            turn[part] = ((turn[part].as_u64().unwrap() as f64 * by) as u64).into();
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), value.to_string()).unwrap();
    file
}

#[test]
fn a_worse_result_ends_with_1_and_a_better_one_with_0() {
    let worse = dearer(1.5);
    let path = worse.path().to_str().unwrap();
    let output = bench(&["compare", "result.json", path]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stdout(&output).contains("B is significantly worse"));
    let output = bench(&["compare", path, "result.json"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("B is significantly better"));
}

#[test]
fn what_is_no_result_or_of_another_load_ends_with_2() {
    let other = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(other.path(), r#"{"schema":"parlor-bench","version":99}"#).unwrap();
    let path = other.path().to_str().unwrap();
    for (second, why) in [
        ("nowhere.json", "No such file"),
        ("README.md", "is no result of the bench"),
        (path, "has version 99 of the schema, this program reads 1"),
        ("sweep.json", "one is of fanout, the other of sweep"),
    ] {
        let output = bench(&["compare", "result.json", second]);
        assert_eq!(output.status.code(), Some(2), "{second}");
        assert!(stderr(&output).contains(why), "{second}: {}", stderr(&output));
    }
}

#[test]
fn every_subcommand_helps_with_an_example() {
    for command in ["fanout", "sweep", "compare", "report"] {
        let help = bench(&[command, "--help"]);
        assert_eq!(help.status.code(), Some(0));
        assert!(stdout(&help).contains(&format!("  parlor bench {command}")), "{command}: {}", stdout(&help));
    }
    let help = bench(&["fanout", "--help"]);
    for flag in ["--against", "--json", "--csv", "--hgrm", "--html", "--svg", "--rounds"] {
        assert!(stdout(&help).contains(flag), "{flag}");
    }
}
