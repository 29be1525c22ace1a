//! SIP over real sockets: the control thread with a shard that accepts every session.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use parlor::control::{ControlMessage, ControlSettings, ExitReason, SipSockets, run};
use parlor::facts::{Command, Event};
use parlor::focus::{Focus, RoomSettings, Settings, ShardAddress};
use parlor::ids::ShardId;
use parlor::limits::SIP_CONNECTIONS_MAX;
use parlor::shard::mesh::{self, ShardPort};
use parlor_proto::sip::Transport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, LocalSet};

/// So long only a test waits that fails.
const PATIENCE: Duration = Duration::from_secs(25);

struct Server {
    udp: SocketAddr,
    tcp: SocketAddr,
    orders: mpsc::Sender<ControlMessage>,
    done: JoinHandle<std::io::Result<ExitReason>>,
}

/// A shard that takes every session, and ends when it is drained.
async fn accept_all_sessions(port: ShardPort, orders: mpsc::Sender<ControlMessage>) {
    while let Ok(command) = port.commands.recv().await {
        match command {
            Command::OpenSession(open) => {
                let _ = port.events.send((port.id, Event::SessionReady { session: open.session })).await;
            }
            Command::Drain => {
                let _ = orders.send(ControlMessage::ShardEnded(port.id, Ok(()))).await;
                return;
            }
            _ => {}
        }
    }
}

fn start() -> Server {
    let any = "127.0.0.1:0".parse().unwrap();
    let mut sockets = SipSockets::default();
    sockets.listen(Transport::Udp, any).unwrap();
    sockets.listen(Transport::Tcp, any).unwrap();
    let addresses = sockets.addresses();
    let (sender, events) = mesh::events();
    let (handle, port) = mesh::link(ShardId(0), 2855, sender, None);
    let (orders, received) = mpsc::channel(4);
    tokio::task::spawn_local(accept_all_sessions(port, orders.clone()));
    let settings = Settings {
        domains: vec!["127.0.0.1".into()],
        listen: addresses.clone(),
        outbound_proxy: None,
        session_expires: std::time::Duration::ZERO,
        contact_host: "127.0.0.1".into(),
        msrp_host: "127.0.0.1".into(),
        connect_out: parlor::focus::ConnectOut::Source,
        fingerprints: Vec::new(),
        shards: vec![ShardAddress { id: ShardId(0), port: 2855, tls_port: None }],
        users: None,
        trusted_peers: vec![],
        max_calls_per_second: 0,
        transaction_bytes_max: 1 << 24,
        software: "Parlor".into(),
        rooms: RoomSettings { on_demand: true, ..RoomSettings::default() },
    };
    let control = ControlSettings { drain_timeout: Duration::from_secs(600), tls: None };
    let running = run(control, Focus::new(settings, [3; 32]), sockets, vec![handle], events, received);
    Server { udp: addresses[0].1, tcp: addresses[1].1, orders, done: tokio::task::spawn_local(running) }
}

/// Runs a test beside the server on one thread.
fn with_server<F: Future<Output = ()>>(test: impl FnOnce(Server) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(PATIENCE, test(start())).await.expect("the test ends");
    });
}

