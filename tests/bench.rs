//! `parlor bench` over the real binary: each scenario, in its smallest size, loses nothing and says what it found. No figure is
//! looked at for how good it is, which depends on the machine, but for two: what must be there whatever the machine does.

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

/// What a scenario's JSON says of one round.
struct Found {
    result: Value,
}

impl Found {
    fn parameter(&self, name: &str) -> &Value {
        &self.result["parameters"][name]
    }

    /// Everybody that had a turn.
    fn subjects(&self) -> Vec<&str> {
        self.result["subjects"].as_array().unwrap().iter().map(|subject| subject["name"].as_str().unwrap()).collect()
    }

    /// Parlor's turn.
    fn turn(&self) -> &Value {
        let subjects = self.result["subjects"].as_array().unwrap();
        let parlor = subjects.iter().find(|subject| subject["name"] == "parlor").unwrap();
        &parlor["turns"][0]
    }

    /// Nanoseconds that so many of Parlor's copies took at most.
    fn latency(&self, part: &str) -> f64 {
        self.turn()["latency_ns"][part].as_f64().unwrap()
    }

    /// A figure of the scenario's own.
    fn figure(&self, name: &str) -> f64 {
        let figures = self.turn()["figures"].as_array().unwrap();
        let figure = figures.iter().find(|figure| figure["name"] == name);
        figure.and_then(|figure| figure["value"].as_f64()).unwrap_or_else(|| panic!("{name} in {figures:?}"))
    }

    fn has(&self, names: &[&str]) {
        for name in names {
            self.figure(name);
        }
    }
}

/// Runs a scenario, in one round, of which nothing is lost.
fn bench(arguments: &[&str]) -> Found {
    let found = bench_with(arguments, &["lost", "repeated", "reordered", "strayed"]);
    assert!(found.turn()["deliveries"].as_u64().unwrap() > 0, "{}", found.result);
    found
}

/// Runs a scenario, in one round, without certain faults.
fn bench_with(arguments: &[&str], faults: &[&str]) -> Found {
    let json = tempfile::NamedTempFile::new().unwrap();
    let output = run(&[arguments, &["--rounds", "1", "--json", json.path().to_str().unwrap()]].concat());
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let written = std::fs::read_to_string(json.path()).unwrap();
    let result: Value = serde_json::from_str(&written).unwrap_or_else(|error| panic!("{error}: {arguments:?}: {said}"));
    let found = &result["findings"]["faults"];
    for fault in faults {
        assert_eq!(found[fault], 0, "{fault}: {arguments:?}: {said}");
    }
    let flawless = ["lost", "repeated", "reordered", "strayed"].iter().all(|fault| found[fault] == 0);
    assert_eq!(output.status.success(), flawless, "{arguments:?}: {said}");
    assert_eq!(result["scenario"], arguments[0]);
    Found { result }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_parlor")).arg("bench").args(arguments).output().unwrap()
}

#[test]
fn fanout_over_tls_reaches_everybody_beside_the_same_without() {
    for window in ["1", "64"] {
        let found =
            bench(&["fanout", "--receivers", "3", "--senders", "2", "--window", window, "--tls", "--seconds", "0.3"]);
        assert_eq!(found.subjects(), ["parlor", "without TLS"]);
        assert_eq!(found.parameter("tls"), &Value::Bool(true));
    }
}

#[test]
fn fanout_reaches_everybody_beside_the_floors() {
    let found = bench(&["fanout", "--receivers", "3", "--window", "4", "--seconds", "0.3"]);
    assert_eq!(found.subjects(), ["parlor", "floor copied", "floor gathered", "answering floor"]);
    assert_eq!((found.parameter("receivers"), found.parameter("window")), (&3.into(), &4.into()));
    assert!(found.latency("p50") > 0.0);
}

#[test]
fn fanout_spreads_over_rooms() {
    let found = bench(&["fanout", "--receivers", "2", "--rooms", "3", "--senders", "2", "--seconds", "0.3"]);
    assert_eq!((found.parameter("rooms"), found.parameter("members")), (&3.into(), &12.into()));
}

