//! Connections that are closed at once, while the numbers of their descriptors become others'.

use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

on_each!(a_connection_that_is_closed_takes_nothing_of_others);

/// Opens sockets all the time, and looks whether what was said on them arrives.
fn open_others(done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        let pairs: Vec<_> = (0..8).map(|_| UnixStream::pair().unwrap()).collect();
        for (ours, _) in &pairs {
            (&*ours).write_all(b"mine").unwrap();
        }
        for (_, theirs) in &pairs {
            theirs.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            let mut text = [0; 4];
            (&*theirs).read_exact(&mut text).expect("somebody else has read it");
            assert_eq!(&text, b"mine");
        }
    }
}

/// A drained shard closes what connects to it in the turn in which it was accepted.
fn a_connection_that_is_closed_takes_nothing_of_others(io: Io) {
    let mut running = run(io);
    let alice = running.join("alice", 1);
    running.handle.commands.try_send(Command::Drain).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let others: Vec<_> = (0..2).map(|_| scope.spawn(|| open_others(&done))).collect();
        for _ in 0..500 {
            let mut stream = TcpStream::connect(("127.0.0.1", running.handle.port)).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            assert_eq!(stream.read(&mut [0; 10]).unwrap_or(0), 0, "it is closed");
        }
        done.store(true, Ordering::Relaxed);
        others.into_iter().for_each(|other| other.join().unwrap());
    });
    drop(alice);
}
