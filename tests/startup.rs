//! A server that cannot start prints the reason and the remedy in one line.

mod support;

use std::io::Read;
use std::net::TcpListener;

use support::{Server, config, one_shard, spawn};

fn failure(config: &str) -> (String, Option<i32>) {
    let (mut child, _file) = spawn(config);
    let status = child.wait().unwrap();
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    (text, status.code())
}

#[test]
fn the_ready_line_has_every_address() {
    let server = Server::start();
    for scheme in ["udp:127.0.0.1:", "tcp:127.0.0.1:", "msrp:127.0.0.1:"] {
        assert!(server.ready.contains(scheme), "{}", server.ready);
    }
    assert!(!server.ready.contains(":0 "), "the ports are those it has got: {}", server.ready);
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let sip = format!("[sip]\nlisten = [\"tcp:{address}\"]\n[msrp]\nport = 0\n{}", one_shard());
    let (text, code) = failure(&sip);
    assert_eq!((text.lines().count(), code), (1, Some(1)), "{text}");
    assert!(text.contains(&address), "{text}");
    let port = taken.local_addr().unwrap().port();
    let (text, code) = failure(&config("").replace("[msrp]\nport = 0", &format!("[msrp]\nport = {port}")));
    assert_eq!((text.lines().count(), code), (1, Some(1)), "{text}");
    assert!(text.contains(&address), "{text}");
}

#[test]
fn an_unavailable_core_is_named() {
    let (text, code) = failure(&config("").replace(&one_shard(), "[shards]\ncores = \"4095\"\n"));
    assert_eq!((text.lines().count(), code), (1, Some(1)), "{text}");
    assert!(text.contains("4095"), "{text}");
}

#[test]
fn an_invalid_config_is_shown_with_its_position() {
    let (text, code) = failure(&config("[rooms.defaults]\nnicknmaes = true\n"));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("nicknmaes") && text.contains("nicknames"), "{text}");
}
