//! Bodies that are read, and bodies that are refused.

use sipx_sip::HeaderName;

use super::*;
use crate::limits::{BODY_NESTING_MAX, BODY_PARTS_MAX};
use crate::sip::headers;
use std::slice;

fn find(rows: &[(HeaderName, &str)], body: &str) -> Result<Option<String>, BodyError> {
    find_with(rows, body, &Limits::DEFAULT)
}

fn find_with(rows: &[(HeaderName, &str)], body: &str, limits: &Limits) -> Result<Option<String>, BodyError> {
    let found = session_description_with(&headers(rows), &Bytes::copy_from_slice(body.as_bytes()), limits)?;
    Ok(found.map(|sdp| String::from_utf8(sdp.to_vec()).unwrap()))
}

#[test]
fn a_plain_body_is_itself() {
    let sdp = (HeaderName::ContentType, "Application/SDP;x=y");
    assert_eq!(find(slice::from_ref(&sdp), "v=0\r\n"), Ok(Some("v=0\r\n".into())));
    assert_eq!(find(&[], ""), Ok(None));
    assert_eq!(find(&[], "v=0"), Err(BodyError::Unsupported));
    assert_eq!(find(&[(HeaderName::ContentType, "text/plain")], "x"), Err(BodyError::Unsupported));
    assert_eq!(find(&[sdp, (HeaderName::ContentEncoding, "gzip")], "x"), Err(BodyError::Coding));
}

#[test]
fn an_optional_body_is_ignored() {
    let rows = [(HeaderName::ContentType, "x/y"), (HeaderName::ContentDisposition, "render; handling=optional")];
    assert_eq!(find(&rows, "x"), Ok(None));
}

#[test]
fn the_description_is_found_among_parts() {
    let mixed = (HeaderName::ContentType, "multipart/mixed;boundary=\"b 1\"");
    let body = "preamble\r\n--b 1\r\nContent-Type: application/resource-lists+xml\r\n\r\n<x/>\r\n--b 1\r\n\
                content-type : application/sdp\r\n\r\nv=0\r\ns=-\r\n\r\n--b 1--\r\n";
    assert_eq!(find(slice::from_ref(&mixed), body), Ok(Some("v=0\r\ns=-\r\n".into())));
    let bare = "--b 1\nc: application/sdp\n\nv=0\n--b 1--\n";
    assert_eq!(find(slice::from_ref(&mixed), bare), Ok(Some("v=0".into())));
    assert_eq!(find(slice::from_ref(&mixed), "nothing"), Err(BodyError::Malformed));
    assert_eq!(find(slice::from_ref(&mixed), "--b 1\r\n\r\nv=0\r\n--b 1--"), Err(BodyError::Unsupported));
    assert_eq!(find(&[mixed], &"--b 1\r\n".repeat(40)), Err(BodyError::Malformed));
    assert_eq!(find(&[(HeaderName::ContentType, "multipart/mixed")], "--\r\n"), Err(BodyError::Malformed));
}

#[test]
fn a_part_that_has_to_be_understood_and_is_not_makes_the_body_unsupported() {
    let mixed = (HeaderName::ContentType, "multipart/mixed;boundary=b");
    for (disposition, found) in [
        ("", Ok(Some("v=0".to_owned()))),
        ("Content-Disposition: render;handling=optional\r\n", Ok(Some("v=0".to_owned()))),
        ("Content-Disposition: render; Handling = Required\r\n", Err(BodyError::Unsupported)),
        ("Content-Disposition: recipient-list;handling=required\r\n", Ok(Some("v=0".to_owned()))),
    ] {
        let body = format!(
            "--b\r\nContent-Type: application/sdp\r\nContent-Disposition: session;handling=required\r\n\r\nv=0\r\n\
             --b\r\nContent-Type: x/y\r\n{disposition}\r\nz\r\n--b--"
        );
        assert_eq!(find(slice::from_ref(&mixed), &body), found, "{disposition}");
    }
}

#[test]
fn a_list_is_found_beside_a_description_and_without_one() {
    let list = |rows: &[(HeaderName, &str)], body: &str| {
        let found = recipient_list(&headers(rows), &Bytes::copy_from_slice(body.as_bytes())).unwrap();
        found.map(|list| String::from_utf8(list.to_vec()).unwrap())
    };
    let mixed = (HeaderName::ContentType, "multipart/mixed;boundary=b");
    let part = "--b\r\nContent-Type: application/resource-lists+xml\r\nContent-Disposition: Recipient-List; handling=required\r\n\r\n<x/>\r\n";
    let with_sdp = format!("{part}--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b--");
    let alone = format!("{part}--b--");
    assert_eq!(list(slice::from_ref(&mixed), &with_sdp).as_deref(), Some("<x/>"));
    assert_eq!(find(slice::from_ref(&mixed), &with_sdp), Ok(Some("v=0".into())));
    assert_eq!(list(slice::from_ref(&mixed), &alone).as_deref(), Some("<x/>"));
    assert_eq!(find(slice::from_ref(&mixed), &alone), Ok(None));
    let whole = [
        (HeaderName::ContentType, "application/resource-lists+xml"),
        (HeaderName::ContentDisposition, "recipient-list"),
    ];
    assert_eq!((list(&whole, "<x/>").as_deref(), find(&whole, "<x/>")), (Some("<x/>"), Ok(None)));
    assert_eq!(list(&[(HeaderName::ContentType, "application/sdp")], "v=0"), None);
}

