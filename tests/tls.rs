//! SIP and MSRP over TLS, against the server's binary, with certificates made by the tests.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor::tls::fingerprint;
use parlor_proto::sdp::{Fingerprint, HashFunction};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use support::chat::Chat;
use support::participant::{PATIENCE, call, offer};
use support::tls::{Tls, certify, client, config, connect, secure};
use support::{BACK_ENDS, Server};

fn serve(folder: &Path, more: &str) -> Server {
    serve_on("ring", folder, more)
}

fn serve_on(io: &str, folder: &Path, more: &str) -> Server {
    Server::of(&(config(io, folder, "tls:127.0.0.1:0") + more))
}

fn attribute<'a>(answer: &'a str, name: &str) -> &'a str {
    answer.lines().find_map(|line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':')).unwrap()
}

fn bind(stream: &mut Tls, name: &str, to_path: &str) -> std::io::Result<String> {
    let from = format!("msrps://127.0.0.1:9/{name}path;tcp");
    let send = format!(
        "MSRP bind0001 SEND\r\nTo-Path: {to_path}\r\nFrom-Path: {from}\r\nMessage-ID: b\r\nByte-Range: 1-0/0\r\n-------bind0001$\r\n"
    );
    stream.write_all(send.as_bytes())?;
    let mut buffer = [0; 4096];
    let n = stream.read(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..n]).into_owned())
}

/// The fingerprint that is shown at an address now.
fn shown(address: &str) -> Fingerprint {
    let stream = connect(address, client(None));
    fingerprint(&stream.conn.peer_certificates().unwrap()[0], HashFunction::Sha256)
}

#[test]
fn members_with_and_without_tls_share_a_room() {
    for io in BACK_ENDS {
        let folder = tempfile::tempdir().unwrap();
        certify(folder.path());
        let server = serve_on(io, folder.path(), "");
        let mut plain = server.join("bob", "lobby");
        let via = format!("tls:localhost:{}", server.address("tls:").rsplit_once(':').unwrap().1);
        let ca = folder.path().join("cert.pem");
        let secure = ["sips:lobby@localhost", "--via", &via, "--msrps", "--ca", ca.to_str().unwrap()];
        let mut alice = Chat::present("sip:alice@localhost", &secure);
        alice.say("over TLS");
        assert!(plain.text().ends_with("over TLS"));
        plain.say("without");
        assert_eq!(alice.line(), "bob@127.0.0.1: without");
        // More than one record, and more than one turn.
        let long = "x".repeat(600_000);
        plain.say(&long);
        assert_eq!(alice.line(), "bob@127.0.0.1: [text/plain, 600000 bytes]");
        alice.say(&long);
        assert!(plain.text().ends_with(&long));
        assert_eq!(alice.end().0, Some(0));
    }
}

/// Believes the certificate in `folder` alone, and speaks one version of TLS.
fn client_of_version(version: &'static SupportedProtocolVersion, folder: &Path) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("cert.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    config.with_root_certificates(roots).with_no_client_auth()
}

fn chat_over_version(version: &'static SupportedProtocolVersion) {
    for io in BACK_ENDS {
        let folder = tempfile::tempdir().unwrap();
        certify(folder.path());
        let server = serve_on(io, folder.path(), "");
        let (_sip, answer) = call(&server.sip, "alice", &secure(&offer("alice"), ""));
        let mut stream = connect(&server.address("msrps:"), client_of_version(version, folder.path()));
        assert_eq!(stream.conn.protocol_version(), Some(version.version), "{io}");
        assert!(bind(&mut stream, "alice", attribute(&answer, "path")).unwrap().starts_with("MSRP bind0001 200"));
        let mut bob = server.join("bob", "lobby");
        let long = "x".repeat(40_000);
        bob.say(&long);
        let mut heard = Vec::new();
        while memchr::memmem::find(&heard, long.as_bytes()).is_none() {
            let mut buffer = [0; 4096];
            let n = stream.read(&mut buffer).unwrap();
            assert!(n > 0, "{io}");
            heard.extend_from_slice(&buffer[..n]);
        }
        let sip = connect(&server.address("tls:"), client_of_version(version, folder.path()));
        assert_eq!(sip.conn.protocol_version(), Some(version.version), "SIP");
    }
}

#[test]
fn tls_1_2_is_supported() {
    chat_over_version(&TLS12);
}

#[test]
fn tls_1_3_is_supported() {
    chat_over_version(&TLS13);
}

#[test]
fn an_untrusted_certificate_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let server = serve(folder.path(), "");
    let via = format!("tls:{}", server.address("tls:"));
    let (code, _, complaint) = Chat::start(&["sip:lobby@localhost", "--via", &via]).end();
    assert!(code == Some(1) && complaint.contains("--ca FILE"), "{code:?} {complaint}");
    let alice = Chat::present("sip:alice@localhost", &["sip:lobby@localhost", "--via", &via, "--msrps", "--insecure"]);
    assert_eq!(alice.end().0, Some(0));
}

