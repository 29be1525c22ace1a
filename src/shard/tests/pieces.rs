//! A member who has stalled reads again, and there are more pieces for it than one send takes.

use socket2::{Domain, Socket, Type};

use super::*;

on_each!(who_reads_again_is_sent_all_that_has_waited);

/// A connection with little room on its side, so that what it does not read soon waits on ours.
fn connect_narrow(port: u16) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
    socket.into()
}

/// Nothing is copied, so each message is three pieces, and those that an outbox holds are twice of what the kernel takes.
fn who_reads_again_is_sent_all_that_has_waited(io: Io) {
    let mut running = run_with(ShardSettings { io, copy_below: 0, ..ShardSettings::default() });
    let mut alice = running.join("alice", 1);
    let mut bob = running.join_over(connect_narrow, 1, "bob", 2);
    bob.stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let mut say = |text: &str| {
        alice.say("alice", "t0000001", text);
        alice.read_until("-------t0000001$\r\n");
    };
    (0..1500).for_each(|n| say(&format!("{n}.")));
    let done = std::sync::atomic::AtomicBool::new(false);
    let heard = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut heard = Vec::new();
            loop {
                let chunk = bob.read_until("$\r\n");
                if chunk.contains("\r\n\r\nFrom: <sip:lobby") {
                    // The room says that bob has missed something.
                    continue;
                }
                let text = chunk.rsplit_once("\r\n\r\n").unwrap().1.split_once('.').unwrap().0.to_owned();
                if text == "last" {
                    done.store(true, std::sync::atomic::Ordering::Relaxed);
                    return heard;
                }
                heard.push(text.parse::<usize>().unwrap());
            }
        });
        // What is said while bob is behind may be discarded.
        while !done.load(std::sync::atomic::Ordering::Relaxed) && !reader.is_finished() {
            say("last.");
            std::thread::yield_now();
        }
        reader.join().expect("bob was hung up on")
    });
    assert!(heard.len() > 2 * 1024 / 3, "{} have waited", heard.len());
    assert!(heard.iter().enumerate().all(|(n, number)| n == *number), "{heard:?}");
}