fn request(method: &str, name: &str, via: &str, tag: &str, body: &str) -> String {
    let number = if method == "BYE" { 2 } else { 1 };
    let (to, length) = (if tag.is_empty() { String::new() } else { format!(";tag={tag}") }, body.len());
    let contact = via.split(' ').nth(1).unwrap().split(';').next().unwrap();
    format!(
        "{method} sip:lobby@127.0.0.1 SIP/2.0\r\nVia: {via};branch=z9hG4bK{method}{name}\r\nFrom: <sip:{name}@h>;tag={name}\r\n\
         To: <sip:lobby@127.0.0.1>{to}\r\nCall-ID: {name}\r\nCSeq: {number} {method}\r\nMax-Forwards: 70\r\n\
         Contact: <sip:{name}@{contact}>\r\nContent-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=message 9 TCP/MSRP *\r\n\
    a=path:msrp://127.0.0.1:9/s;tcp\r\na=accept-types:message/cpim\r\na=setup:active\r\n";

fn tag_of(response: &str) -> String {
    let to = response.lines().find(|line| line.starts_with("To:")).unwrap();
    to.split_once(";tag=").unwrap().1.to_owned()
}

async fn datagram(socket: &UdpSocket) -> String {
    let mut buffer = vec![0; 65536];
    let n = socket.recv(&mut buffer).await.unwrap();
    String::from_utf8(buffer[..n].to_vec()).unwrap()
}

/// Reads one message from a stream.
async fn message(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        read.push(stream.read_u8().await.expect("the connection stands"));
    }
    let head = String::from_utf8(read).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    head + std::str::from_utf8(&body).unwrap()
}

async fn join_over_tcp(server: &Server, name: &str, contact: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(server.tcp).await.unwrap();
    let via = format!("SIP/2.0/TCP {contact}");
    stream.write_all(request("INVITE", name, &via, "", OFFER).as_bytes()).await.unwrap();
    let ok = message(&mut stream).await;
    assert!(ok.starts_with("SIP/2.0 200 OK\r\n"), "{ok}");
    stream.write_all(request("ACK", name, &via, &tag_of(&ok), "").as_bytes()).await.unwrap();
    stream
}

#[test]
fn a_request_with_rport_is_answered_to_its_source() {
    with_server(|server| async move {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let options = request("OPTIONS", "ann", "SIP/2.0/UDP 10.9.9.9:9;rport", "", "");
        socket.send_to(options.as_bytes(), server.udp).await.unwrap();
        let ok = datagram(&socket).await;
        assert!(ok.starts_with("SIP/2.0 200 OK\r\n"), "{ok}");
        assert!(ok.contains(&format!(";rport={port};received=127.0.0.1")), "{ok}");
    });
}

#[test]
fn a_request_without_rport_is_answered_to_the_port_of_its_via() {
    with_server(|server| async move {
        let (sender, named) =
            (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let via = format!("SIP/2.0/UDP {}", named.local_addr().unwrap());
        sender.send_to(request("OPTIONS", "ann", &via, "", "").as_bytes(), server.udp).await.unwrap();
        assert!(datagram(&named).await.starts_with("SIP/2.0 200 OK\r\n"));
    });
}

#[test]
fn a_call_over_tcp_stays_on_its_connection() {
    with_server(|server| async move {
        let mut stream = join_over_tcp(&server, "ann", "127.0.0.1:9".parse().unwrap()).await;
        server.orders.send(ControlMessage::Drain).await.unwrap();
        let bye = message(&mut stream).await;
        assert!(bye.starts_with("BYE sip:ann@127.0.0.1:9 SIP/2.0\r\n"), "{bye}");
        let copied = ["Via:", "From:", "To:", "Call-ID:", "CSeq:", "Content-Length:"];
        let kept = bye.lines().filter(|line| copied.iter().any(|name| line.starts_with(name)));
        let kept: String = kept.map(|line| format!("{line}\r\n")).collect();
        let ok = format!("SIP/2.0 200 OK\r\n{kept}\r\n");
        stream.write_all(ok.as_bytes()).await.unwrap();
        server.done.await.unwrap().unwrap();
    });
}

#[test]
fn a_stream_is_framed_into_messages() {
    with_server(|server| async move {
        let mut stream = TcpStream::connect(server.tcp).await.unwrap();
        let options = |name: &str| request("OPTIONS", name, "SIP/2.0/TCP 127.0.0.1:9", "", "");
        let two = format!("\r\n\r\n{}{}", options("a"), options("b"));
        stream.write_all(two.as_bytes()).await.unwrap();
        let mut pong = [0; 2];
        stream.read_exact(&mut pong).await.unwrap();
        assert_eq!(&pong, b"\r\n");
        for name in ["a", "b"] {
            assert!(message(&mut stream).await.contains(&format!("Call-ID: {name}\r\n")));
        }
        stream.set_nodelay(true).unwrap();
        for piece in options("c").as_bytes().chunks(50) {
            stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert!(message(&mut stream).await.contains("Call-ID: c\r\n"));
    });
}

#[test]
fn a_malformed_request_is_answered() {
    with_server(|server| async move {
        let broken = |name: &str, via: &str| request("OPTIONS", name, via, "", "").replacen("OPTIONS ", "OPTIONS  ", 1);
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(broken("a", "SIP/2.0/UDP 127.0.0.1:9;rport").as_bytes(), server.udp).await.unwrap();
        let mut buffer = [0; 4096];
        let len = socket.recv(&mut buffer).await.unwrap();
        let response = String::from_utf8_lossy(&buffer[..len]);
        assert!(response.starts_with("SIP/2.0 400 ") && response.contains("Call-ID: a\r\n"), "{response}");

        // On a stream, what is good before it and behind it is answered too.
        let via = "SIP/2.0/TCP 127.0.0.1:9";
        let mut stream = TcpStream::connect(server.tcp).await.unwrap();
        let good = |name: &str| request("OPTIONS", name, via, "", "");
        let lost = good("e").replace("Content-Length: 0", "Content-Length: none");
        let all = [good("b"), broken("c", via), good("d"), lost, good("f")].concat();
        stream.write_all(all.as_bytes()).await.unwrap();
        for (name, status) in [("b", 200), ("c", 400), ("d", 200), ("e", 400)] {
            let response = message(&mut stream).await;
            let expected = format!("SIP/2.0 {status} ");
            assert!(
                response.starts_with(&expected) && response.contains(&format!("Call-ID: {name}\r\n")),
                "{response}"
            );
        }
        let _ = stream.read(&mut buffer).await;
    });
}

#[test]
fn a_framing_error_closes_its_connection_only() {
    with_server(|server| async move {
        let mut good = join_over_tcp(&server, "ann", "127.0.0.1:9".parse().unwrap()).await;
        let mut bad = TcpStream::connect(server.tcp).await.unwrap();
        bad.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut rest = Vec::new();
        let _ = bad.read_to_end(&mut rest).await;
        assert!(rest.is_empty());
        let options = request("OPTIONS", "z", "SIP/2.0/TCP 127.0.0.1:9", "", "");
        good.write_all(options.as_bytes()).await.unwrap();
        assert!(message(&mut good).await.starts_with("SIP/2.0 200 OK\r\n"));
    });
}

#[test]
fn a_peer_with_a_closed_connection_is_connected_to() {
    with_server(|server| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut first = join_over_tcp(&server, "ann", listener.local_addr().unwrap()).await;
        first.shutdown().await.unwrap();
        assert_eq!(first.read(&mut [0; 9]).await.unwrap(), 0, "the server has let go too");
        server.orders.send(ControlMessage::Drain).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(message(&mut stream).await.starts_with("BYE sip:ann@"));
    });
}

#[test]
fn a_drain_does_not_wait_for_unreachable_peers() {
    with_server(|server| async move {
        let gone = "127.0.0.1:9".parse().unwrap();
        let streams = [join_over_tcp(&server, "ann", gone).await, join_over_tcp(&server, "bob", gone).await];
        drop(streams);
        server.orders.send(ControlMessage::Drain).await.unwrap();
        // Without word from the sockets both BYEs would be waited for for 32 s.
        assert_eq!(server.done.await.unwrap().unwrap(), ExitReason::Drained);
    });
}

#[test]
fn a_stop_is_immediate() {
    with_server(|server| async move {
        let _stream = join_over_tcp(&server, "ann", "127.0.0.1:9".parse().unwrap()).await;
        server.orders.send(ControlMessage::Stop).await.unwrap();
        assert_eq!(server.done.await.unwrap().unwrap(), ExitReason::Stopped);
    });
}

#[test]
fn the_server_fails_with_its_shard() {
    with_server(|server| async move {
        server.orders.send(ControlMessage::ShardEnded(ShardId(0), Err("no memory".into()))).await.unwrap();
        assert!(server.done.await.unwrap().unwrap_err().to_string().contains("no memory"));
    });
}

/// An OPTIONS that is the `number`th of its connection.
fn options(number: usize) -> String {
    request("OPTIONS", &format!("ann{number}"), "SIP/2.0/TCP 127.0.0.1:9", "", "")
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut read = String::new();
    stream.read_to_string(&mut read).await.unwrap();
    read
}

#[test]
fn requests_before_a_half_close_are_answered() {
    with_server(|server| async move {
        for count in [1, 40] {
            let mut stream = TcpStream::connect(server.tcp).await.unwrap();
            let all: String = (0..count).map(options).collect();
            stream.write_all(all.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let answers = read_to_end(&mut stream).await;
            assert_eq!(answers.matches("SIP/2.0 200 OK\r\n").count(), count, "{answers}");
        }
    });
}

#[test]
fn an_invite_before_a_half_close_is_answered() {
    with_server(|server| async move {
        let mut stream = TcpStream::connect(server.tcp).await.unwrap();
        let contact = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let via = format!("SIP/2.0/TCP {}", contact.local_addr().unwrap());
        stream.write_all(request("INVITE", "ann", &via, "", OFFER).as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let answers = read_to_end(&mut stream).await;
        assert!(answers.contains("SIP/2.0 200 OK\r\n"), "{answers}");
        let mut next = TcpStream::connect(server.tcp).await.unwrap();
        let tag = tag_of(&answers[answers.find("SIP/2.0 200").unwrap()..]);
        next.write_all(request("ACK", "ann", &via, &tag, "").as_bytes()).await.unwrap();
        next.write_all(request("BYE", "ann", &via, &tag, "").as_bytes()).await.unwrap();
        assert!(message(&mut next).await.starts_with("SIP/2.0 200 OK\r\n"));
    });
}

#[test]
fn a_malformed_request_before_a_half_close_is_answered() {
    with_server(|server| async move {
        let mut stream = TcpStream::connect(server.tcp).await.unwrap();
        let broken = options(1).replace("CSeq: 1 OPTIONS", "CSeq: many OPTIONS");
        stream.write_all(broken.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        assert!(read_to_end(&mut stream).await.starts_with("SIP/2.0 400 "));
    });
}

#[test]
fn a_half_closed_connection_without_requests_is_closed() {
    with_server(|server| async move {
        let mut stream = TcpStream::connect(server.tcp).await.unwrap();
        // The beginning of a request, to which no answer will come.
        stream.write_all(&options(1).as_bytes()[..50]).await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(read_to_end(&mut stream).await, "");
    });
}

/// Both ends of each connection are in this process.
fn has_descriptors_for(connections: usize) -> bool {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    limit.maximum.is_none_or(|most| most > 2 * connections as u64 + 200)
}

async fn connect_from(host: &str, to: SocketAddr) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(host.parse().unwrap(), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

async fn options_response(stream: &mut TcpStream, number: usize) -> String {
    stream.write_all(options(number).as_bytes()).await.unwrap();
    message(stream).await
}

#[test]
fn one_host_with_all_connections_locks_no_one_out() {
    if !has_descriptors_for(SIP_CONNECTIONS_MAX) {
        return eprintln!("too few descriptors on this machine");
    }
    with_server(|server| async move {
        let mut called = join_over_tcp(&server, "bob", "127.0.0.1:9".parse().unwrap()).await;
        let mut many = Vec::new();
        for number in 0..SIP_CONNECTIONS_MAX {
            many.push(TcpStream::connect(server.tcp).await.unwrap());
            assert!(options_response(&mut many[number], number).await.starts_with("SIP/2.0 200 "), "{number}");
        }
        let mut other = connect_from("127.0.0.2", server.tcp).await;
        assert!(options_response(&mut other, 1).await.starts_with("SIP/2.0 200 "));
        // The one from which nothing came for the longest, without a call, went.
        assert_eq!(many[0].read(&mut [0; 9]).await.unwrap_or(0), 0);
        for stream in &mut many[1..40] {
            *stream = TcpStream::connect(server.tcp).await.unwrap();
            assert!(options_response(stream, 2).await.starts_with("SIP/2.0 200 "));
        }
        assert!(options_response(&mut other, 2).await.starts_with("SIP/2.0 200 "), "who has one keeps it");
        assert!(
            options_response(&mut called, 3).await.starts_with("SIP/2.0 200 "),
            "who is in a call keeps its connection"
        );
    });
}
