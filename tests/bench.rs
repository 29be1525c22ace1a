//! `parlor bench` over the real binary: each scenario, in its smallest size, loses nothing and says what it found. No figure is
//! looked at for how good it is, which depends on the machine, but for two: what must be there whatever the machine does.

mod support;

use std::process::{Command, Output};
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
    assert!(output.status.success(), "{arguments:?}: {said}");
    let result: Value = serde_json::from_str(&std::fs::read_to_string(json.path()).unwrap()).unwrap();
    for fault in faults {
        assert_eq!(result["findings"]["faults"][fault], 0, "{fault}: {said}");
    }
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
    assert_eq!(found.subjects(), ["parlor", "floor copied", "floor gathered"]);
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
    assert_eq!(found.subjects().len(), 3);
}

#[test]
fn a_private_message_reaches_one_only() {
    let found = bench(&["private", "--members", "4", "--window", "2", "--seconds", "0.3"]);
    assert_eq!((found.parameter("members"), found.subjects().len()), (&4.into(), 3));
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
    for transport in ["tcp", "udp"] {
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
    for transport in ["tcp", "udp"] {
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
    let cases: [(&[&str], &str); 4] = [
        (&["fanout", "--receivers", "0"], "nobody would get anything"),
        (&["nxn", "--members", "9000000"], "10000 senders at most"),
        (&["idle", "--sessions", "90000000"], "ulimit"),
        (&["fanout", "--server", "127.0.0.1:1", "--receivers", "1"], "refused"),
    ];
    for (arguments, why) in cases {
        let output = run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
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
    for pid in children {
        wait_for(|| (!is_running(pid)).then_some(()));
    }
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

/// Whether a process is there and no zombie.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}