#[test]
fn everybody_hears_everybody() {
    let found = bench(&["nxn", "--members", "4", "--rate", "50", "--seconds", "0.3"]);
    assert_eq!(found.parameter("members"), 4);
    assert_eq!(found.subjects().len(), 4);
}

#[test]
fn a_private_message_reaches_one_only() {
    let found = bench(&["private", "--members", "4", "--window", "2", "--seconds", "0.3"]);
    assert_eq!((found.parameter("members"), found.subjects().len()), (&4.into(), 4));
}

#[test]
fn a_file_reaches_everybody_unchanged() {
    let found = bench(&["large", "--size", "1MB", "--members", "3"]);
    found.has(&["throughput", "floor_throughput", "share_of_floor_throughput", "server_ns_per_kb"]);
    found.has(&["memory_before", "memory_peak", "memory_after"]);
    assert_eq!(found.parameter("size"), 1_000_000);
    assert_eq!(found.turn()["deliveries"], 2);
}

#[test]
fn a_storm_lets_everybody_in() {
    for transport in ["tcp", "udp", "tls"] {
        let found = bench(&["join-storm", "--joins", "20", "--window", "8", "--transport", transport]);
        found.has(&["invite_to_200_p50", "invite_to_200_p99", "invite_to_bound_p50", "invite_to_bound_p99"]);
        assert_eq!(found.turn()["deliveries"], 20);
    }
}

#[test]
fn a_storm_counts_notifications() {
    let found = bench(&["join-storm", "--joins", "5", "--subscribe"]);
    let (subscribed, notifies) = (found.figure("subscribed"), found.figure("notifies"));
    assert!(notifies >= subscribed, "whoever subscribes is told at once: {notifies} to {subscribed}");
    found.has(&["notifies_per_join"]);
}

#[test]
fn churn_is_compared_with_none() {
    let found = bench(&[
        "churn",
        "--rooms",
        "2",
        "--receivers",
        "2",
        "--joins",
        "20",
        "--stay",
        "50",
        "--rate",
        "50",
        "--seconds",
        "0.5",
    ]);
    found.has(&["left", "p99_with", "p99_without", "p99_ratio", "invite_to_bound_p99"]);
    assert_eq!(found.subjects(), ["parlor", "without churn"]);
    assert!(found.figure("joined") > 0.0 && found.figure("refused") == 0.0);
}

#[test]
fn idle_sessions_are_weighed() {
    let found = bench(&["idle", "--sessions", "20", "--seconds", "0.3"]);
    found.has(&["user_bytes_per_session", "anonymous_bytes_per_session", "kernel_bytes_per_session_both_ends"]);
    found.has(&["tcp_queue_bytes_per_session_both_ends", "idle_cpu", "wakes"]);
    assert!(found.figure("resident_bytes") > 0.0);
}

#[test]
fn whoever_reads_nothing_misses_what_does_not_fit() {
    // Several times as much as an outbox and the kernel's queues hold. It comes whether the readers have time or not, so on a
    // busy machine they miss something, too.
    let arguments = ["slow", "--receivers", "2", "--size", "30000", "--rate", "500", "--seconds", "1"];
    let found = bench_with(&arguments, &["repeated", "strayed"]);
    found.has(&["p99_with", "p99_without", "p99_ratio", "memory_peak", "given_up", "notices"]);
    assert!(found.figure("for_stalled") > found.figure("discarded"), "it gets what fits");
}

#[test]
fn calls_come_and_go_beside_others() {
    for transport in ["tcp", "udp", "tls"] {
        let found =
            bench(&["calls", "--transport", transport, "--standing", "15", "--window", "4", "--seconds", "0.3"]);
        found.has(&["control_thread_ns_per_call", "control_thread_busy", "invite_to_200_p50", "invite_to_200_p99"]);
        assert_eq!(found.subjects(), ["parlor", "without standing"]);
    }
}

#[test]
fn a_server_that_stands_still_shows() {
    // Whatever the machine does, messages that are due while nothing is sent on are late: a fifth of all here, evenly spread.
    // A load that waited for answers before it sent again would have one late message.
    let found = bench(&["fanout", "--receivers", "2", "--rate", "200", "--seconds", "1", "--freeze", "200"]);
    assert!(found.latency("max") >= 150e6, "{}", found.turn());
    assert!(found.latency("p90") >= 50e6, "{}", found.turn());
}