#[test]
fn the_fingerprint_of_the_answer_is_that_of_the_certificate() {
    for io in BACK_ENDS {
        let folder = tempfile::tempdir().unwrap();
        let identity = certify(folder.path());
        let server = serve_on(io, folder.path(), "");
        let (_sip, answer) = call(&server.sip, "alice", &secure(&offer("alice"), ""));
        assert_eq!(Fingerprint::parse(attribute(&answer, "fingerprint")).as_ref(), identity.fingerprints.first());
        let path = attribute(&answer, "path").to_owned();
        assert!(path.starts_with(&format!("msrps://{}/", server.address("msrps:"))), "{path}");
        assert_eq!(&shown(&server.address("msrps:")), &identity.fingerprints[0]);
        let mut stream = connect(&server.address("msrps:"), client(None));
        assert!(bind(&mut stream, "alice", &path).unwrap().starts_with("MSRP bind0001 200"));
    }
}

#[test]
fn a_client_without_its_fingerprint_is_hung_up_on() {
    for io in BACK_ENDS {
        let folder = tempfile::tempdir().unwrap();
        certify(folder.path());
        let server = serve_on(io, folder.path(), "");
        let other = tempfile::tempdir().unwrap();
        let named = certify(other.path());
        let offer = secure(&offer("alice"), &format!("a=fingerprint:{}\r\n", named.fingerprints[0]));
        let (mut sip, answer) = call(&server.sip, "alice", &offer);
        let mut stream = connect(&server.address("msrps:"), client(None));
        let bound = bind(&mut stream, "alice", attribute(&answer, "path"));
        assert!(!bound.is_ok_and(|answer| answer.contains(" 200")), "it is not bound");
        let bye = sip.next();
        let (_sip, answer) = call(&server.sip, "bob", &offer.replace("alicepath", "bobpath"));
        let mut stream = connect(&server.address("msrps:"), client(Some(other.path())));
        let bound = bind(&mut stream, "bob", attribute(&answer, "path")).unwrap();
        assert!(bound.starts_with("MSRP bind0001 200"), "who shows it is bound: {bound}");
        assert!(bye.starts_with("BYE ") && bye.contains("MSRP certificate mismatch"), "{bye}");
    }
}

#[test]
fn a_session_binds_over_its_own_transport_only() {
    for io in BACK_ENDS {
        let folder = tempfile::tempdir().unwrap();
        certify(folder.path());
        let server = serve_on(io, folder.path(), "");
        let (_sip, answer) = call(&server.sip, "alice", &secure(&offer("alice"), ""));
        let path = attribute(&answer, "path").to_owned();
        let mut plain = TcpStream::connect(&server.msrp).unwrap();
        plain.set_read_timeout(Some(PATIENCE)).unwrap();
        let from = "msrps://127.0.0.1:9/alicepath;tcp";
        write!(
            plain,
            "MSRP bind0001 SEND\r\nTo-Path: {path}\r\nFrom-Path: {from}\r\nMessage-ID: b\r\n-------bind0001$\r\n"
        )
        .unwrap();
        let mut buffer = [0; 1000];
        let n = plain.read(&mut buffer).unwrap();
        assert!(buffer[..n].starts_with(b"MSRP bind0001 481"), "{}", String::from_utf8_lossy(&buffer[..n]));
    }
}

#[test]
fn a_connection_without_tls_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    std::thread::scope(|scope| {
        for io in BACK_ENDS {
            let config = config(io, folder.path(), "tls:127.0.0.1:0");
            let server = Server::of(&config.replace("[tls]", "bind_timeout = \"4s\"\n[tls]"));
            scope.spawn(move || closes_plain_connections(&server));
        }
    });
}

fn closes_plain_connections(server: &Server) {
    let mut bob = server.join("bob", "lobby");
    let mut stranger = TcpStream::connect(server.address("msrps:")).unwrap();
    stranger.set_read_timeout(Some(PATIENCE)).unwrap();
    stranger.write_all(b"MSRP abcd SEND\r\nTo-Path: msrps://127.0.0.1:1/x;tcp\r\n").unwrap();
    let mut rest = Vec::new();
    let _ = stranger.read_to_end(&mut rest);
    assert_eq!(rest.first(), Some(&21), "an alert");
    // One that never says hello is closed after bind_timeout.
    let mut silent = TcpStream::connect(server.address("msrps:")).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    silent.read_to_end(&mut Vec::new()).unwrap();
    bob.say("still here");
}

