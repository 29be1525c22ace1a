//! Output and exit codes of the commands.

mod support;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use support::{Server, one_shard};

fn parlor(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_parlor")).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// A config file of this text.
fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// What a command ends with whose output goes to a full disk, and what it says of it; and where the reader of its output and of its
/// errors has gone.
fn with_unwritable_output(arguments: &[&str]) -> (Output, Option<i32>) {
    let command = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parlor"));
        command.args(arguments).stdin(Stdio::null());
        command
    };
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let full = command().stdout(full).output().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let gone = command().stdout(writer.try_clone().unwrap()).stderr(writer).status().unwrap();
    (full, gone.code())
}

#[test]
fn a_closed_or_full_output_causes_no_panic() {
    let record = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench-samples/result.json");
    let config = file(FREE);
    let wrong = file("[sip]\nlisten = 7\nwhat = 1\n");
    let (config, wrong) = (config.path().to_str().unwrap(), wrong.path().to_str().unwrap());
    for arguments in [
        &["check", "--config", config][..],
        &["check", "--config", config, "--json"],
        &["completions", "bash"],
        &["bench", "report", record],
        &["bench", "compare", record, record],
        &["bench", "compare", record, record, "--json"],
    ] {
        let (full, gone) = with_unwritable_output(arguments);
        assert!(full.status.code().is_some_and(|code| code == 1 || code == 2), "{arguments:?}: {:?}", full.status);
        assert_eq!(stderr(&full), "parlor: standard output cannot be written: No space left on device (os error 28)\n");
        assert!(gone.is_some_and(|code| code < 3), "{arguments:?}: {gone:?}");
    }
    for arguments in [
        &["check", "--config", wrong][..],
        &["serve", "--config", wrong],
        &["bench", "compare", wrong, wrong],
        &["bench", "report", wrong],
        &["chat", "lobby"],
    ] {
        let (_, gone) = with_unwritable_output(arguments);
        assert_eq!(gone, Some(2), "{arguments:?}");
        let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
        let both = Command::new(env!("CARGO_BIN_EXE_parlor")).args(arguments).stdout(full()).stderr(full()).status();
        assert_eq!(both.unwrap().code(), Some(2), "{arguments:?}");
    }
}

const FREE: &str = "[sip]\nlisten = [\"udp:127.0.0.1:0\"]\n[msrp]\nport = 0\n";

#[test]
fn every_command_has_help_with_an_example() {
    for command in ["serve", "check", "chat", "bench", "completions", "man"] {
        let help = parlor(&[command, "--help"]);
        assert_eq!(help.status.code(), Some(0));
        assert!(stdout(&help).contains("Example") && stdout(&help).contains(&format!("parlor {command}")), "{command}");
    }
    assert!(stdout(&parlor(&["--version"])).starts_with("parlor "));
}

#[test]
fn usage_errors_exit_with_2() {
    for arguments in [
        &[][..],
        &["dance"],
        &["serve", "--corse", "0"],
        &["serve", "--cores", "many"],
        &["serve", "--ring-depth", "1"],
        &["chat"],
        &["chat", "lobby"],
        &["chat", "sip:lobby@127.0.0.1", "--as", "alice"],
        &["chat", "sip:lobby@127.0.0.1", "--via", "127.0.0.1"],
        &["completions", "dos"],
    ] {
        let output = parlor(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!stderr(&output).is_empty() && stdout(&output).is_empty(), "{arguments:?}");
    }
}

#[test]
fn check_reports_on_the_machine() {
    let config = file(FREE);
    let path = config.path().to_str().unwrap();
    let text = parlor(&["check", "--config", path]);
    assert!(matches!(text.status.code(), Some(0 | 1)), "{}", stdout(&text));
    for subject in ["kernel:", "io_uring:", "memlock:", "nofile:", "cores:", "sip udp:", "msrp tcp:", "somaxconn"] {
        assert!(stdout(&text).contains(subject), "{subject} in {}", stdout(&text));
    }
    let json = parlor(&["check", "--config", path, "--json"]);
    assert_eq!(json.status.code(), text.status.code());
    let report: serde_json::Value = serde_json::from_str(stdout(&json)).unwrap();
    assert_eq!(report["verdict"], if text.status.success() { "ok" } else { "warning" });
    let lines = stdout(&text).lines().count();
    assert_eq!(report["findings"].as_array().unwrap().len(), lines);
    assert_eq!(parlor(&["check", "--config", path, "--errors-only"]).status.code(), Some(0));
}

