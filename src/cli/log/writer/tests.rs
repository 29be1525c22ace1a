use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::*;

/// More than any test takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// A writer that asks the test before each write, and keeps what it was given.
struct Gate {
    answers: Receiver<Answer>,
    written: Arc<Mutex<Vec<u8>>>,
}

/// What a write comes to.
enum Answer {
    Takes(usize),
    Fails(ErrorKind),
}

impl Write for Gate {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        // A test that has gone lets everything pass.
        match self.answers.recv().unwrap_or(Answer::Takes(usize::MAX)) {
            Answer::Fails(kind) => Err(kind.into()),
            Answer::Takes(n) => self.written.lock().unwrap().write(&octets[..n.min(octets.len())]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Written = Arc<Mutex<Vec<u8>>>;

/// A queue, what writes come to, and what was written.
fn queue() -> (LogQueue, SyncSender<Answer>, Written) {
    let (answer, answers) = sync_channel(0);
    let written = Written::default();
    let out = Gate { answers, written: written.clone() };
    (LogQueue::start(out, |lines| format!("{lines} dropped\n")).unwrap(), answer, written)
}

fn text(written: &Written) -> String {
    String::from_utf8(written.lock().unwrap().clone()).unwrap()
}

#[test]
fn lines_are_written_in_order_before_the_end() {
    let (queue, answer, written) = queue();
    drop(answer);
    for n in 0..100 {
        queue.push(format!("{n}\n").as_bytes());
    }
    queue.close(LONG);
    assert_eq!(text(&written), (0..100).map(|n| format!("{n}\n")).collect::<String>());
}

#[test]
fn nobody_waits_for_a_reader_that_stalls_and_what_found_no_room_is_counted() {
    let (queue, answer, written) = queue();
    queue.push(b"first\n");
    // The thread has it, or will have it at its first write: wait until it waits in there.
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
    assert!(started.elapsed() >= Duration::from_millis(50), "it waits as long as it was told");
    assert_eq!(text(&written), "");
    drop(answer);
    queue.close(LONG);
    let text = text(&written);
    assert_eq!(text.lines().count(), 1 + fit + 1);
    assert!(text.starts_with("first\n") && text.ends_with("x\n7 dropped\n"));
}

#[test]
fn what_cannot_be_written_is_counted_and_told_when_it_can() {
    for kind in [ErrorKind::StorageFull, ErrorKind::BrokenPipe, ErrorKind::Other] {
        let (queue, answer, written) = queue();
        queue.push(b"one\n");
        answer.send(Answer::Fails(kind)).unwrap();
        queue.push(b"two\n");
        // Before the second line the count is tried.
        answer.send(Answer::Fails(kind)).unwrap();
        drop(answer);
        queue.push(b"three\n");
        queue.close(LONG);
        let text = text(&written);
        // Both may have come in one batch with the third.
        let told: u64 = text.lines().filter_map(|line| line.strip_suffix(" dropped")?.parse::<u64>().ok()).sum();
        let kept = text.lines().filter(|line| !line.ends_with(" dropped")).count() as u64;
        assert_eq!(told + kept, 3, "{text}");
        assert!(told >= 1 && !text.contains("one"), "{text}");
    }
}

#[test]
fn a_part_of_a_line_does_not_run_into_the_next() {
    let (queue, answer, written) = queue();
    queue.push(b"whole\nbroken\n");
    answer.send(Answer::Takes(9)).unwrap();
    answer.send(Answer::Fails(ErrorKind::StorageFull)).unwrap();
    drop(answer);
    queue.push(b"next\n");
    queue.close(LONG);
    assert_eq!(text(&written), "whole\nbro\n1 dropped\nnext\n");
}

#[test]
fn a_full_descriptor_that_does_not_block_is_tried_again() {
    let (queue, answer, written) = queue();
    queue.push(b"line\n");
    for kind in [ErrorKind::WouldBlock, ErrorKind::Interrupted, ErrorKind::WouldBlock] {
        answer.send(Answer::Fails(kind)).unwrap();
    }
    drop(answer);
    queue.close(LONG);
    assert_eq!(text(&written), "line\n");
}

#[test]
fn a_line_longer_than_the_queue_is_dropped_and_counted() {
    let (queue, answer, written) = queue();
    drop(answer);
    let line = [&vec![b'x'; LOG_WAITING_BYTES_MAX][..], b"\n"].concat();
    queue.push(&line);
    queue.close(LONG);
    assert_eq!(text(&written), "1 dropped\n");
}