#[test]
fn a_room_with_force_tls_refuses_other_calls() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let server = serve(folder.path(), "[rooms.defaults]\nforce_tls = true\n");
    let (_sip, answer) = call(&server.sip, "alice", &offer("alice"));
    assert!(answer.starts_with("SIP/2.0 488") && answer.contains("MSRP has to go over TLS here"), "{answer}");
    let (_sip, answer) = call(&server.sip, "bob", &secure(&offer("bob"), ""));
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
}

#[test]
fn hup_replaces_the_certificate_unless_it_is_invalid() {
    for io in BACK_ENDS {
        let folder = tempfile::tempdir().unwrap();
        let old = certify(folder.path());
        let server = serve_on(io, folder.path(), "");
        let address = server.address("msrps:");
        assert_eq!(shown(&address), old.fingerprints[0]);
        std::fs::write(folder.path().join("cert.pem"), "nonsense").unwrap();
        server.signal("HUP");
        let (_sip, answer) = call(&server.sip, "alice", &secure(&offer("alice"), ""));
        assert!(answer.contains(&old.fingerprints[0].to_string()));
        assert_eq!(shown(&address), old.fingerprints[0]);
        let new = certify(folder.path());
        server.signal("HUP");
        let end = Instant::now() + PATIENCE;
        while shown(&address) != new.fingerprints[0] {
            assert!(Instant::now() < end, "the old certificate is still shown");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(shown(&server.address("tls:")), new.fingerprints[0], "SIP shows it too");
        for count in 0.. {
            let (_sip, answer) = call(&server.sip, &format!("bob{count}"), &secure(&offer(&format!("bob{count}")), ""));
            if answer.contains(&new.fingerprints[0].to_string()) {
                break;
            }
            assert!(Instant::now() < end, "the SDP still has the old fingerprint");
        }
    }
}

#[test]
fn an_expired_certificate_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let ended = support::tls::certify_in_the_past(folder.path());
    let server = serve_on(BACK_ENDS[0], folder.path(), "");
    assert_eq!(shown(&server.address("msrps:")), ended.fingerprints[0]);
    let log = server.log();
    assert!(log.contains("the certificate ended"), "{log}");
}

#[test]
fn an_unusable_certificate_is_a_config_error() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let config = support::tls::config(BACK_ENDS[0], folder.path(), "tls:127.0.0.1:0");
    std::fs::write(folder.path().join("key.pem"), "nonsense").unwrap();
    let (child, _config) = support::spawn(&config);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("has no private key"), "{output:?}");
}

#[test]
fn check_finds_certificate_errors() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let check = |config: &str| {
        std::fs::write(folder.path().join("parlor.toml"), config).unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_parlor"))
            .args(["check", "--json", "--config"])
            .arg(folder.path().join("parlor.toml"))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let tls = "[tls]\ncertificate = \"cert.pem\"\nprivate_key = \"key.pem\"\n[msrp]\ntls_port = 3855\n";
    let report = check(tls);
    assert!(report.contains("good for") && !report.contains("it does not name"), "{report}");
    let report = check(&format!("{tls}listen = \"0.0.0.0\"\nadvertise = \"chat.example.com\"\n"));
    assert!(report.contains("it does not name chat.example.com"), "{report}");
    assert!(check(&tls.replace("key.pem", "none.pem")).contains("none.pem cannot be read"));
    let other = tempfile::tempdir().unwrap();
    certify(other.path());
    std::fs::copy(other.path().join("key.pem"), folder.path().join("key.pem")).unwrap();
    assert!(check(tls).contains("does not belong to the certificate"));
    let report = check("[msrp]\ntls_port = 3855\n");
    assert!(report.contains("msrp.tls_port needs a certificate"), "{report}");
}

#[test]
fn requests_before_a_half_close_are_answered_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let server = Server::of(&config("ring", folder.path(), "tls:127.0.0.1:0"));
    let request = "OPTIONS sip:localhost SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bKend\r\nFrom: <sip:ann@h>;tag=a\r\n\
         To: <sip:localhost>\r\nCall-ID: end\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
    for announced in [true, false] {
        let mut stream = connect(&server.address("tls:"), client(None));
        stream.write_all(request.as_bytes()).unwrap();
        if announced {
            stream.conn.send_close_notify();
        }
        stream.flush().unwrap();
        stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("SIP/2.0 200 OK\r\n"), "{announced}: {answer}");
    }
}

#[test]
fn requests_before_a_half_close_are_answered_over_tcp() {
    let server = Server::start();
    let request = "OPTIONS sip:localhost SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKend\r\nFrom: <sip:ann@h>;tag=a\r\n\
         To: <sip:localhost>\r\nCall-ID: end\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n";
    for number in 0..40 {
        let mut stream = TcpStream::connect(&server.sip).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.replace("end", &format!("end{number}")).as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("SIP/2.0 200 OK\r\n"), "{number}: {answer}");
    }
}