#[test]
fn check_finds_errors_that_prevent_a_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = file(&format!("[sip]\nlisten = [\"tcp:{address}\"]\n[msrp]\nport = 0\n[shards]\ncores = \"4000\"\n"));
    let output = parlor(&["check", "--errors-only", "--config", config.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stdout(&output).contains(&format!("sip tcp:{address}: taken;")), "{}", stdout(&output));
    assert!(stdout(&output).contains("core 4000 is not available"), "{}", stdout(&output));
}

#[test]
fn check_finds_duplicate_addresses() {
    let (port, shards) = (Server::free_port(), one_shard());
    for (listen, msrp, found) in [
        (format!("\"udp:127.0.0.1:{port}\", \"udp:127.0.0.1:{port}\""), 0, format!("sip udp:127.0.0.1:{port}")),
        (format!("\"udp:127.0.0.1:{port}\", \"tcp:127.0.0.1:{port}\""), port, format!("msrp tcp:127.0.0.1:{port}")),
    ] {
        let config = file(&format!("[sip]\nlisten = [{listen}]\n[msrp]\nport = {msrp}\n{shards}"));
        let output = parlor(&["check", "--errors-only", "--config", config.path().to_str().unwrap()]);
        let lines: Vec<_> = stdout(&output).lines().collect();
        assert_eq!((output.status.code(), lines.len()), (Some(2), 1), "{lines:?}");
        assert!(lines[0].contains(&format!("{found}: named twice in this config")), "{lines:?}");
    }
}

#[test]
fn a_closed_pipe_is_ignored_and_a_full_disk_reported() {
    let config = file(FREE);
    let path = config.path().to_str().unwrap();
    for arguments in
        [&["check", "--config", path][..], &["check", "--json", "--config", path], &["completions", "bash"]]
    {
        let usual = parlor(arguments).status.code();
        let mut gone = Command::new(env!("CARGO_BIN_EXE_parlor"));
        // The reading end of a pipe that is closed at once.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = gone.args(arguments).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = output.wait_with_output().unwrap();
        assert_eq!((output.status.code(), stderr(&output)), (usual, ""), "{arguments:?}");
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_parlor")).args(arguments).stdout(full).output().unwrap();
        assert!(stderr(&output).starts_with("parlor: standard output cannot be written"), "{}", stderr(&output));
        assert!(matches!(output.status.code(), Some(0..=2)), "{arguments:?}");
    }
}

#[test]
fn check_shows_the_position_of_config_errors() {
    let config = file("[msrp]\nprot = 2855\n");
    let path = config.path().to_str().unwrap();
    let text = parlor(&["check", "--config", path]);
    assert_eq!(text.status.code(), Some(2));
    for part in [":2:1", "unknown key `msrp.prot`", "prot = 2855", "did you mean `port`?"] {
        assert!(stderr(&text).contains(part), "{part} in {}", stderr(&text));
    }
    let json = parlor(&["check", "--json", "--config", path]);
    let report: serde_json::Value = serde_json::from_str(stdout(&json)).unwrap();
    let error = &report["config_errors"][0];
    assert_eq!((&error["line"], &error["column"]), (&2.into(), &1.into()));
    assert_eq!((&error["offending"], &error["help"]), (&"prot".into(), &"did you mean `port`?".into()));
    assert_eq!((&report["verdict"], json.status.code()), (&"error".into(), Some(2)));
    assert_eq!(parlor(&["check", "--config", "no-such.toml"]).status.code(), Some(2));
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = parlor(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains("parlor") && stdout(&output).contains("serve"), "{shell}");
    }
}

#[test]
fn man_pages_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("man1");
    assert_eq!(parlor(&["man", inner.to_str().unwrap()]).status.code(), Some(0));
    for page in ["parlor.1", "parlor-serve.1", "parlor-check.1", "parlor-chat.1"] {
        assert!(std::fs::read_to_string(inner.join(page)).unwrap().contains(".TH"), "{page}");
    }
    let page = |name: &str| std::fs::read_to_string(inner.join(name)).unwrap();
    assert!(page("parlor.toml.5").contains(".TH parlor.toml 5"));
    assert!(page("parlor-bench-fanout.1").contains(".TH") && page("parlor.1").contains("parlor.toml(5)"));
    for entry in std::fs::read_dir(&inner).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let command = path.extension().is_some_and(|extension| extension == "1");
        assert!(!command || text.contains(".SH \"EXIT STATUS\""), "{}", path.display());
    }
    let file = file("");
    let under_a_file = file.path().join("man1");
    assert_eq!(parlor(&["man", under_a_file.to_str().unwrap()]).status.code(), Some(1));
}

