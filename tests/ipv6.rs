//! IPv6 in SIP, SDP, paths and `parlor chat`.

mod support;

use std::net::TcpListener;

use support::chat::Chat;
use support::{Server, one_shard};

fn serve(more: &str) -> Server {
    Server::of(&format!(
        "[sip]\nlisten = [\"tcp:[::1]:0\", \"udp:[::1]:0\"]\ndomains = [\"localhost\", \"[::1]\"]\n{}{more}",
        one_shard()
    ))
}

fn has_ipv6() -> bool {
    TcpListener::bind("[::1]:0").is_ok()
}

#[test]
fn members_on_ipv6_chat_over_udp_and_tcp() {
    if !has_ipv6() {
        return eprintln!("no IPv6 on this machine");
    }
    let server = serve("[msrp]\nlisten = \"::1\"\nport = 0\n");
    assert!(server.msrp.starts_with("[::1]:"), "{}", server.ready);
    let (tcp, udp) = (format!("tcp:{}", server.sip), format!("udp:{}", server.address("udp:")));
    let mut alice = Chat::present("sip:alice@[::1]", &["sip:lobby@[::1]", "--via", &tcp]);
    let mut bob = Chat::present("sip:bob@localhost", &["sip:lobby@localhost", "--via", &udp]);
    bob.say("six");
    assert_eq!(alice.line(), "bob@localhost: six");
    alice.say("likewise");
    assert_eq!(bob.line(), "alice@[::1]: likewise");
    assert_eq!((alice.end().0, bob.end().0), (Some(0), Some(0)));
}

#[test]
fn wildcard_listeners_serve_both_families() {
    if !has_ipv6() {
        return eprintln!("no IPv6 on this machine");
    }
    let four = "listen = [\"tcp:[::1]:0\", \"udp:127.0.0.1:0\"]";
    let server = Server::of(&format!(
        "[sip]\n{four}\n[msrp]\nlisten = \"::\"\nadvertise = \"localhost\"\nport = 0\n{}",
        one_shard()
    ));
    let (six, four) = (format!("tcp:{}", server.sip), format!("udp:{}", server.address("udp:")));
    let mut alice = Chat::present("sip:alice@localhost", &["sip:lobby@localhost", "--via", &six]);
    let mut bob = Chat::present("sip:bob@localhost", &["sip:lobby@localhost", "--via", &four]);
    bob.say("four");
    assert_eq!(alice.line(), "bob@localhost: four");
}
