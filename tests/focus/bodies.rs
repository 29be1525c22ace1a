//! What an INVITE carries is found however its headers are written (RFC 2045 §5.1, RFC 3261 §7.3.1, RFC 5621).

use parlor_proto::sip::HeaderName;

use super::world::{Peer, World, header};

/// The INVITE of somebody new with `kind` as the type of the whole, folds and further rows included. In `body` `SDP` stands for
/// the offer.
fn status_of(kind: &str, body: &str) -> u16 {
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    let body = body.replace("SDP", &ann.offer());
    let invite = ann.request("INVITE", &body).replacen("Content-Type: application/sdp\r\n", &format!("{kind}\r\n"), 1);
    assert!(invite.contains(kind), "{invite}");
    world.deliver(&invite, ann.hop());
    world.last_status()
}

#[test]
fn the_type_of_the_body_may_be_folded_and_commented() {
    for kind in [
        "Content-Type:\r\n application/sdp",
        "c:\r\n\t Application/SDP;\r\n charset=\"utf-8;x\"",
        "Content-Type : application / sdp",
        "Content-Type: (the offer) application/sdp (c)",
        "Content-Type: application/sdp\r\nContent-Disposition:\r\n session;\r\n handling=required",
        "Content-Type: application/sdp\r\nContent-Encoding:\r\n identity",
    ] {
        assert_eq!(status_of(kind, "SDP"), 200, "{kind:?}");
    }
    for kind in ["Content-Type:\r\n text/plain", "Content-Type: text/plain (application/sdp)"] {
        assert_eq!(status_of(kind, "SDP"), 415, "{kind:?}");
    }
}

#[test]
fn the_headers_of_a_part_may_be_folded_and_commented() {
    let kind = "Content-Type: multipart/mixed;\r\n boundary=\"b\"";
    for head in [
        "Content-Type:\r\n application/sdp",
        "content-type:\r\n\tapplication/sdp\r\n ;x=y",
        "Content-Type: application/sdp (the offer)\r\nContent-Disposition:\r\n session",
        "Content-ID:\r\n <1@h>\r\nContent-Transfer-Encoding:\r\n binary\r\nContent-Type: application/sdp",
    ] {
        let body = format!("--b\r\nContent-Type:\r\n text/plain\r\n\r\nhi\r\n--b\r\n{head}\r\n\r\nSDP\r\n--b--\r\n");
        assert_eq!(status_of(kind, &body), 200, "{head:?}");
        let nested = body.replace("--b", "--c");
        let whole = format!("--b\r\nContent-Type:\r\n multipart/alternative; boundary=c\r\n\r\n{nested}--b--\r\n");
        assert_eq!(status_of(kind, &whole), 200, "{head:?}");
    }
}

#[test]
fn what_decides_and_stands_twice_is_400() {
    for kind in [
        "Content-Type: application/sdp\r\nContent-Type: application/sdp",
        "Content-Type: application/sdp\r\nc: text/plain",
        "Content-Type: application/sdp\r\nContent-Disposition: session\r\nContent-Disposition: render;handling=optional",
    ] {
        assert_eq!(status_of(kind, "SDP"), 400, "{kind:?}");
    }
    let kind = "Content-Type: multipart/mixed;boundary=b";
    for head in
        ["Content-Type: application/sdp\r\nContent-Type:\r\n text/plain", "Content-Type: a/b\r\nc: application/sdp"]
    {
        let body = format!("--b\r\n{head}\r\n\r\nSDP\r\n--b--\r\n");
        assert_eq!(status_of(kind, &body), 400, "{head:?}");
    }
    assert_eq!(status_of("Content-Type: multipart/mixed;boundary=b;boundary=c", "--b\r\n\r\n--b--"), 400);
}

#[test]
fn a_body_in_a_coding_is_415_and_told_so() {
    let part = |head: &str| format!("--b\r\nContent-Type: application/sdp\r\n{head}\r\n\r\nSDP\r\n--b--\r\n");
    let mixed = "Content-Type: multipart/mixed;boundary=b";
    assert_eq!(status_of(mixed, &part("Content-Transfer-Encoding:\r\n base64")), 415);
    assert_eq!(status_of(mixed, &part("Content-Encoding: gzip")), 415);
    assert_eq!(status_of("Content-Type: application/sdp\r\nContent-Encoding: identity\r\ne:\r\n gzip", "SDP"), 415);
    let mut world = World::new();
    let mut ann = Peer::new("ann", "lobby");
    let invite =
        ann.request("INVITE", &ann.offer()).replace("Content-Type", "Content-Encoding:\r\n gzip\r\nContent-Type");
    world.deliver(&invite, ann.hop());
    assert_eq!(world.last_status(), 415);
    assert_eq!(header(world.last_response(), HeaderName::AcceptEncoding), "identity");
}