#[test]
fn chat_names_an_unreachable_server() {
    // A port that was free a moment ago.
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for transport in ["udp", "tcp"] {
        let output = parlor(&["chat", "sip:lobby@127.0.0.1", "--via", &format!("{transport}:{free}")]);
        assert_eq!(output.status.code(), Some(1));
        let expected = format!("parlor: connection refused: {transport}:{free}; is the server running?");
        assert!(stderr(&output).starts_with(&expected), "{}", stderr(&output));
    }
}

/// A config on ports that stay the same, so that others can be asked about them.
fn config_with_fixed_ports(more: &str) -> String {
    let (sip, msrp, shards) = (Server::free_port(), Server::free_port(), one_shard());
    let listen = format!("\"udp:127.0.0.1:{sip}\", \"tcp:127.0.0.1:{sip}\"");
    format!("[sip]\nlisten = [{listen}]\n[msrp]\nport = {msrp}\n{shards}{more}")
}

/// The findings of `parlor check --json` about ports: level and text.
fn port_findings(config: &str) -> Vec<(String, String)> {
    let json = parlor(&["check", "--json", "--config", config]);
    let report: serde_json::Value = serde_json::from_str(stdout(&json)).unwrap();
    let findings = report["findings"].as_array().unwrap().iter();
    let about_ports = findings.filter(|it| {
        let subject = it["subject"].as_str().unwrap();
        subject.starts_with("sip udp") || subject.starts_with("sip tcp") || subject.starts_with("msrp tcp")
    });
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    about_ports.map(|it| (text(&it["level"]), text(&it["found"]))).collect()
}

#[test]
fn check_recognizes_the_running_server_of_its_config() {
    let text = config_with_fixed_ports("");
    let server = Server::of(&text);
    let own = server.config_path().to_str().unwrap();
    let found = port_findings(own);
    assert_eq!(found.len(), 3);
    for (level, found) in &found {
        assert!(level == "ok" && found.starts_with("held by the server of this config"), "{level} {found}");
    }
    assert_eq!(parlor(&["check", "--errors-only", "--config", own]).status.code(), Some(0));
    // By another name of the file, too.
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("linked.toml");
    std::os::unix::fs::symlink(own, &link).unwrap();
    assert!(port_findings(link.to_str().unwrap()).iter().all(|(level, _)| level == "ok"));
    // Another config could not have these ports.
    let other = file(&text);
    let found = port_findings(other.path().to_str().unwrap());
    assert!(found.iter().all(|(level, found)| level == "error" && found == "taken"), "{found:?}");
}

#[test]
fn a_port_of_another_process_is_taken_beside_the_running_server() {
    let text = config_with_fixed_ports("");
    let server = Server::of(&text);
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let changed = text.replace("listen = [", &format!("listen = [\"tcp:{address}\", "));
    std::fs::write(server.config_path(), changed).unwrap();
    let found = port_findings(server.config_path().to_str().unwrap());
    let levels: Vec<&str> = found.iter().map(|(level, _)| level.as_str()).collect();
    assert_eq!(levels, ["error", "ok", "ok", "ok"], "{found:?}");
}

#[test]
fn config_only_does_not_check_the_machine() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let tls = "[tls]\ncertificate = \"no.pem\"\nprivate_key = \"no.pem\"\n";
    let fine = file(&format!("[sip]\nlisten = [\"tcp:{address}\"]\n[shards]\ncores = \"4000\"\n{tls}"));
    let path = fine.path().to_str().unwrap();
    let output = parlor(&["check", "--config-only", "--config", path]);
    let expected = format!("ok       config: {path}: nothing is wrong with its keys and values\n");
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), expected.as_str()));
    let defaults = parlor(&["check", "--config-only", "--json"]);
    let report: serde_json::Value = serde_json::from_str(stdout(&defaults)).unwrap();
    assert_eq!((&report["verdict"], defaults.status.code()), (&"ok".into(), Some(0)));
    let twice = file(
        "[sip]\nlisten = [\"tcp:127.0.0.1:5060\", \"udp:127.0.0.1:5060\", \"tcp:0.0.0.0:5060\"]\n[msrp]\nadvertise = \"h\"",
    );
    let output = parlor(&["check", "--config-only", "--config", twice.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stdout(&output).contains("sip tcp:0.0.0.0:5060: named twice in this config"), "{}", stdout(&output));
    let wrong = file("[log]\nlevel = \"loud\"\n");
    assert_eq!(parlor(&["check", "--config-only", "--config", wrong.path().to_str().unwrap()]).status.code(), Some(2));
    assert_eq!(parlor(&["check", "--config-only", "--config", "no-such.toml"]).status.code(), Some(2));
}

