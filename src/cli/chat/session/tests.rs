//! Two sessions that exchange octets in memory.

use rand_core::SeedableRng;

use super::*;
use crate::cli::chat::inbox::Content;

const OURS: &str = "msrp://192.0.2.7:9/ours;tcp";
const THEIRS: &str = "msrp://192.0.2.1:2855/theirs;tcp";

fn pair() -> (Session, Session) {
    let end =
        |local: &str, remote: &str, seed| Session::new(local.into(), remote.into(), ChaCha12Rng::from_seed([seed; 32]));
    (end(OURS, THEIRS, 1), end(THEIRS, OURS, 2))
}

fn pass(from: &mut Session, to: &mut Session) -> Vec<SessionEvent> {
    to.handle_bytes(&std::mem::take(&mut from.outgoing)).unwrap()
}

#[test]
fn a_message_is_received_and_answered() {
    let (mut a, mut b) = pair();
    let now = Instant::now();
    a.bind(now);
    a.message(b"From: <sip:a@h>\r\nTo: <sip:r@h>\r\n\r\nContent-Type: text/plain\r\n\r\nhello", now);
    let events = pass(&mut a, &mut b);
    let [SessionEvent::Received(received)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(received.content, Content::Text("hello".into()));
    assert_eq!(a.unanswered(), 2);
    assert_eq!(
        pass(&mut b, &mut a),
        [SessionEvent::Answered(Sent::Binding, Ok(())), SessionEvent::Answered(Sent::Message, Ok(()))]
    );
    assert_eq!(a.unanswered(), 0);
}

#[test]
fn an_aborted_message_is_discarded() {
    let (_, mut b) = pair();
    let chunk = |range: &str, body: Option<&str>, flag: char| {
        let content = body.map(|body| format!("Content-Type: message/cpim\r\n\r\n{body}\r\n")).unwrap_or_default();
        let head = format!("MSRP abcd SEND\r\nTo-Path: {THEIRS}\r\nFrom-Path: {OURS}\r\nMessage-ID: m\r\n");
        format!("{head}Byte-Range: {range}\r\n{content}-------abcd{flag}\r\n")
    };
    let whole = "From: <sip:a@h>\r\nTo: <sip:r@h>\r\n\r\nContent-Type: text/plain\r\n\r\nagain";
    let wire = [
        chunk("1-*/*", Some("From: <sip:a@h>\r\n"), '+'),
        chunk("1-0/*", None, '#'),
        chunk(&format!("1-{0}/{0}", whole.len()), Some(whole), '$'),
    ];
    let events = b.handle_bytes(wire.concat().as_bytes()).unwrap();
    let [SessionEvent::Received(received)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(received.content, Content::Text("again".into()));
}

#[test]
fn a_file_is_sent_in_chunks() {
    let (mut a, mut b) = pair();
    let now = Instant::now();
    let head = b"From: <sip:a@h>\r\nTo: <sip:r@h>\r\n\r\nContent-Type: image/png\r\n\r\n";
    let body = [&head[..], &[7; 3000]].concat();
    let (id, total) = (a.draw_message_id(), body.len() as u64);
    for (i, piece) in body.chunks(1000).enumerate() {
        assert!(pass(&mut a, &mut b).is_empty());
        a.file_chunk(&id, i as u64 * 1000 + 1, total, piece, now);
    }
    assert!(b.is_receiving());
    let events = pass(&mut a, &mut b);
    let [SessionEvent::Received(received)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(received.content, Content::Other { media_type: "image/png".into(), octets: 3000 });
    assert!(!b.is_receiving());
    assert_eq!(pass(&mut b, &mut a).len(), 4);
}

#[test]
fn an_aborted_file_is_discarded() {
    let (mut a, mut b) = pair();
    let id = a.draw_message_id();
    a.file_chunk(&id, 1, 100, b"From: <sip:a@h>\r\n", Instant::now());
    a.abort_file(&id, 18, 100, Instant::now());
    assert_eq!(pass(&mut a, &mut b), []);
    assert!(!b.is_receiving());
}

#[test]
fn requests_for_other_sessions_and_unknown_methods_are_refused() {
    let (mut a, mut b) = pair();
    a.remote = "msrp://192.0.2.1:2855/other;tcp".into();
    a.message(b"x", Instant::now());
    a.nickname("Al", Instant::now());
    assert_eq!(pass(&mut a, &mut b), []);
    let refused = |status: u16, comment: &str| Err(SendError::Status(status, comment.into()));
    let answers = pass(&mut b, &mut a);
    assert_eq!(answers[0], SessionEvent::Answered(Sent::Message, refused(481, Status(481).comment())));
    let unknown = refused(501, Status(501).comment());
    assert_eq!(answers[1], SessionEvent::Answered(Sent::Nickname("Al".into()), unknown));
}

#[test]
fn a_missing_response_times_out() {
    let (mut a, _) = pair();
    let now = Instant::now();
    a.message(b"x", now);
    assert_eq!(a.poll_timeout(), Some(now + RESPONSE_TIMEOUT));
    assert_eq!(a.handle_timeout(now + RESPONSE_TIMEOUT / 2), []);
    let late = a.handle_timeout(now + RESPONSE_TIMEOUT);
    assert_eq!(late, [SessionEvent::Answered(Sent::Message, Err(SendError::Timeout))]);
    assert_eq!(a.poll_timeout(), None);
}

#[test]
fn responses_and_reports_follow_the_report_headers() {
    let (_, mut b) = pair();
    let chunk = |headers: &str| {
        format!(
            "MSRP abcd SEND\r\nTo-Path: {THEIRS}\r\nFrom-Path: {OURS}\r\nMessage-ID: 1\r\nByte-Range: 1-1/1\r\n{headers}\
             Content-Type: message/cpim\r\n\r\nx\r\n-------abcd$\r\n"
        )
    };
    b.handle_bytes(chunk("Failure-Report: no\r\n").as_bytes()).unwrap();
    assert!(b.outgoing.is_empty());
    b.handle_bytes(chunk("Failure-Report: partial\r\nSuccess-Report: yes\r\n").as_bytes()).unwrap();
    let report = String::from_utf8(std::mem::take(&mut b.outgoing)).unwrap();
    assert!(report.contains(" REPORT\r\n") && report.contains("Byte-Range: 1-1/1"), "{report}");
}
