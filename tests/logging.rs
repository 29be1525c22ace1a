//! The log of the server: it blocks nothing, and its lines cannot be forged.

mod support;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, pipe};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use parlor::limits::LOG_FLUSH_MILLIS_MAX;
use support::participant::Sip;
use support::{Server, config};

/// A server that logs into this.
fn logging_to(more: &str, stderr: impl Into<Stdio>) -> Server {
    Server::logging_to(&config(more), stderr.into())
}

/// Calls that are refused, each of which is a line with as many octets of From and as many of To.
fn refused_calls(server: &Server, calls: usize, octets: usize) {
    let stream = TcpStream::connect(&server.sip).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut sip = Sip::on(stream);
    let name = "n".repeat(octets);
    for n in 0..calls {
        let (uri, from) = (format!("sip:{name}@elsewhere.invalid"), format!("<sip:{name}@elsewhere.invalid>;tag=1"));
        sip.request("INVITE", &uri, &from, &format!("<{uri}>"), &format!("call{n}"), 1, "", "");
        while !sip.next().starts_with("SIP/2.0 4") {}
    }
}

/// Joins, talks and ends as on any day.
fn chat_and_terminate(server: Server) {
    let (mut alice, mut bob) = (server.join("alice", "lobby"), server.join("bob", "lobby"));
    alice.say("hello");
    assert_eq!(bob.text(), "hello");
    server.signal("TERM");
    alice.hung_up_on();
    bob.hung_up_on();
    assert!(server.wait().success());
}

#[test]
fn a_full_log_disk_does_not_stop_the_server() {
    for more in ["", "[log]\nformat = \"json\"\n"] {
        let full = || File::options().write(true).open("/dev/full").unwrap();
        chat_and_terminate(logging_to(more, full()));
    }
}

#[test]
fn a_closed_log_pipe_does_not_stop_the_server() {
    for more in ["", "[log]\nformat = \"json\"\n"] {
        let (reader, writer) = pipe().unwrap();
        let server = logging_to(more, writer);
        let _first = server.join("carol", "lobby");
        drop(reader);
        chat_and_terminate(server);
    }
}

#[test]
fn a_stalled_log_reader_blocks_nothing_and_sees_a_count() {
    for more in ["", "[log]\nformat = \"json\"\n"] {
        let (mut reader, writer) = pipe().unwrap();
        let server = logging_to(more, writer);
        // More than the pipe, the batch that is being written and the queue behind it take.
        let (calls, octets) = (300, 4000);
        refused_calls(&server, calls, octets);
        let (mut alice, mut bob) = (server.join("alice", "lobby"), server.join("bob", "lobby"));
        alice.say("hello");
        assert_eq!(bob.text(), "hello");
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            reader.read_to_string(&mut log).unwrap();
            log
        });
        server.signal("TERM");
        alice.hung_up_on();
        bob.hung_up_on();
        assert!(server.wait().success());
        let log = log.join().unwrap();
        let count = |line: &str| -> Option<usize> {
            let line = line.contains("lines of the log were dropped").then_some(line)?;
            let (_, count) = line.split_once("lines=").or_else(|| line.split_once("\"lines\":"))?;
            count.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        let told: usize = log.lines().filter_map(count).sum();
        let shown = log.lines().filter(|line| line.contains("a request is refused")).count();
        assert!(told > 0 && shown > 0 && shown + told >= calls, "{shown} are there, {told} were dropped");
        assert!(log.lines().last().unwrap().contains("drained after a signal"), "the last line is there");
    }
}

#[test]
fn a_stalled_log_reader_does_not_prevent_the_exit() {
    let (_reader, writer) = pipe().unwrap();
    let server = logging_to("", writer);
    refused_calls(&server, 300, 4000);
    let started = Instant::now();
    chat_and_terminate(server);
    let patience = Duration::from_millis(LOG_FLUSH_MILLIS_MAX);
    assert!(started.elapsed() >= patience, "the end waits for a reader, and no longer than this");
}

#[test]
fn the_last_log_line_has_the_exit_reason() {
    for (more, quotes) in [("", "\""), ("[log]\nformat = \"json\"\n", "\"")] {
        let last = |log: &str| log.lines().last().unwrap_or_default().to_owned();
        let server = Server::with(more);
        server.signal("TERM");
        let (status, log) = server.ended();
        assert!(status.success() && last(&log).contains("the server has ended"), "{log}");
        assert!(last(&log).contains(&format!("{quotes}drained after a signal{quotes}")), "{log}");

        let server = Server::with(more);
        let mut alice = server.join("alice", "lobby");
        server.signal("INT");
        // The BYE is not answered, so the drain goes on.
        alice.sees_bye();
        server.signal("INT");
        let (status, log) = server.ended();
        assert!(status.success() && last(&log).contains("a second signal"), "{log}");

        let listen = "listen = [\"tcp:127.0.0.1:0\", \"udp:127.0.0.1:0\"]";
        let patient = config(more).replace(listen, &format!("{listen}\ndrain_timeout = \"100ms\""));
        let server = Server::of(&patient);
        let mut alice = server.join("alice", "lobby");
        server.signal("TERM");
        alice.sees_bye();
        let (status, log) = server.ended();
        assert!(status.success() && last(&log).contains("the time to drain is over"), "{log}");
    }
}

