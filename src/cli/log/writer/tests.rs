use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::*;

/// Longer than any test takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// A writer whose results the test decides.
struct TestWriter {
    outcomes: Receiver<Outcome>,
    written: Arc<Mutex<Vec<u8>>>,
}

/// The result of a write.
enum Outcome {
    Writes(usize),
    Fails(ErrorKind),
}

impl Write for TestWriter {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        // After the test has dropped its end, all writes succeed.
        match self.outcomes.recv().unwrap_or(Outcome::Writes(usize::MAX)) {
            Outcome::Fails(kind) => Err(kind.into()),
            Outcome::Writes(n) => self.written.lock().unwrap().write(&octets[..n.min(octets.len())]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Written = Arc<Mutex<Vec<u8>>>;

/// A queue, the results of its writes, and the written octets.
fn queue() -> (LogQueue, SyncSender<Outcome>, Written) {
    let (outcome, outcomes) = sync_channel(0);
    let written = Written::default();
    let out = TestWriter { outcomes, written: written.clone() };
    (LogQueue::start(out, |lines| format!("{lines} dropped\n")).unwrap(), outcome, written)
}

fn text(written: &Written) -> String {
    String::from_utf8(written.lock().unwrap().clone()).unwrap()
}

#[test]
fn lines_are_written_in_order_before_close_returns() {
    let (queue, outcome, written) = queue();
    drop(outcome);
    for n in 0..100 {
        queue.push(format!("{n}\n").as_bytes());
    }
    queue.close(LONG);
    assert_eq!(text(&written), (0..100).map(|n| format!("{n}\n")).collect::<String>());
}

#[test]
fn a_stalled_reader_blocks_no_logger_and_dropped_lines_are_counted() {
    let (queue, outcome, written) = queue();
    queue.push(b"first\n");
    // Wait until the thread has taken it and blocks in the write.
    while !queue.0.lock().waiting.is_empty() {
        thread::yield_now();
    }
    let line = [&[b'x'; 1023][..], b"\n"].concat();
    let fit = LOG_WAITING_BYTES_MAX / line.len();
    for _ in 0..fit + 7 {
        queue.push(&line);
    }
    assert!(queue.0.lock().waiting.len() <= LOG_WAITING_BYTES_MAX);
    let started = Instant::now();
    queue.close(Duration::from_millis(50));
    assert!(started.elapsed() >= Duration::from_millis(50), "it waits for the timeout");
    assert_eq!(text(&written), "");
    drop(outcome);
    queue.close(LONG);
    let text = text(&written);
    assert_eq!(text.lines().count(), 1 + fit + 1);
    assert!(text.starts_with("first\n") && text.ends_with("x\n7 dropped\n"));
}

#[test]
fn failed_writes_are_counted_and_reported_later() {
    for kind in [ErrorKind::StorageFull, ErrorKind::BrokenPipe, ErrorKind::Other] {
        let (queue, outcome, written) = queue();
        queue.push(b"one\n");
        outcome.send(Outcome::Fails(kind)).unwrap();
        queue.push(b"two\n");
        // Before the second line, the report is tried.
        outcome.send(Outcome::Fails(kind)).unwrap();
        drop(outcome);
        queue.push(b"three\n");
        queue.close(LONG);
        let text = text(&written);
        // Both may be in one batch with the third.
        let told: u64 = text.lines().filter_map(|line| line.strip_suffix(" dropped")?.parse::<u64>().ok()).sum();
        let kept = text.lines().filter(|line| !line.ends_with(" dropped")).count() as u64;
        assert_eq!(told + kept, 3, "{text}");
        assert!(told >= 1 && !text.contains("one"), "{text}");
    }
}

#[test]
fn a_truncated_line_is_ended_before_the_next() {
    let (queue, outcome, written) = queue();
    queue.push(b"whole\nbroken\n");
    outcome.send(Outcome::Writes(9)).unwrap();
    outcome.send(Outcome::Fails(ErrorKind::StorageFull)).unwrap();
    drop(outcome);
    queue.push(b"next\n");
    queue.close(LONG);
    assert_eq!(text(&written), "whole\nbro\n1 dropped\nnext\n");
}

#[test]
fn a_full_non_blocking_descriptor_is_tried_again() {
    let (queue, outcome, written) = queue();
    queue.push(b"line\n");
    for kind in [ErrorKind::WouldBlock, ErrorKind::Interrupted, ErrorKind::WouldBlock] {
        outcome.send(Outcome::Fails(kind)).unwrap();
    }
    drop(outcome);
    queue.close(LONG);
    assert_eq!(text(&written), "line\n");
}

#[test]
fn a_line_longer_than_the_queue_is_dropped_and_counted() {
    let (queue, outcome, written) = queue();
    drop(outcome);
    let line = [&vec![b'x'; LOG_WAITING_BYTES_MAX][..], b"\n"].concat();
    queue.push(&line);
    queue.close(LONG);
    assert_eq!(text(&written), "1 dropped\n");
}