#[test]
fn the_headers_of_a_part_are_read_through_folds_and_comments() {
    let mixed = (HeaderName::ContentType, "multipart/mixed; boundary = (not c) \"b\"");
    for head in [
        "Content-Type:\r\n application/sdp\r\n",
        "Content-Type: (the offer) Application / (x) SDP (c);\r\n\tcharset=utf-8\r\n",
        "Content-Type:\n application/sdp\nContent-Disposition:\n session;\n handling=required\n",
        "c: application/sdp\r\nContent-Transfer-Encoding:\r\n 8bit (really)\r\nContent-Length: 7\r\n",
        "Content-ID:\r\n <1@h>\r\nContent-Type : application/sdp\r\nContent-Encoding:\r\n identity\r\n",
    ] {
        let body = format!("--b\r\nContent-Type: text/plain\r\n\r\nhi\r\n--b \r\n{head}\r\nv=0\r\n\r\n--b--");
        assert_eq!(find(slice::from_ref(&mixed), &body), Ok(Some("v=0\r\n".into())), "{head:?}");
    }
}

#[test]
fn a_repeated_header_of_a_part_is_malformed() {
    let mixed = (HeaderName::ContentType, "multipart/mixed;boundary=b");
    for twice in [
        "Content-Type: text/plain\r\n",
        "c:\r\n application/sdp\r\n",
        "Content-Disposition: session\r\ncontent-disposition: session\r\n",
        "Content-Disposition: session;handling=optional;handling=required\r\n",
        "Content-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: base64\r\n",
        "Content-ID: <a>\r\nContent-Id: <b>\r\n",
        "Content-Length: 3\r\nl: 3\r\n",
        "no header\r\n",
        "Content-Disposition: session;handling=\"required\r\n",
    ] {
        let part = format!("Content-Type: application/sdp\r\n{twice}");
        let body = format!("--b\r\n{part}\r\nv=0\r\n--b--");
        let required = format!("--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n{body}");
        // Whether a part is required is asked of those that we do not know.
        if !twice.contains("handling=") {
            assert_eq!(find(slice::from_ref(&mixed), &body), Err(BodyError::Malformed), "{twice:?}");
        }
        let unknown = required.replace("Content-Type: application/sdp\r\nContent-D", "Content-Type: x/y\r\nContent-D");
        assert_eq!(find(slice::from_ref(&mixed), &unknown), Err(BodyError::Malformed), "{twice:?}");
    }
}

#[test]
fn a_repeated_header_of_the_body_is_malformed() {
    let sdp = (HeaderName::ContentType, "application/sdp");
    for (name, value) in [
        (HeaderName::ContentType, "application/sdp"),
        (HeaderName::ContentDisposition, "session"),
        (HeaderName::parse(&Bytes::from_static(b"Content-Transfer-Encoding")), "8bit"),
        (HeaderName::parse(&Bytes::from_static(b"Content-ID")), "<a@b>"),
    ] {
        let rows = [sdp.clone(), (name.clone(), value), (name.clone(), value)];
        let rows = if name == HeaderName::ContentType { &rows[1..] } else { &rows[..] };
        assert_eq!(find(rows, "v=0"), Err(BodyError::Malformed), "{name:?}");
        assert_eq!(find(&rows[..rows.len() - 1], "v=0"), Ok(Some("v=0".into())), "{name:?}");
        assert!(!body_is_optional(&headers(rows)));
        assert_eq!(recipient_list(&headers(rows), &Bytes::from_static(b"x")), Err(BodyError::Malformed));
    }
}