#[test]
fn a_running_server_is_measured_too() {
    let server = support::Server::start();
    let found = bench(&["fanout", "--server", &server.sip, "--receivers", "2", "--seconds", "0.2"]);
    assert_eq!((found.subjects(), &found.turn()["user_ns"]), (vec!["parlor"], &0.into()));
}

#[test]
fn what_cannot_be_is_said() {
    let cases: [(&str, &str); 2] = [
        ("idle --sessions 9000000", "ulimit"),
        ("fanout --server 127.0.0.1:1 --receivers 1", "no server at 127.0.0.1:1"),
    ];
    cases.into_iter().for_each(|(arguments, why)| is_refused(arguments, 1, why));
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_started() {
    let no_rate = "expected a number a second from 0.001 to 1000000";
    let cases: [(&str, &str); 29] = [
        ("fanout --receivers 0", "at least one sender and one receiver"),
        ("fanout --rate 0", no_rate),
        ("fanout --rate=-1", no_rate),
        ("fanout --rate nan", no_rate),
        ("fanout --rate inf", no_rate),
        ("fanout --rate 5 --window 5", "cannot be used with"),
        ("fanout --window 0", "is not in 1..=10000000"),
        ("fanout --rooms 0", "is not in 1..=10000000"),
        ("fanout --size 100000", "is not in 0..=60000"),
        ("fanout --seconds 0", "expected a number of seconds from 0.001 to 86400"),
        ("fanout --seconds=-3", "expected a number of seconds from 0.001 to 86400"),
        ("fanout --shards 0", "is not in 1..=10000000"),
        ("fanout --rounds 51", "is not in 1..=50"),
        ("fanout --server nowhere", "expected HOST:PORT"),
        ("fanout --server 127.0.0.1:1 --shards 2", "cannot be used with"),
        ("fanout --server 127.0.0.1:1 --serve=--io=ring", "cannot be used with"),
        ("fanout --server 127.0.0.1:1 --against floor", "cannot be used with"),
        ("fanout --against floor,none", "none cannot be combined"),
        ("fanout --against redis --tls", "compared with without TLS"),
        ("fanout --against floor --shards 2", "compared with one shard"),
        ("fanout --json /nowhere/result.json", "/nowhere/result.json"),
        ("nxn --members 1", "is not in 2..=10000000"),
        ("nxn --members 9000000", "10000 senders at most"),
        ("nxn --against nats", "one room with receivers"),
        ("churn --rate 0", no_rate),
        ("slow --stalled 0", "is not in 1..=10000000"),
        ("idle --server 127.0.0.1:1", "cannot be read"),
        ("calls --rate 0", no_rate),
        ("sweep --p99 0ms", "expected a duration above 0"),
    ];
    cases.into_iter().for_each(|(arguments, why)| is_refused(arguments, 2, why));
}

fn is_refused(arguments: &str, code: i32, why: &str) {
    let output = run(&arguments.split(' ').collect::<Vec<_>>());
    // Long lines are broken where the terminal ends.
    let said = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(code), "{arguments}: {said}");
    assert!(said.contains(why), "{arguments}: {said}");
}