#[test]
fn callers_cannot_forge_log_fields_or_lines() {
    let server = Server::with("[log]\nlevel = \"debug\"\n");
    let mut sip = Sip::connect(&server.sip);
    let escapes =
        ["x%20call=deadbeef%20user=admin", "x%0aINFO%20forged", "x%1b%5b31m", "x%22%20call=%22deadbeef", "x%e2%80%ae"];
    for (n, user) in escapes.iter().enumerate() {
        let uri = format!("sip:{user}@elsewhere.invalid");
        let from = format!("\"a call=deadbeef\" <sip:{user}@elsewhere.invalid>;tag=1");
        let more = "User-Agent: x call=deadbeef\r\nReason: SIP;cause=200;text=\"x call=deadbeef\"\r\n";
        sip.request("INVITE", &uri, &from, &format!("<{uri}>"), &format!("forged{n}"), 1, more, "");
        while !sip.next().starts_with("SIP/2.0 4") {}
    }
    // A room of that name.
    drop(server.join("alice", "x%20call=deadbeef%20user=admin"));
    let log = server.log();
    assert!(log.contains("elsewhere.invalid") && log.contains("admin"), "{log}");
    for line in log.lines() {
        assert!(line.starts_with("20") && line.contains('Z'), "a line of somebody else's: {line}");
        assert!(line.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{line}");
        // Outside of quotes there is nothing of theirs.
        let bare: String = line.replace("\\\"", "").split('"').step_by(2).collect();
        assert!(!bare.contains("deadbeef") && !bare.contains("=admin"), "{line}");
    }
}

#[test]
fn hup_logs_keys_that_need_a_restart_and_sets_the_level() {
    let mut server = Server::with("[log]\nlevel = \"warn\"\n");
    // Its BYE is answered before the level changes; a lost connection may be logged after that.
    server.join("early", "lobby").leave();
    server.rewrite_config("[log]\nlevel = \"info\"\nformat = \"json\"\n[rooms]\non_demand = false\n");
    server.signal("HUP");
    // Whether it has come is seen by what it has changed.
    let mut sip = Sip::connect(&server.sip);
    let in_force = |n: usize| {
        let uri = format!("sip:nowhere{n}@127.0.0.1");
        sip.request("OPTIONS", &uri, "<sip:a@127.0.0.1>;tag=1", &format!("<{uri}>"), &format!("o{n}"), 1, "", "");
        sip.next().starts_with("SIP/2.0 404")
    };
    assert!((0..10_000).any(in_force));
    let log = server.log();
    assert!(!log.contains("early"), "{log}");
    let told = log.lines().find(|line| line.contains("need a restart")).unwrap();
    assert!(told.contains("keys=\"log.format\""), "{told}");
    assert!(log.contains("drained after a signal"), "the last line is at info: {log}");
}

#[test]
fn config_errors_after_hup_are_plain_lines() {
    let (reader, writer) = pipe().unwrap();
    let mut server = logging_to("", writer);
    server.rewrite_config("[rooms]\non_demand = 7\nmax_rooms = \"x\"\n");
    server.signal("HUP");
    let lines = BufReader::new(reader).lines().map(Result::unwrap);
    let told: Vec<String> = lines.filter(|line| line.contains("stays in force")).take(2).collect();
    for (line, key) in told.iter().zip(["on_demand", "max_rooms"]) {
        assert!(line.starts_with("20") && line.contains(" ERROR ") && line.contains(key), "{told:?}");
        assert!(!line.contains('\x1b') && !line.contains("x1b") && !line.contains("\\u{"), "{line}");
    }
}

#[test]
fn a_hang_up_is_logged_with_room_and_user() {
    let server = Server::start();
    server.join("alice", "lobby").leave();
    let log = server.log();
    let line = log.lines().find(|line| line.contains("the peer hung up")).unwrap();
    assert!(line.contains(" room=lobby user=alice@127.0.0.1"), "{line}");
    assert!(!log.contains("SessionId(") && !log.contains("Some("), "{log}");
}
