//! A call with responses made by the test.

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;

use super::*;
use crate::cli::chat::digest_client::Password;
use crate::cli::chat::target::parse_participant;
use parlor_proto::sip::{SipConnection, Transport, addresses, parse_datagram};

fn start(transport: Transport) -> (Call, Instant) {
    let hop = Hop {
        transport,
        local: "192.0.2.7:40000".parse().unwrap(),
        remote: "192.0.2.1:5060".parse().unwrap(),
        connection: transport.is_reliable().then_some(SipConnection(1)),
    };
    let parties = Parties {
        caller: "sip:alice@example.com".into(),
        room: parse_participant("sip:room@example.com").unwrap(),
        anonymous: false,
        password: Some(Password { username: "alice".into(), password: "wonderland".into() }),
    };
    let mut call = Call::new(&parties, hop, &mut ChaCha12Rng::from_seed([7; 32]));
    let now = Instant::now();
    call.invite("v=0\r\n".into(), now);
    (call, now)
}

fn sent(call: &mut Call) -> Request {
    let bytes = call.poll_outgoing().expect("something is to be sent");
    match parse_datagram(&bytes) {
        Ok(Some(Message::Request(request))) => request,
        other => panic!("{other:?}"),
    }
}

fn answer(invite: &Request, status: u16) -> Message {
    let contact = ResponseBuilder::new(invite, status, "them")
        .header(HeaderName::Contact, "<sip:room@192.0.2.1:5060>;isfocus")
        .header(HeaderName::RecordRoute, "<sip:p2;lr>, <sip:p1;lr>");
    Message::Response(contact.body("application/sdp", "v=0\r\nanswer"))
}

#[test]
fn every_retransmission_of_a_2xx_gets_an_ack() {
    let (mut call, now) = start(Transport::Udp);
    let invite = sent(&mut call);
    assert_eq!(call.handle_message(answer(&invite, 200), now), Some(CallEvent::Answered("v=0\r\nanswer".into())));
    for again in [false, true] {
        if again {
            assert_eq!(call.handle_message(answer(&invite, 200), now), None);
        }
        let ack = sent(&mut call);
        assert_eq!(ack.method, Method::Ack);
        assert_eq!(ack.uri.to_bytes().as_ref(), b"sip:room@192.0.2.1:5060");
        let route: Vec<_> = addresses(&ack.headers, &HeaderName::Route).unwrap();
        assert_eq!(route[0].uri.to_bytes().as_ref(), b"sip:p1;lr");
        assert!(text(&ack.headers, &HeaderName::To).unwrap().ends_with(";tag=them"));
        assert_eq!(text(&ack.headers, &HeaderName::CSeq).as_deref(), Some("1 ACK"));
    }
    call.hang_up(now);
    let bye = sent(&mut call);
    assert_eq!((bye.method.clone(), text(&bye.headers, &HeaderName::CSeq).unwrap().as_str()), (Method::Bye, "2 BYE"));
    let over = Message::Response(ResponseBuilder::new(&bye, 200, "").empty());
    assert_eq!(call.handle_message(over, now), Some(CallEvent::HungUp));
}

fn challenged(request: &Request, status: u16, stale: bool, algorithms: &[&str]) -> Message {
    let name = if status == 401 { HeaderName::WwwAuthenticate } else { HeaderName::ProxyAuthenticate };
    let row = |algorithm: &&str| {
        format!("Digest realm=\"r\", qop=\"auth\", nonce=\"n{stale}\", stale={stale}, algorithm={algorithm}")
    };
    let reply = algorithms.iter().fold(ResponseBuilder::new(request, status, "them"), |reply, algorithm| {
        reply.header(name.clone(), row(algorithm))
    });
    Message::Response(reply.empty())
}

#[test]
fn a_challenge_is_answered_with_the_first_known_algorithm() {
    for (status, header) in [(401, HeaderName::Authorization), (407, HeaderName::ProxyAuthorization)] {
        let (mut call, now) = start(Transport::Tcp);
        let invite = sent(&mut call);
        assert_eq!(
            call.handle_message(challenged(&invite, status, false, &["SHA-512-256", "SHA-256", "MD5"]), now),
            None
        );
        assert_eq!(sent(&mut call).method, Method::Ack);
        let again = sent(&mut call);
        let credentials = parlor_proto::sip::Credentials::parse(&text(&again.headers, &header).unwrap()).unwrap();
        let ha1 = parlor_proto::sip::Algorithm::Sha256.ha1("alice", "r", "wonderland");
        assert_eq!(credentials.response, credentials.expected(&ha1, "INVITE"));
        assert_eq!(text(&again.headers, &HeaderName::CSeq).as_deref(), Some("2 INVITE"));
        call.handle_message(answer(&again, 200), now);
        let ack = sent(&mut call);
        assert_eq!(text(&ack.headers, &header), text(&again.headers, &header), "the ACK repeats them");
        call.hang_up(now);
        assert!(text(&sent(&mut call).headers, &header).unwrap().contains("nc=00000002"));
    }
}

#[test]
fn a_stale_nonce_is_replaced_and_a_refused_password_is_not_sent_again() {
    let (mut call, now) = start(Transport::Tcp);
    let invite = sent(&mut call);
    call.handle_message(challenged(&invite, 401, false, &["MD5"]), now);
    let (_, second) = (sent(&mut call), sent(&mut call));
    assert_eq!(call.handle_message(challenged(&second, 401, true, &["MD5"]), now), None);
    let (_, third) = (sent(&mut call), sent(&mut call));
    assert!(text(&third.headers, &HeaderName::Authorization).unwrap().contains("nonce=\"ntrue\""));
    let refused = call.handle_message(challenged(&third, 401, false, &["MD5"]), now);
    assert_eq!(refused, Some(CallEvent::Refused(401, "Unauthorized".into())));
}

