//! How the focus answers SIP messages of real clients, the torture messages of RFC 4475 and RFC 5118, and mutated ones. That they are
//! parsed is tested with the grammar.

#[path = "support/sip_samples.rs"]
mod sip_samples;

use sip_samples::{Chance, all_samples, samples};

use std::time::Instant;

use parlor::facts::{Command, Event};
use parlor::focus::{Focus, Output, RoomSettings, Settings, ShardAddress};
use parlor::ids::ShardId;
use parlor_proto::sip::{HeaderName, Hop, MalformedRequest, Message, Response, SipConnection};
use parlor_proto::sip::{Transport, parse_datagram, text};

fn sample(name: &str) -> Vec<u8> {
    samples("sip").into_iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("no sample {name}")).1
}

fn focus(domains: &[&str]) -> Focus {
    let settings = Settings {
        domains: domains.iter().map(|&name| name.to_owned()).collect(),
        listen: ["192.0.2.1:5060", "127.0.0.1:5560"]
            .map(|at| (parlor_proto::sip::Transport::Udp, at.parse().unwrap()))
            .into(),
        contact_host: "192.0.2.1".into(),
        msrp_host: "192.0.2.1".into(),
        connect_out: parlor::focus::ConnectOut::Source,
        fingerprints: Vec::new(),
        shards: vec![ShardAddress { id: ShardId(0), port: 2855, tls_port: None }],
        users: None,
        trusted_peers: vec![],
        max_calls_per_second: 0,
        outbound_proxy: None,
        session_expires: std::time::Duration::ZERO,
        transaction_bytes_max: 1 << 24,
        software: "Parlor".into(),
        rooms: RoomSettings { on_demand: true, ..RoomSettings::default() },
    };
    Focus::new(settings, [1; 32])
}

fn hop(transport: Transport) -> Hop {
    let (local, remote) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.77:40000".parse().unwrap());
    Hop { transport, local, remote, connection: transport.is_reliable().then_some(SipConnection(1)) }
}

/// Gives the focus a message, with a shard that takes every session, and returns the responses.
fn responses(focus: &mut Focus, message: Message, transport: Transport, now: Instant) -> Vec<Response> {
    focus.handle_message(message, hop(transport), now);
    sent_responses(focus, now)
}

fn sent_responses(focus: &mut Focus, now: Instant) -> Vec<Response> {
    let mut responses = Vec::new();
    while let Some(output) = focus.poll_output() {
        match output {
            Output::Send { message, .. } => {
                if let Some(Message::Response(response)) = parse_datagram(&message).expect("what we send parses") {
                    responses.push(response);
                }
            }
            Output::Command { shard, command: Command::OpenSession(open) } => {
                focus.handle_event(shard, Event::SessionReady { session: open.session }, now);
            }
            Output::Command { .. } | Output::LookUp { .. } => {}
        }
    }
    responses
}

fn status(domains: &[&str], sample: &[u8]) -> Option<u16> {
    let mut focus = focus(domains);
    let answers = match parse_datagram(sample) {
        Ok(message) => responses(&mut focus, message?, Transport::Udp, Instant::now()),
        Err(why) => {
            focus.handle_malformed(MalformedRequest::recover(sample, why)?, hop(Transport::Udp));
            sent_responses(&mut focus, Instant::now())
        }
    };
    answers.last().map(|response| response.status.code())
}

/// RFC 4475: the status of the response to each message. `None`: it is dropped, as a stray response or no SIP message at all.
const TORTURE: [(&str, Option<u16>); 49] = [
    ("badaspec", Some(400)),
    ("badbranch", Some(200)),
    ("baddate", Some(488)),
    ("baddn", Some(400)),
    ("badinv01", Some(400)),
    ("badvers", Some(505)),
    ("bcast", None),
    ("bext01", Some(420)),
    ("bigcode", None),
    ("clerr", Some(400)),
    ("cparam01", Some(405)),
    ("cparam02", Some(405)),
    ("dblreq", Some(405)),
    ("esc01", Some(488)),
    ("esc02", Some(501)),
    ("escnull", Some(405)),
    ("escruri", Some(400)),
    ("insuf", Some(400)),
    ("intmeth", Some(501)),
    ("inv2543", Some(400)),
    ("invut", Some(415)),
    ("longreq", Some(488)),
    ("ltgtruri", Some(400)),
    ("lwsdisp", Some(200)),
    ("lwsruri", Some(400)),
    ("lwsstart", Some(400)),
    ("mcl01", Some(400)),
    ("mismatch01", Some(400)),
    ("mismatch02", Some(400)),
    ("mpart01", Some(405)),
    ("multi01", Some(400)),
    ("ncl", Some(400)),
    ("noreason", None),
    ("novelsc", Some(416)),
    ("quotbal", Some(400)),
    ("regaut01", Some(405)),
    ("regbadct", Some(405)),
    ("regescrt", Some(405)),
    ("scalar02", Some(400)),
    ("scalarlg", None),
    ("sdp01", Some(406)),
    ("semiuri", Some(200)),
    ("transports", Some(200)),
    ("trws", Some(400)),
    ("unkscm", Some(416)),
    ("unksm2", Some(405)),
    ("unreason", None),
    ("wsinv", Some(481)),
    ("zeromf", Some(200)),
];