/// A bench whose server stands still in each round.
fn standing_still(time: &str, json: &Path) -> Child {
    let still = "fanout --receivers 2 --rate 50 --seconds 100 --rounds 50 --freeze";
    let mut bench = Command::new(env!("CARGO_BIN_EXE_parlor"));
    bench.arg("bench").args(still.split(' ')).args([time, "--json"]).arg(json);
    bench.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until a server stands still, so that a round is under way. Answers all servers.
fn servers_that_stand_still(bench: &Child) -> Vec<u32> {
    wait_for(|| Some(children_of(bench.id())).filter(|all| all.iter().any(|pid| state_of(*pid) == Some('T'))))
}

fn interrupt(bench: &Child) {
    let pid = rustix::process::Pid::from_raw(bench.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

#[test]
fn an_interrupted_bench_reports_what_it_has_measured() {
    let json = tempfile::NamedTempFile::new().unwrap();
    let bench = standing_still("500", json.path());
    let servers = servers_that_stand_still(&bench);
    interrupt(&bench);
    let output = bench.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("ending early") && said.contains("interrupted: th"), "{said}");
    let result: Value = serde_json::from_str(&std::fs::read_to_string(json.path()).unwrap()).unwrap();
    assert_eq!(result["interrupted"], true);
    assert!(result["subjects"][0]["turns"][0]["elapsed_ns"].as_u64().unwrap() > 0);
    servers.into_iter().for_each(ends);
}

#[test]
fn a_second_interruption_ends_a_bench_at_once() {
    let json = tempfile::NamedTempFile::new().unwrap();
    let mut bench = standing_still("600000", json.path());
    let servers = servers_that_stand_still(&bench);
    interrupt(&bench);
    let mut said = BufReader::new(bench.stderr.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("ending early")));
    interrupt(&bench);
    assert_eq!(bench.wait().unwrap().code(), Some(1));
    assert_eq!(std::fs::read_to_string(json.path()).unwrap(), "", "nothing is reported");
    servers.into_iter().for_each(ends);
}

#[test]
fn no_server_outlives_its_bench() {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_parlor"))
        .args(["bench", "fanout", "--receivers", "2", "--seconds", "600", "--rounds", "1"])
        .spawn()
        .unwrap();
    let children = wait_for(|| Some(children_of(bench.id())).filter(|children| children.len() == 3));
    bench.kill().unwrap();
    bench.wait().unwrap();
    children.into_iter().for_each(ends);
}

fn ends(pid: u32) {
    wait_for(|| state_of(pid).is_none_or(|state| state == 'Z').then_some(()));
}

/// Asks until there is an answer. Only a failing test waits long.
fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    for _ in 0..6000 {
        if let Some(answer) = ask() {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited in vain");
}

fn children_of(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_ascii_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// What a process does: R runs, T stands still, Z is a zombie.
fn state_of(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// A server that takes connections and answers nothing, as one that has no descriptors left: the kernel still completes handshakes.
fn mute_server() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[test]
fn the_first_interruption_ends_a_bench_of_a_server_that_answers_nothing() {
    let scenarios = [
        (&["join-storm", "--joins", "10"][..], 0),
        (&["join-storm", "--joins", "10", "--rate", "5"], 0),
        // The standing sessions, of which there are none, have a connection of their own.
        (&["calls", "--standing", "0"], 1),
    ];
    for (scenario, silent) in scenarios {
        let (listener, address) = mute_server();
        let mut bench = Command::new(env!("CARGO_BIN_EXE_parlor"))
            .arg("bench")
            .args(scenario)
            .args(["--server", &address, "--rounds", "1"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _silent: Vec<_> = (0..silent).map(|_| listener.accept().unwrap()).collect();
        // It is at work when its first call has come.
        let (mut first, _) = listener.accept().unwrap();
        std::io::Read::read_exact(&mut first, &mut [0; 6]).unwrap();
        let asked = std::time::Instant::now();
        let pid = rustix::process::Pid::from_raw(bench.id().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(bench.wait().unwrap().code(), Some(1), "{scenario:?}");
        // A call is given up after 30 s, which is what it must not wait for.
        assert!(asked.elapsed() < Duration::from_secs(20), "{scenario:?}: {:?}", asked.elapsed());
        let mut said = String::new();
        std::io::Read::read_to_string(&mut bench.stderr.take().unwrap(), &mut said).unwrap();
        assert!(said.contains("ending early") && said.contains("interrupted before anything was measured"), "{said}");
    }
}

#[test]
fn help_offers_no_flag_that_is_refused() {
    let help = |scenario: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_parlor")).args(["bench", scenario, "--help"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(!help("idle").contains("--server") && help("idle").contains("--sessions"));
    for scenario in ["fanout", "nxn", "private", "large", "join-storm", "churn", "slow", "calls", "sweep"] {
        assert!(help(scenario).contains("--server"), "{scenario}");
    }
    let refused =
        Command::new(env!("CARGO_BIN_EXE_parlor")).args(["bench", "idle", "--server", "127.0.0.1:1"]).output();
    let refused = refused.unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("memory of a server elsewhere"));
}