#[test]
fn check_warns_of_a_public_server() {
    let open =
        "[sip]\nlisten = [\"udp:0.0.0.0:0\"]\n[msrp]\nlisten = \"0.0.0.0\"\nport = 0\nadvertise = \"no.invalid\"\n";
    let config = file(open);
    let path = config.path().to_str().unwrap();
    let output = parlor(&["check", "--config", path]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    for warning in ["no authentication", "calls are not encrypted", "no.invalid cannot be resolved"] {
        let told = |line: &str| line.starts_with("warning") && line.contains(warning);
        assert!(stdout(&output).lines().any(told), "{warning} in {}", stdout(&output));
    }
    // What the config says by itself is told without the machine, too; a look-up is the machine's.
    let alone = parlor(&["check", "--config-only", "--config", path]);
    assert_eq!(alone.status.code(), Some(1));
    assert!(
        stdout(&alone).contains("no authentication") && !stdout(&alone).contains("cannot be resolved"),
        "{}",
        stdout(&alone)
    );
}

/// A page as `man` shows it, without its formatting.
fn shown(page: &std::path::Path) -> Option<String> {
    let output = Command::new("man").args(["-l", page.to_str().unwrap()]).env("MANWIDTH", "100").output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
        .filter(|text| !text.is_empty())
}

#[test]
fn manual_pages_have_the_examples_verbatim() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(parlor(&["man", folder.path().to_str().unwrap()]).status.code(), Some(0));
    for command in ["serve", "check", "chat", "bench", "completions", "man"] {
        let help = parlor(&[command, "--help"]);
        let page = folder.path().join(format!("parlor-{command}.1"));
        let text = std::fs::read_to_string(&page).unwrap().replace("\\-", "-").replace("\\*(Aq", "'");
        let examples = text.split(".SH EXAMPLES\n.nf\n").nth(1).unwrap().split(".fi").next().unwrap();
        let expected: Vec<&str> =
            stdout(&help).lines().skip_while(|line| !line.starts_with("Example")).skip(1).collect();
        let expected: Vec<&str> = expected.into_iter().take_while(|line| line.starts_with("  ")).collect();
        assert_eq!(examples.lines().collect::<Vec<_>>(), expected, "{command}");
        if let Some(shown) = shown(&page) {
            assert!(expected.iter().all(|line| shown.contains(line.trim())), "{shown}");
        }
    }
}

#[test]
fn manual_pages_have_exit_status_signals_and_files() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(parlor(&["man", folder.path().to_str().unwrap()]).status.code(), Some(0));
    let page = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let serve = page("parlor-serve.1");
    for part in [".SH SIGNALS", "SIGHUP", "SIGTERM", ".SH FILES", "parlor.toml", ".SH \"EXIT STATUS\""] {
        assert!(serve.contains(part), "{part}");
    }
    let check = page("parlor-check.1");
    assert!(check.contains("\\fB1\\fR\nwarnings") && !check.contains("Exit codes"), "{check}");
    assert!(page("parlor-bench-idle.1").contains(".SH SIGNALS") && page("parlor-chat.1").contains("PARLOR_PASSWORD"));
    let config = page("parlor.toml.5");
    for part in ["[sip]", "[rooms.defaults]", "congestion_patience = ", "the longest duration of a drain"] {
        assert!(config.replace("\\-", "-").contains(part), "{part}");
    }
}

#[test]
fn the_commands_of_the_readme_are_valid() {
    let readme = include_str!("../README.md");
    let commands = readme.lines().filter_map(|line| line.split_once("cargo run --release -- "));
    let mut typed = 0;
    for (_, command) in commands {
        // Up to a comment, or the end of what stands in backquotes.
        let command = command.split(['#', '`']).next().unwrap();
        let help = parlor(&[command.split_whitespace().next().unwrap(), "--help"]);
        assert_eq!(help.status.code(), Some(0), "{command}");
        for flag in command.split_whitespace().filter(|word| word.starts_with("--")) {
            assert!(stdout(&help).contains(flag), "{command}");
        }
        typed += 1;
    }
    assert!(typed > 4);
    // One address for each core: what is shown is a machine of two.
    let shown = readme.lines().find(|line| line.starts_with("parlor is ready: ")).unwrap();
    assert_eq!(shown.matches("msrp:").count(), 2, "{shown}");
    let serve = parlor(&["serve", "--help"]);
    assert!(stdout(&serve).contains("--io") && readme.contains("`--io ring`, the default"));
}
