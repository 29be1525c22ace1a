//! Whether work grows with what has nothing to do with it: instructions for a delivery beside 1, 100 and 10 000 rooms or
//! sessions, and for a call beside as many calls that stand. Instructions are counted by callgrind and do not depend on what else
//! the machine does:
//!
//! ```sh
//! cargo bench --bench rooms
//! ```

#[path = "../tests/support/desk.rs"]
mod desk;
#[path = "../tests/support/plane.rs"]
mod plane;
#[path = "../tests/focus/world.rs"]
#[allow(dead_code, reason = "its peers are what is needed")]
mod world;

use std::process::Command;

use bytes::Bytes;
use desk::Desk;
use plane::Plane;

const SIZES: [usize; 3] = [1, 100, 10_000];
const MEMBERS: usize = 5;
const MESSAGES: usize = 1000;
const CALLS: usize = 50;

/// What is counted and for how many of them, by name.
const SUBJECTS: [(&str, usize); 4] = [
    ("rooms", MESSAGES * (MEMBERS - 1)),
    ("sessions", MESSAGES * (MEMBERS - 1)),
    ("reports", MESSAGES),
    ("calls", CALLS),
];

fn main() {
    let (flags, args): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|arg| arg.starts_with("--"));
    match args.as_slice() {
        // `cargo bench -- --test`: whether it runs, uncounted.
        _ if flags.iter().any(|flag| flag == "--test") => {
            SUBJECTS.iter().for_each(|(subject, _)| run(subject, SIZES[0]))
        }
        [subject, size] => run(subject, size.parse().expect("a number")),
        _ => table(),
    }
}

fn table() {
    println!("instructions each        beside {:>6} {:>10} {:>10}", SIZES[0], SIZES[1], SIZES[2]);
    for (subject, count) in SUBJECTS {
        let figures = SIZES.map(|size| instructions(subject, size) / count as u64);
        println!("{subject:<24} {:>13} {:>10} {:>10}", figures[0], figures[1], figures[2]);
    }
}

/// What callgrind counts of [`measured`], with all that it calls.
fn instructions(subject: &str, size: usize) -> u64 {
    let own = std::env::current_exe().expect("our own path");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg("--toggle-collect=*measured*")
        .arg(own)
        .args([subject, &size.to_string()])
        .output()
        .expect("valgrind is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, count)| count);
    collected.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("{said}"))
}

fn run(subject: &str, size: usize) {
    match subject {
        // As many rooms, and the messages go to one after the other.
        "rooms" => talk(Plane::new(size, MEMBERS), |n| n % size * MEMBERS),
        // One room that talks, and as many sessions in others.
        "sessions" => {
            let mut plane = Plane::new(1, MEMBERS);
            for n in 0..size {
                let room = if n % 10 == 0 { plane.open_room() } else { plane.seats[plane.seats.len() - 1].room };
                plane.join(room);
            }
            talk(plane, |_| 0);
        }
        // One room with as many members, of whom one refuses a message that nobody sends any more.
        "reports" => {
            let plane = Plane::new(1, size);
            let headers = "Message-ID: 0123456789abcdef01234567\r\nByte-Range: 1-9/9\r\nStatus: 000 413 enough\r\n";
            let report = plane.chunk(0, "rep00001", "REPORT", headers, None);
            measured(plane, &[(0, report)]);
        }
        "calls" => {
            let mut desk = Desk::new(size, || 0);
            call(&mut desk, 10);
            measured_calls(&mut desk);
        }
        _ => panic!("no subject {subject}"),
    }
}

fn talk(mut plane: Plane, sender: impl Fn(usize) -> usize) {
    let senders: Vec<usize> = (0..MESSAGES).map(sender).collect();
    let messages: Vec<(usize, Bytes)> = senders.iter().map(|at| (*at, plane.message(*at, 500))).collect();
    // Once beforehand, so that what grows to its size once is not counted.
    for (at, message) in &messages {
        plane.receive(*at, message);
        plane.flush();
    }
    measured(plane, &messages);
}

#[inline(never)]
fn measured(mut plane: Plane, messages: &[(usize, Bytes)]) {
    for n in 0..MESSAGES {
        let (at, message) = &messages[n % messages.len()];
        plane.receive(*at, message);
        plane.flush();
    }
    // Taking all of it down is no work of a message.
    std::mem::forget(plane);
}

#[inline(never)]
fn measured_calls(desk: &mut Desk) {
    call(desk, CALLS);
}

fn call(desk: &mut Desk, times: usize) {
    for _ in 0..times {
        desk.call();
    }
}