#[test]
fn torture_messages_get_the_expected_status() {
    let found = samples("sip/rfc4475");
    let domains = ["example.com", "example.net", "example.org"];
    let outcomes: Vec<_> = found.iter().map(|(name, octets)| (name.as_str(), status(&domains, octets))).collect();
    assert_eq!(outcomes, TORTURE);
}

/// RFC 5118: IPv6 addresses, well formed and malformed.
const TORTURE_BY_IPV6: [(&str, Option<u16>); 12] = [
    ("ipv4-mapped-ipv6", Some(488)),
    ("ipv6-bad", Some(400)),
    ("ipv6-bug-abnf-3-colons", Some(200)),
    ("ipv6-correct-abnf-2-colons", Some(200)),
    ("ipv6-good", Some(405)),
    ("ipv6-in-sdp", Some(488)),
    ("mult-ip-in-header", Some(481)),
    ("mult-ip-in-sdp", Some(488)),
    ("port-ambiguous", Some(405)),
    ("port-unambiguous", Some(405)),
    ("via-received-param-no-delim", Some(200)),
    ("via-received-param-with-delim", Some(481)),
];

#[test]
fn ipv6_addresses_are_read_in_every_place_and_spelling() {
    let found = samples("sip/rfc5118");
    let domains = ["example.com", "[2001:db8::10]", "[2001:db8::192.0.2.1]"];
    let outcomes: Vec<_> = found.iter().map(|(name, octets)| (name.as_str(), status(&domains, octets))).collect();
    assert_eq!(outcomes, TORTURE_BY_IPV6);
}

#[test]
fn every_invite_of_a_real_client_is_accepted() {
    for (name, octets) in samples("sip").into_iter().filter(|(name, _)| name.ends_with("-invite")) {
        let expected = if name == "sipsimple-msrps-invite" { 488 } else { 200 };
        assert_eq!(status(&["127.0.0.1"], &octets), Some(expected), "{name}");
    }
}

#[test]
fn the_200_has_what_clients_look_for() {
    // sipsimple and Blink use nicknames and private messages only where all of this is there.
    let Ok(Some(invite)) = parse_datagram(&sample("sipsimple-invite")) else { panic!() };
    let answers = responses(&mut focus(&["127.0.0.1"]), invite, Transport::Udp, Instant::now());
    let response = answers.last().unwrap();
    assert!(text(&response.headers, &HeaderName::Contact).unwrap().contains(";isfocus"));
    let answer = String::from_utf8(response.body().to_vec()).unwrap();
    for line in ["a=accept-types:message/cpim", "a=chatroom:nickname private-messages", "a=setup:passive"] {
        assert!(answer.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn a_complete_call_of_a_real_client_succeeds() {
    for (client, transport) in
        [("sipsimple", Transport::Udp), ("sipsimple-tcp", Transport::Tcp), ("sipp", Transport::Udp)]
    {
        let (mut focus, now) = (focus(&["127.0.0.1"]), Instant::now());
        let mut tag = String::new();
        for (step, expected) in [("invite", Some(200)), ("ack", None), ("bye", Some(200))] {
            let octets = String::from_utf8(sample(&format!("{client}-{step}"))).unwrap();
            // The trace has the tag that another server gave.
            let octets = octets.lines().map(|line| retagged(line, &tag) + "\r\n").collect::<String>();
            let message = parse_datagram(octets.as_bytes()).unwrap().unwrap();
            let answers = responses(&mut focus, message, transport, now);
            assert_eq!(answers.last().map(|r| r.status.code()), expected, "{client} {step}");
            if let (Some(answer), "invite") = (answers.last(), step) {
                tag = parlor_proto::sip::tag(&answer.headers, &HeaderName::To).unwrap().into_owned();
            }
        }
        assert_eq!(focus.counts().calls, 0, "{client}");
    }
}

fn retagged(line: &str, tag: &str) -> String {
    match line.split_once(";tag=") {
        Some((to, _)) if line.starts_with("To:") => format!("{to};tag={tag}"),
        _ => line.to_owned(),
    }
}

#[test]
fn no_mutated_message_panics_the_focus() {
    let all: Vec<_> = all_samples().into_iter().map(|(_, octets)| octets).collect();
    let (mut chance, now) = (Chance(0x5eed_cafe), Instant::now());
    let mut focus = focus(&["127.0.0.1", "example.com"]);
    let mut parsed = 0;
    for round in 0..20_000 {
        let mut octets = all[chance.below(all.len())].clone();
        chance.mutate(&mut octets);
        let transport = if round % 2 == 0 { Transport::Udp } else { Transport::Tcp };
        match parse_datagram(&octets) {
            Ok(Some(message)) => {
                parsed += 1;
                responses(&mut focus, message, transport, now);
            }
            Ok(None) => {}
            Err(why) => {
                if let Some(broken) = MalformedRequest::recover(&octets, why) {
                    focus.handle_malformed(broken, hop(transport));
                    assert!(sent_responses(&mut focus, now).len() <= 1);
                }
            }
        }
    }
    assert!(parsed > 5_000, "{parsed} of them could still be read");
}
