//! Transactions without sockets and clocks.

use super::super::answered::{ANSWERED_BYTES, REFUSED_BYTES};
use super::super::entry::IN_PROGRESS_BYTES;
use super::*;
use parlor_proto::sip::{ResponseBuilder, SipConnection, Transport, parse_datagram};

fn hop(transport: Transport) -> Hop {
    let (local, remote) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.7:40000".parse().unwrap());
    Hop { transport, local, remote, connection: transport.is_reliable().then_some(SipConnection(1)) }
}

fn message(method: &str) -> Message {
    let text = format!(
        "{method} sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:c@d>;tag=1\r\nTo: <sip:a@b>\r\n\
         Call-ID: x\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    );
    parse_datagram(text.as_bytes()).unwrap().unwrap()
}

fn outputs(transactions: &mut Transactions) -> (Vec<String>, Vec<Timer>) {
    let (mut sent, mut timers) = (Vec::new(), Vec::new());
    while let Some(output) = transactions.poll_output() {
        match output {
            TransactionOutput::Send { message, .. } => {
                sent.push(String::from_utf8_lossy(&message).lines().next().unwrap().to_owned());
            }
            TransactionOutput::SetTimer { timer, .. } => timers.push(timer),
            TransactionOutput::ClearTimer { timer, .. } => timers.retain(|&set| set != timer),
        }
    }
    (sent, timers)
}

fn request(transactions: &mut Transactions, method: &str, transport: Transport) -> (TransactionId, Request) {
    match transactions.receive(message(method), hop(transport)) {
        Some(Arrival::Request { id, request }) => (id, *request),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_retransmitted_request_gets_the_response_again() {
    let mut transactions = Transactions::default();
    let (id, bye) = request(&mut transactions, "BYE", Transport::Udp);
    transactions.respond(&id, ResponseBuilder::new(&bye, 200, "t").empty());
    assert!(transactions.receive(message("BYE"), hop(Transport::Udp)).is_none());
    let (sent, timers) = outputs(&mut transactions);
    assert_eq!(sent, ["SIP/2.0 200 OK", "SIP/2.0 200 OK"]);
    assert_eq!(timers, [Timer::J]);
    transactions.fire(&id, Timer::J);
    assert_eq!(transactions.servers(), 0);
}

#[test]
fn a_refusal_is_retransmitted_until_its_ack() {
    let mut transactions = Transactions::default();
    let (id, invite) = request(&mut transactions, "INVITE", Transport::Udp);
    transactions.respond(&id, ResponseBuilder::new(&invite, 404, "t").empty());
    transactions.fire(&id, Timer::G);
    assert_eq!(outputs(&mut transactions).0, ["SIP/2.0 404 Not Found", "SIP/2.0 404 Not Found"]);
    assert!(transactions.receive(message("ACK"), hop(Transport::Udp)).is_none());
    assert!(transactions.fire(&id, Timer::G).is_none());
    assert_eq!(outputs(&mut transactions).0, Vec::<String>::new());
}

#[test]
fn a_refused_invite_is_charged_for_its_response_until_its_ack() {
    let mut transactions = Transactions::default();
    let source = hop(Transport::Udp).remote.ip();
    let (id, invite) = request(&mut transactions, "INVITE", Transport::Udp);
    assert!(transactions.bytes_of(source) > IN_PROGRESS_BYTES + 150, "every octet of it");
    let answer = transactions.respond(&id, ResponseBuilder::new(&invite, 404, "t").empty());
    assert!(transactions.entries.is_empty());
    let least = ANSWERED_BYTES + REFUSED_BYTES;
    assert_eq!(transactions.bytes_of(source), least + answer.len());
    assert_eq!(outputs(&mut transactions).1, [Timer::H, Timer::G]);
    assert!(transactions.receive(message("INVITE"), hop(Transport::Udp)).is_none());
    assert_eq!(outputs(&mut transactions).0.len(), 1, "it is asked for again");
    for _ in 0..2 {
        assert!(transactions.receive(message("ACK"), hop(Transport::Udp)).is_none());
    }
    assert_eq!((transactions.bytes_of(source), transactions.servers()), (least, 1));
    assert!(transactions.receive(message("INVITE"), hop(Transport::Udp)).is_none());
    assert_eq!(outputs(&mut transactions), (vec![], vec![Timer::I]), "absorbed");
    transactions.fire(&id, Timer::I);
    assert_eq!((transactions.bytes_of(source), transactions.servers()), (0, 0));
}

#[test]
fn the_interval_of_an_unacknowledged_refusal_doubles_until_timer_h() {
    let mut transactions = Transactions::default();
    let (id, invite) = request(&mut transactions, "INVITE", Transport::Udp);
    transactions.respond(&id, ResponseBuilder::new(&invite, 404, "t").empty());
    let mut intervals = Vec::new();
    for _ in 0..6 {
        while let Some(output) = transactions.poll_output() {
            if let TransactionOutput::SetTimer { timer: Timer::G, after, .. } = output {
                intervals.push(after.as_millis());
            }
        }
        transactions.fire(&id, Timer::G);
    }
    assert_eq!(intervals, [500, 1000, 2000, 4000, 4000, 4000]);
    transactions.fire(&id, Timer::H);
    assert_eq!((transactions.servers(), outputs(&mut transactions).1), (0, vec![]));
    transactions.fire(&id, Timer::G);
    assert!(outputs(&mut transactions).0.is_empty());
}

#[test]
fn branch_and_sent_by_are_case_insensitive() {
    let mut transactions = Transactions::default();
    let (_, bye) = request(&mut transactions, "BYE", Transport::Udp);
    for (old, new, same) in [("bK1", "Bk1", true), ("UDP h;", "UDP H;", true), ("bK1", "bK2", false)] {
        let text = String::from_utf8(Message::Request(bye.clone()).to_bytes().to_vec()).unwrap();
        let other = parse_datagram(text.replacen(old, new, 1).as_bytes()).unwrap().unwrap();
        let Message::Request(other) = other else { unreachable!() };
        assert_eq!(transactions.contains(&other), same, "{new}");
    }
}

#[test]
fn an_answered_request_is_charged_for_its_response() {
    let mut transactions = Transactions::default();
    transactions.set_max_bytes(1 << 20);
    let source = hop(Transport::Udp).remote.ip();
    let (id, bye) = request(&mut transactions, "BYE", Transport::Udp);
    let answer = transactions.respond(&id, ResponseBuilder::new(&bye, 200, "t").empty());
    assert_eq!(transactions.bytes_of(source), ANSWERED_BYTES + answer.len());
    let (id, invite) = request(&mut transactions, "INVITE", Transport::Udp);
    transactions.respond(&id, ResponseBuilder::new(&invite, 200, "t").empty());
    assert_eq!(transactions.bytes_of(source), 2 * ANSWERED_BYTES + answer.len());
    let Some(Arrival::Ack(_)) = transactions.receive(message("ACK"), hop(Transport::Udp)) else {
        panic!("the ACK of a 2xx")
    };
}

#[test]
fn a_stateless_response_keeps_no_transaction_unless_a_provisional_one_was_sent() {
    let mut transactions = Transactions::default();
    let (id, invite) = request(&mut transactions, "INVITE", Transport::Udp);
    transactions.respond_without_state(&id, ResponseBuilder::new(&invite, 404, "t").empty());
    assert_eq!(transactions.servers(), 0);
    let (id, invite) = request(&mut transactions, "INVITE", Transport::Udp);
    transactions.fire(&id, Timer::Trying100);
    transactions.respond_without_state(&id, ResponseBuilder::new(&invite, 404, "t").empty());
    assert_eq!(transactions.servers(), 1);
    assert!(transactions.receive(message("INVITE"), hop(Transport::Udp)).is_none());
    let all = outputs(&mut transactions).0;
    assert_eq!(all.iter().filter(|line| line.contains("404")).count(), 3, "{all:?}");
}

#[test]
fn a_late_response_is_preceded_by_a_100() {
    let mut transactions = Transactions::default();
    let (id, _) = request(&mut transactions, "INVITE", Transport::Udp);
    assert_eq!(outputs(&mut transactions).1, [Timer::Trying100]);
    transactions.fire(&id, Timer::Trying100);
    assert_eq!(outputs(&mut transactions).0, ["SIP/2.0 100 Trying"]);
}

#[test]
fn a_100_has_no_tag_and_the_timestamp_of_its_request() {
    for extra in ["", "Timestamp: 54.2\r\n"] {
        let text = String::from_utf8(message("INVITE").to_bytes().to_vec()).unwrap();
        let text = text.replace("Max-Forwards", &format!("{extra}Max-Forwards"));
        let invite = parse_datagram(text.as_bytes()).unwrap().unwrap();
        let mut transactions = Transactions::default();
        let Some(Arrival::Request { id, .. }) = transactions.receive(invite, hop(Transport::Udp)) else { panic!() };
        transactions.fire(&id, Timer::Trying100);
        let sent = std::iter::from_fn(|| transactions.poll_output()).find_map(|output| match output {
            TransactionOutput::Send { message, .. } => Some(String::from_utf8(message.to_vec()).unwrap()),
            _ => None,
        });
        let trying = sent.unwrap();
        assert!(trying.starts_with("SIP/2.0 100 ") && trying.contains("To: <sip:a@b>\r\n"), "{trying}");
        assert_eq!(trying.matches("Timestamp: 54.2\r\n").count(), usize::from(!extra.is_empty()), "{trying}");
    }
}

#[test]
fn a_response_with_several_vias_or_another_sent_by_is_dropped() {
    let mut transactions = Transactions::default();
    let Message::Request(bye) = message("BYE") else { unreachable!() };
    transactions.request(bye.clone(), hop(Transport::Udp)).unwrap();
    let answer = Message::Response(ResponseBuilder::new(&bye, 200, "t").empty()).to_bytes();
    let answer = String::from_utf8(answer.to_vec()).unwrap();
    for (old, new, ours) in [
        ("From:", "Via: SIP/2.0/UDP far;branch=z9hG4bK2\r\nFrom:", false),
        ("UDP h;", "UDP elsewhere;", false),
        ("UDP h;", "UDP h;", true),
    ] {
        let changed = parse_datagram(answer.replacen(old, new, 1).as_bytes()).unwrap().unwrap();
        assert_eq!(transactions.receive(changed, hop(Transport::Udp)).is_some(), ours, "{new}");
    }
}

#[test]
fn over_tcp_only_an_accepted_invite_is_kept() {
    let mut transactions = Transactions::default();
    for (method, status) in [("INVITE", 200), ("INVITE", 404), ("OPTIONS", 200)] {
        let (id, asked) = request(&mut transactions, method, Transport::Tcp);
        transactions.respond(&id, ResponseBuilder::new(&asked, status, "t").empty());
        let kept = usize::from((method, status) == ("INVITE", 200));
        assert_eq!(transactions.servers(), kept, "{method} {status}");
        for timer in outputs(&mut transactions).1 {
            assert_eq!((timer, kept), (Timer::L, 1), "{method} {status}");
            assert!(transactions.receive(message(method), hop(Transport::Tcp)).is_none(), "absorbed");
            transactions.fire(&id, timer);
        }
        assert_eq!((transactions.servers(), transactions.bytes_of(hop(Transport::Tcp).remote.ip())), (0, 0));
    }
    assert!(matches!(transactions.receive(message("ACK"), hop(Transport::Tcp)), Some(Arrival::Ack(_))));
}

#[test]
fn a_cancel_matches_its_invite() {
    let mut transactions = Transactions::default();
    let (id, _) = request(&mut transactions, "INVITE", Transport::Udp);
    let (own, cancel) = request(&mut transactions, "CANCEL", Transport::Udp);
    assert_ne!(own, id);
    assert_eq!(transactions.cancelled(&cancel), Some(id));
    assert!(!transactions.cancels_other_request(&cancel));
    for method in ["SUBSCRIBE", "REFER", "BYE", "OPTIONS", "UPDATE"] {
        let mut transactions = Transactions::default();
        request(&mut transactions, method, Transport::Udp);
        let (_, cancel) = request(&mut transactions, "CANCEL", Transport::Udp);
        assert!(transactions.cancelled(&cancel).is_none() && transactions.cancels_other_request(&cancel), "{method}");
    }
}

#[test]
fn a_client_request_is_retransmitted_until_its_response_or_timer_f() {
    let mut transactions = Transactions::default();
    let Message::Request(bye) = message("BYE") else { unreachable!() };
    let id = transactions.request(bye.clone(), hop(Transport::Udp)).unwrap();
    transactions.fire(&id, Timer::E);
    assert_eq!(outputs(&mut transactions).0.len(), 2);
    let answer = Message::Response(ResponseBuilder::new(&bye, 200, "t").empty());
    assert!(matches!(transactions.receive(answer, hop(Transport::Udp)), Some(Arrival::Response { .. })));
    assert!(transactions.fire(&id, Timer::F).is_none());
    transactions.forget(&id);
    assert!(transactions.entries.is_empty(), "an answered request need not be kept for answers that come again");

    let id = transactions.request(bye, hop(Transport::Udp)).unwrap();
    assert!(matches!(transactions.fire(&id, Timer::F), Some(Arrival::TimedOut(_))));
    assert!(transactions.entries.is_empty());
}