#[test]
fn an_encoded_body_is_an_error_of_its_own() {
    let mixed = (HeaderName::ContentType, "multipart/mixed;boundary=b");
    for coding in ["Content-Transfer-Encoding:\r\n base64", "Content-Encoding: gzip", "e: identity,\r\n gzip"] {
        let part = |rest: &str| format!("--b\r\n{coding}\r\n{rest}\r\n\r\nx\r\n--b--");
        let sdp = part("Content-Type: application/sdp");
        assert_eq!(find(slice::from_ref(&mixed), &sdp), Err(BodyError::Coding), "{coding}");
        let list =
            Bytes::from(part("Content-Type: application/resource-lists+xml\r\nContent-Disposition: recipient-list"));
        assert_eq!(recipient_list(&headers(slice::from_ref(&mixed)), &list), Err(BodyError::Coding), "{coding}");
        assert_eq!(find(slice::from_ref(&mixed), &part("Content-Type: x/y")), Err(BodyError::Unsupported), "{coding}");
    }
    let sdp = (HeaderName::ContentType, "application/sdp");
    let rows = [sdp, (HeaderName::ContentEncoding, "identity"), (HeaderName::ContentEncoding, "gzip")];
    assert_eq!(find(&rows, "x"), Err(BodyError::Coding), "a second row counts too");
}

#[test]
fn a_description_of_another_disposition_is_not_that_of_the_session() {
    let mixed = (HeaderName::ContentType, "multipart/mixed;boundary=b");
    let part = |disposition: &str, name: &str| {
        format!("--b\r\nContent-Type: application/sdp\r\nContent-Disposition:\r\n {disposition}\r\n\r\ns={name}\r\n")
    };
    let both = [part("early-session;handling=optional", "early"), part("session", "late"), "--b--".into()].concat();
    assert_eq!(find(slice::from_ref(&mixed), &both), Ok(Some("s=late".into())));
    let must =
        [part("early-session; handling=\"required\"", "early"), part("session", "late"), "--b--".into()].concat();
    assert_eq!(find(slice::from_ref(&mixed), &must), Err(BodyError::Unsupported));
    let whole = [(HeaderName::ContentType, "application/sdp"), (HeaderName::ContentDisposition, "early-session")];
    assert_eq!(find(&whole, "s=early"), Err(BodyError::Unsupported));
}

#[test]
fn the_nesting_of_bodies_is_limited() {
    let nested = |depth: usize| {
        let sdp = "Content-Type: application/sdp\r\n\r\nv=0".to_owned();
        (1..depth).rev().fold(format!("--b{depth}\r\n{sdp}\r\n--b{depth}--"), |inner, level| {
            let kind = format!("Content-Type: multipart/alternative; boundary=\"b{}\"", level + 1);
            format!("--b{level}\r\n{kind}\r\n\r\n{inner}\r\n--b{level}--")
        })
    };
    let mixed = (HeaderName::ContentType, "multipart/mixed;boundary=b1");
    for depth in 1..=BODY_NESTING_MAX {
        assert_eq!(find(slice::from_ref(&mixed), &nested(depth)), Ok(Some("v=0".into())), "{depth}");
    }
    assert_eq!(find(slice::from_ref(&mixed), &nested(BODY_NESTING_MAX + 1)), Err(BodyError::Malformed));
    let one = Limits { body_nesting_max: 1, ..Limits::DEFAULT };
    assert_eq!(find_with(slice::from_ref(&mixed), &nested(1), &one), Ok(Some("v=0".into())));
    assert_eq!(find_with(slice::from_ref(&mixed), &nested(2), &one), Err(BodyError::Malformed));
}

#[test]
fn the_parts_of_all_bodies_are_limited() {
    let mixed = (HeaderName::ContentType, "multipart/mixed;boundary=b");
    let body = |inner: usize| {
        let inner = format!("{}--c--", "--c\r\n\r\nx\r\n".repeat(inner));
        format!(
            "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\
             --b\r\nContent-Type: multipart/mixed;boundary=c\r\n\r\n{inner}\r\n--b--"
        )
    };
    assert_eq!(find(slice::from_ref(&mixed), &body(BODY_PARTS_MAX - 1)), Ok(Some("v=0".into())));
    assert_eq!(find(slice::from_ref(&mixed), &body(BODY_PARTS_MAX)), Err(BodyError::Malformed));
    let three = Limits { body_parts_max: 3, ..Limits::DEFAULT };
    assert_eq!(find_with(slice::from_ref(&mixed), &body(2), &three), Ok(Some("v=0".into())));
    assert_eq!(find_with(slice::from_ref(&mixed), &body(3), &three), Err(BodyError::Malformed));
}

#[test]
fn a_multipart_body_reads_back() {
    let (kind, body) = multipart_with_history("v=0\r\ns=parlor-part-0\r\n", "<x/>");
    let found = find(&[(HeaderName::ContentType, &kind)], &body);
    assert_eq!(found, Ok(Some("v=0\r\ns=parlor-part-0\r\n".into())));
}

#[test]
fn no_prefix_of_a_multipart_body_panics() {
    let mixed = (HeaderName::ContentType, "multipart/mixed;boundary=b");
    let body = "--b\r\nc:application/sdp\r\n\r\nv=0\r\n--b\n\n--b--";
    for end in 0..body.len() {
        let _ = find(slice::from_ref(&mixed), &body[..end]);
    }
}
