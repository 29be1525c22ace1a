//! Batches over real sockets.

use super::*;
use crate::limits::SEND_PIECES_MAX;
use crate::switch::{Mark, PieceSink};
use std::io::Read;
use std::net::{TcpListener as StdListener, TcpStream};
use std::os::fd::AsRawFd;

fn pair() -> (TcpStream, TcpStream) {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (sender, listener.accept().unwrap().0)
}

fn submit(batch: &mut Batch) -> &[io::Result<usize>] {
    // SAFETY: the pieces and sockets of each test live to its end.
    unsafe { batch.submit() }
}

fn sends_everything(with_ring: bool) {
    let mut batch = Batch::new(8, 16, with_ring);
    let large = vec![b'x'; 1000];
    let mut pairs: Vec<_> = (0..8).map(|_| pair()).collect();
    for (n, (sender, _)) in pairs.iter().enumerate() {
        batch.begin(sender.as_raw_fd());
        batch.pieces.push(format!("<{n}>").as_bytes());
        batch.pieces.push(b"small");
        batch.pieces.push(&large);
        batch.pieces.push(b"end");
    }
    assert!(batch.is_full());
    let sent: Vec<_> = submit(&mut batch).iter().map(|result| *result.as_ref().unwrap()).collect();
    assert_eq!(sent, [3 + 5 + 1000 + 3; 8]);
    for (n, (_, receiver)) in pairs.iter_mut().enumerate() {
        let mut text = vec![0; 1011];
        receiver.read_exact(&mut text).unwrap();
        assert_eq!(&text[..8], format!("<{n}>small").as_bytes());
        assert!(text.ends_with(b"xend"));
    }
}

#[test]
fn a_batch_reaches_every_socket() {
    sends_everything(false);
    sends_everything(true);
}

/// What the flusher relies on: no send is left in flight, whatever becomes of it.
#[test]
fn full_and_dead_sockets_complete_within_the_submission() {
    let mut batch = Batch::new(8, 16, true);
    assert!(batch.has_ring(), "no ring on this machine");
    let (full, _keep) = pair();
    full.set_nonblocking(true).unwrap();
    let fill = vec![0; 1 << 20];
    while io::Write::write(&mut &full, &fill).is_ok() {}
    let (dead, peer) = pair();
    drop(peer);
    dead.shutdown(std::net::Shutdown::Write).unwrap();
    let (alive, mut receiver) = pair();
    for socket in [&full, &dead, &alive] {
        batch.begin(socket.as_raw_fd());
        batch.pieces.push(b"hello");
    }
    let results = submit(&mut batch);
    assert_eq!(results[0].as_ref().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(results[1].as_ref().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(*results[2].as_ref().unwrap(), 5);
    let mut text = [0; 5];
    receiver.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"hello");
}

/// What stays in the scratch from batch to batch is what would be copied, whatever comes in between.
#[test]
fn octets_that_others_have_got_are_the_same_for_the_next() {
    let pages = [b"one|two|three|".as_slice(), b"ONE|TWO|THREE|".as_slice()];
    let mut batch = Batch::new(2, 16, false);
    let mut pairs = [pair(), pair()];
    let mut found = 0;
    // Page, where the second piece begins, and the path lines of both: the same again, other lines, longer ones, another cut,
    // another page, and back.
    let turns = [
        (0, 4, ["<a>", "<b>"]),
        (0, 4, ["<c>", "<d>"]),
        (0, 4, ["<c>", "<longer>"]),
        (0, 4, ["<longer>", "<e>"]),
        (0, 8, ["<f>", "<g>"]),
        (1, 8, ["<f>", "<g>"]),
        (1, 8, ["<h>", "<i>"]),
        (0, 8, ["<h>", "<i>"]),
    ];
    let switch = Switch::new(crate::switch::Settings::default(), [0; 32]);
    for (page, cut, paths) in turns {
        // To begin anew leaves what is there.
        let _ = batch.gather(&switch);
        let octets = pages[page];
        let mark = |at| Mark { page: page as u64, at };
        for ((sender, _), path) in pairs.iter().zip(paths) {
            batch.begin(sender.as_raw_fd());
            batch.pieces.push_marked(&octets[..cut], mark(0));
            batch.pieces.push(path.as_bytes());
            batch.pieces.push_marked(&octets[cut..], mark(cut));
        }
        found += batch.pieces.cache.now.iter().filter(|span| batch.pieces.cache.before.contains(span)).count();
        assert!(submit(&mut batch).iter().all(Result::is_ok));
        for ((_, receiver), path) in pairs.iter_mut().zip(paths) {
            let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
            let expected = text(&octets[..cut]) + path + &text(&octets[cut..]);
            let mut got = vec![0; expected.len()];
            receiver.read_exact(&mut got).unwrap();
            assert_eq!(text(&got), expected);
        }
    }
    assert_eq!(found, 4 + 3 + 2 + 4, "what stays is used");
}

/// The kernel refuses a ring whose one submitter is another thread, and never sees what was queued for it.
#[test]
fn a_ring_that_is_refused_is_done_without() {
    let ring = std::thread::spawn(|| open_ring(8)).join().unwrap().expect("no ring on this machine");
    let mut batch = Batch::new(8, 16, false);
    batch.ring = Some(ring);
    let mut pairs = [pair(), pair()];
    for text in ["first", "other"] {
        for (sender, _) in &pairs {
            batch.begin(sender.as_raw_fd());
            batch.pieces.push(text.as_bytes());
        }
        assert!(submit(&mut batch).iter().all(|result| matches!(result, Ok(5))));
        assert!(!batch.has_ring());
        for (_, receiver) in &mut pairs {
            let mut got = [0; 5];
            receiver.read_exact(&mut got).unwrap();
            assert_eq!(&got, text.as_bytes());
        }
    }
    for (sender, mut receiver) in pairs {
        drop(sender);
        assert_eq!(receiver.read(&mut [0]).unwrap(), 0, "something came twice");
    }
}

#[test]
fn a_large_send_is_taken_in_part() {
    let mut batch = Batch::new(8, 16, true);
    let (sender, _keep) = pair();
    let (other, _keep_too) = pair();
    let large = vec![0; 64 << 20];
    batch.begin(sender.as_raw_fd());
    batch.pieces.push(&large);
    batch.begin(other.as_raw_fd());
    batch.pieces.push(b"x");
    let results = submit(&mut batch);
    assert!(*results[0].as_ref().unwrap() < large.len());
    assert_eq!(*results[1].as_ref().unwrap(), 1);
}

/// More pieces than the kernel takes in one send are not taken, whether they are copied or not.
#[test]
fn a_send_has_no_more_pieces_than_the_kernel_takes() {
    for with_ring in [false, true] {
        let mut batch = Batch::new(8, 16, with_ring);
        let pairs = [pair(), pair()];
        let large = [b'x'; 16];
        for (sender, _) in &pairs {
            batch.begin(sender.as_raw_fd());
            let mut pieces = 0;
            while batch.pieces.room() > 0 {
                // Every other one is copied, between two that are not.
                let piece = if pieces % 2 == 0 { &large[..] } else { b"y" };
                batch.pieces.push(piece);
                pieces += 1;
            }
            assert_eq!(pieces, SEND_PIECES_MAX);
        }
        let sent: Vec<_> = submit(&mut batch).iter().map(|result| *result.as_ref().unwrap()).collect();
        assert_eq!(sent, [SEND_PIECES_MAX / 2 * 17; 2]);
    }
}