#[test]
fn a_refusal_has_status_and_reason() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let (mut call, now) = start(transport);
        let invite = sent(&mut call);
        assert_eq!(call.handle_message(answer(&invite, 404), now), Some(CallEvent::Refused(404, "Not Found".into())));
        assert_eq!(sent(&mut call).method, Method::Ack);
    }
}

#[test]
fn an_unanswered_invite_is_retransmitted_and_times_out() {
    let (mut call, _) = start(Transport::Udp);
    let mut copies = 0;
    let event = loop {
        while call.poll_outgoing().is_some() {
            copies += 1;
        }
        let next = call.poll_timeout(Instant::now()).expect("a timer is set while nobody has answered");
        if let Some(event) = call.handle_timeout(next) {
            break event;
        }
    };
    assert_eq!((event, copies), (CallEvent::TimedOut, 7));
}

#[test]
fn the_room_may_end_the_call() {
    let (mut call, now) = start(Transport::Tcp);
    let invite = sent(&mut call);
    call.handle_message(answer(&invite, 200), now);
    let call_id = text(&invite.headers, &HeaderName::CallId).unwrap();
    let bye = |call_id: &str| {
        let text = format!(
            "BYE sip:alice@192.0.2.7 SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK{call_id}\r\nFrom: <sip:r@h>;tag=them\r\n\
             To: <sip:a@h>;tag=x\r\nCall-ID: {call_id}\r\nCSeq: 1 BYE\r\nReason: SIP;cause=200;text=\"Room closed\"\r\n\
             Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        parse_datagram(text.as_bytes()).unwrap().unwrap()
    };
    assert_eq!(call.handle_message(bye("other"), now), None);
    assert_eq!(call.handle_message(bye(&call_id), now), Some(CallEvent::Ended(Some("Room closed".into()))));
    call.hang_up(now);
    let statuses: Vec<_> = std::iter::from_fn(|| call.poll_outgoing())
        .filter_map(|bytes| parse_datagram(&bytes).ok()??.as_response().map(|response| response.status.code()))
        .collect();
    assert_eq!(statuses, [481, 200]);
}

#[test]
fn only_uris_with_user_and_host_are_accepted() {
    assert!(parse_participant("sip:lobby@[::1]:5070;transport=tcp").is_ok());
    for bad in ["", "lobby", "lobby@host", "sip:host", "tel:+1", "http://a@b/"] {
        assert!(parse_participant(bad).is_err(), "{bad}");
    }
}

fn provisional(invite: &Request) -> Message {
    Message::Response(ResponseBuilder::new(invite, 180, "them").empty())
}

/// The methods of the requests that wait to be sent.
fn methods(call: &mut Call) -> Vec<String> {
    let requests = std::iter::from_fn(|| call.poll_outgoing()).filter_map(|bytes| match parse_datagram(&bytes) {
        Ok(Some(Message::Request(request))) => Some(String::from_utf8_lossy(request.method.as_bytes()).into_owned()),
        _ => None,
    });
    requests.collect()
}

#[test]
fn an_invite_is_cancelled_after_its_first_provisional_response() {
    for rings_first in [true, false] {
        let (mut call, now) = start(Transport::Tcp);
        let invite = sent(&mut call);
        if rings_first {
            call.handle_message(provisional(&invite), now);
        }
        call.hang_up(now);
        if !rings_first {
            assert!(methods(&mut call).is_empty(), "nothing is cancelled that may not have come");
            call.handle_message(provisional(&invite), now);
        }
        assert_eq!(methods(&mut call), ["CANCEL"]);
        call.hang_up(now);
        call.handle_message(provisional(&invite), now);
        assert!(methods(&mut call).is_empty() && !call.has_ended());
        call.handle_message(answer(&invite, 487), now);
        assert_eq!(methods(&mut call), ["ACK"]);
        assert!(call.has_ended());
    }
}

#[test]
fn a_2xx_that_crosses_the_cancel_gets_ack_and_bye() {
    let (mut call, now) = start(Transport::Tcp);
    let invite = sent(&mut call);
    call.handle_message(provisional(&invite), now);
    call.hang_up(now);
    assert_eq!(call.handle_message(answer(&invite, 200), now), None);
    assert_eq!(methods(&mut call), ["CANCEL", "ACK", "BYE"]);
    // The answer once more: its ACK was lost.
    assert_eq!(call.handle_message(answer(&invite, 200), now), None);
    assert_eq!(methods(&mut call), ["ACK"]);
}

#[test]
fn after_a_socket_failure_the_call_has_ended() {
    let (mut call, now) = start(Transport::Tcp);
    sent(&mut call);
    assert!(!call.has_ended());
    call.abandon();
    call.hang_up(now);
    assert!(call.has_ended() && methods(&mut call).is_empty());
}

#[test]
fn a_challenge_after_hanging_up_is_not_answered() {
    let (mut call, now) = start(Transport::Tcp);
    let invite = sent(&mut call);
    call.hang_up(now);
    let refused = call.handle_message(challenged(&invite, 401, false, &["MD5"]), now);
    assert_eq!(
        (refused, methods(&mut call)),
        (Some(CallEvent::Refused(401, "Unauthorized".into())), vec!["ACK".into()])
    );
    assert!(call.has_ended());
}
