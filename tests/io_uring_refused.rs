//! A machine that refuses io_uring, as the default profiles of containers do.
#![allow(unsafe_code, reason = "to refuse a system call takes prctl")]

mod support;

use std::process::Command;

use support::{Server, config};

/// Runs something in a thread whose calls of io_uring_setup fail, and those of every process that it starts.
fn without_io_uring(run: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let run = move || {
            refuse_io_uring();
            run();
        };
        scope.spawn(run).join().unwrap();
    });
}

/// A filter for this thread: EPERM for io_uring_setup, and everything else as it was.
fn refuse_io_uring() {
    let statement = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    // The number of the call is the first field of what a filter looks at.
    let mut filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_io_uring_setup as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the kernel copies the program, which is there until the calls return, and changes nothing but this thread.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
    }
}

fn exchange_messages(server: &Server) {
    let (mut alice, mut bob) = (server.join("alice", "lobby"), server.join("bob", "lobby"));
    for round in 0..10 {
        alice.say(&format!("question {round}"));
        assert_eq!(bob.text(), format!("question {round}"));
        bob.say(&format!("answer {round}"));
        assert_eq!(alice.text(), format!("answer {round}"));
    }
}

#[test]
fn the_default_starts_on_epoll_with_a_warning() {
    without_io_uring(|| {
        let server = Server::with("io = \"ring\"\n");
        exchange_messages(&server);
        let log = server.log();
        let warning = log.lines().find(|line| line.contains("io_uring cannot be used")).expect(&log);
        assert!(warning.contains("WARN") && warning.contains("epoll") && warning.contains("parlor check"), "{warning}");
    });
}

#[test]
fn epoll_that_was_asked_for_needs_no_warning() {
    without_io_uring(|| {
        let server = Server::with("io = \"epoll\"\n");
        exchange_messages(&server);
        let log = server.log();
        assert!(!log.contains("io_uring"), "{log}");
    });
}

#[test]
fn glommio_says_that_it_needs_io_uring() {
    without_io_uring(|| {
        let (child, _config) = support::spawn(&config("io = \"glommio\"\n"));
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("io_uring: refused") && error.contains("glommio needs it"), "{error}");
    });
}

#[test]
fn check_says_why_and_what_takes_over() {
    without_io_uring(|| {
        let output = Command::new(env!("CARGO_BIN_EXE_parlor")).arg("check").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        for line in ["warning  io_uring: refused: Operation not permitted", "warning  shards.io: epoll instead of ring"]
        {
            assert!(text.contains(line), "{text}");
        }
    });
}
