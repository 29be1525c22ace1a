//! The work for a message depends on its recipients only, not on the number of rooms and sessions; the work for a REPORT does not depend
//! on the number of members.
//!
//! Work is counted in instructions, exactly and without a clock: a child process sets everything up, stops itself, and is
//! stepped through one message, instruction by instruction, until it stops again.
#![allow(unsafe_code, reason = "to step through a child takes ptrace")]

#[path = "support/plane.rs"]
mod plane;

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use plane::Plane;

const MANY: usize = 1000;
const MEMBERS: usize = 4;

/// What is different between the two whose work is compared; and what is set up with how many.
const SUBJECTS: [&str; 3] = ["rooms", "sessions", "members"];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, role, subject, size] = args.as_slice()
        && role == "stepped"
    {
        return stepped(subject, size.parse().unwrap());
    }
    for subject in SUBJECTS {
        let Some(few) = instructions(subject, 1) else {
            return println!("nothing was checked: this system lets nobody step through a child (ptrace)");
        };
        let many = instructions(subject, MANY).expect("what was allowed once");
        println!("{subject}: {few} instructions with 1, {many} with {MANY}");
        assert!(few > 1000, "something was done");
        // A look at each of a thousand takes several instructions each; a hash that collides a few.
        assert!(many < few + MANY as u64, "{subject}: {few} instructions with 1, {many} with {MANY}");
    }
}

/// The child: sets up, and does the work between two stops.
fn stepped(subject: &str, size: usize) {
    let mut plane = match subject {
        "rooms" => Plane::new(size, MEMBERS),
        "sessions" => {
            let mut plane = Plane::new(2, MEMBERS);
            for _ in 0..size {
                plane.join(2);
            }
            plane
        }
        _ => Plane::new(1, size + 1),
    };
    let work = if subject == "members" {
        let headers = "Message-ID: 0123456789abcdef01234567\r\nByte-Range: 1-9/9\r\nStatus: 000 413 enough\r\n";
        plane.chunk(0, "rep00001", "REPORT", headers, None)
    } else {
        plane.message(0, 100)
    };
    let mut run = || {
        plane.receive(0, &work);
        plane.flush();
    };
    // What grows to its size once has done so.
    (0..10).for_each(|_| run());
    stop();
    run();
    stop();
}

fn stop() {
    // SAFETY: a signal to the calling thread itself.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// How many instructions the work takes. `None`: a child must not be stepped through here.
fn instructions(subject: &str, size: usize) -> Option<u64> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["stepped", subject, &size.to_string()]);
    // SAFETY: one system call between fork and exec.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let mut child = command.spawn().ok()?;
    // It stops first where it has become itself.
    assert_eq!(wait(&child), libc::SIGTRAP);
    let mut steps = 0;
    go_on(&child, libc::PTRACE_CONT);
    assert_eq!(wait(&child), libc::SIGSTOP);
    loop {
        go_on(&child, libc::PTRACE_SINGLESTEP);
        match wait(&child) {
            libc::SIGTRAP => steps += 1,
            libc::SIGSTOP => break,
            other => panic!("it got signal {other}"),
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    Some(steps)
}

fn go_on(child: &Child, how: libc::c_uint) {
    // SAFETY: the child is ours, and stopped.
    let outcome = unsafe { libc::ptrace(how, child.id() as libc::pid_t, 0, 0) };
    assert_eq!(outcome, 0, "{}", std::io::Error::last_os_error());
}

/// Waits until the child stops, and answers by which signal.
fn wait(child: &Child) -> i32 {
    let mut status = 0;
    // SAFETY: the child is ours, and `status` is where the answer goes.
    let who = unsafe { libc::waitpid(child.id() as libc::pid_t, &raw mut status, 0) };
    assert!(who > 0 && libc::WIFSTOPPED(status), "the child has ended: {status:x}");
    libc::WSTOPSIG(status)
}
