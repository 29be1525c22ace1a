//! Messages in CPIM wrappers of real clients, malformed ones, and a comparison with a naive reader.

use parlor_proto::cpim::{
    AddressError, CpimError, NameAddress, Scanner, Wrapper, parse, parse_complete, parse_complete_with,
};
use parlor_proto::limits::{CPIM_HEADERS_BYTES_MAX, Limits};
use parlor_proto::mime::MimeError;
use proptest::prelude::*;

/// Every sample: name and octets.
fn samples() -> Vec<(String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/wire/cpim");
    let mut samples: Vec<_> = std::fs::read_dir(folder)
        .expect("the samples are there")
        .map(|entry| entry.expect("the folder can be read").path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    samples.sort();
    assert!(samples.len() > 20, "{} samples", samples.len());
    samples
}

fn sample(name: &str) -> Vec<u8> {
    samples().into_iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("no sample {name}")).1
}

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap()
}

/// From, To, content type and content, as text.
fn summary(message: &[u8]) -> (&str, &str, String, &str) {
    let wrapper = parse_complete(message).unwrap();
    let content_type = wrapper.content_type().unwrap_or_default();
    (
        text(wrapper.from().unwrap()),
        text(wrapper.to().unwrap()),
        text(&content_type).to_owned(),
        text(&message[wrapper.content_offset..]),
    )
}

#[test]
fn messages_of_real_clients_are_read() {
    let expected = [
        ("crocodile.cpim", "sip:croc@127.0.0.1", "text/plain;charset=utf-8", "hello from crocodile æøå"),
        ("msrp-java-bare-addresses.cpim", "sip:jane@127.0.0.1", "text/plain", "hello from msrp-java æøå"),
        ("msrp-java-brackets.cpim", "sip:jane@127.0.0.1", "text/plain", "second, with angle brackets"),
        ("msrp-node-lib.cpim", "sip:nodeuser@127.0.0.1", "text/plain", "hello from msrp-node-lib æøå"),
        ("msrplib.cpim", "sip:mlib@127.0.0.1", "text/plain;charset=utf-8", "hello from bare msrplib"),
        ("sipsimple-text.cpim", "sip:alice@127.0.0.1", "text/plain; charset=\"utf8\"", "hello from real sipsimple æøå"),
        ("sipsimple-html.cpim", "sip:alice@127.0.0.1", "text/html; charset=\"utf8\"", "<b>x</b>"),
        ("quoted-name.cpim", "sip:bob@127.0.0.1", "text/plain;charset=utf-8", "whole æøå message"),
        ("gruu.cpim", "sip:bob@127.0.0.1;gr=abc", "text/plain;charset=utf-8", "whole æøå message"),
        ("imdn.cpim", "sip:alice@127.0.0.1", "text/plain;charset=utf-8", "nsmsg"),
        ("chinese.cpim", "sip:bob@127.0.0.1", "text/plain;charset=utf-8", "hi æøå 你好"),
    ];
    for (name, from, content_type, content) in expected {
        let message = sample(name);
        let (found_from, to, found_type, found_content) = summary(&message);
        assert_eq!((found_from, found_type.as_str(), found_content), (from, content_type, content), "{name}");
        assert!(matches!(to, "sip:room1@127.0.0.1" | "sip:room2@127.0.0.1"), "{name}: {to}");
    }
    let private = sample("sipsimple-private.cpim");
    assert_eq!(summary(&private).1, "sip:bob@127.0.0.1");
    let composing = sample("sipsimple-composing.cpim");
    assert_eq!(summary(&composing).2, "application/im-iscomposing+xml");
}

#[test]
fn the_examples_of_rfc_7701_are_read() {
    let room = sample("rfc7701-9.3.cpim");
    let expected = ("sip:alice@atlanta.example.com", "sip:chatroom22@chat.example.com;transport=tcp");
    assert_eq!(summary(&room), (expected.0, expected.1, "text/plain".into(), "Hello guys, how are you today?"));
    let private = sample("rfc7701-9.4.cpim");
    let expected = ("sip:alice@example.com", "sip:bob@example.com", "text/plain".into(), "Hello Bob.");
    assert_eq!(summary(&private), expected);
    let chunked = sample("rfc7701-9.5.cpim");
    assert_eq!(summary(&chunked).3, "Hello Bob");
}

#[test]
fn the_example_of_rfc_3862_is_read() {
    let message = sample("rfc3862-5.1.cpim");
    let wrapper = parse_complete(&message).unwrap();
    let from = wrapper.header("From").unwrap().address().unwrap();
    assert_eq!(from, NameAddress { name: Some("MR SANDERS".into()), uri: b"im:piglet@100akerwood.com" });
    let subjects: Vec<_> = wrapper.headers().filter(|h| h.name == "Subject").collect();
    assert_eq!((subjects[0].parameter("lang"), subjects[1].parameter("lang")), (None, Some("fr".into())));
    assert_eq!(subjects[1].text(), "beau temps prevu pour aujourd'hui");
    let namespace = wrapper.header("NS").unwrap().address().unwrap();
    assert_eq!(namespace, NameAddress { name: Some("MyFeatures".into()), uri: b"mid:MessageFeatures@id.foo.com" });
    assert_eq!(wrapper.header("Require").unwrap().text(), "MyFeatures.VitalMessageOption");
    assert_eq!(wrapper.headers().filter(|h| h.prefix() == Some("MyFeatures")).count(), 2);
    let mime: Vec<_> = wrapper.mime_headers().map(|(name, value)| (text(name), text(&value).to_owned())).collect();
    let expected = [("Content-type", "text/xml; charset=utf-8"), ("Content-ID", "<1234567890@foo.com>")];
    assert_eq!(mime, expected.map(|(name, value)| (name, value.to_owned())));
}

#[test]
fn headers_are_read_in_detail() {
    let message = sample("quoted-name.cpim");
    let from = parse_complete(&message).unwrap().header("From").unwrap().address().unwrap();
    assert_eq!(from.name.as_deref(), Some("Bob the Builder"));
    let message = sample("sylk-empty-name.cpim");
    assert_eq!(parse_complete(&message).unwrap().header("From").unwrap().address().unwrap().name, None);
    let message = sample("sylk-status-notice.cpim");
    assert_eq!(parse_complete(&message).unwrap().header("agp.Message-Type").unwrap().text(), "status");
    let message = sample("several-to.cpim");
    let wrapper = parse_complete(&message).unwrap();
    assert_eq!(wrapper.header("cc").unwrap().address().unwrap().name.as_deref(), Some("Dan \"D\" <the man>"));
    let message = sample("folded-mime.cpim");
    assert_eq!(summary(&message).2, "multipart/mixed; boundary=\"x: y\"");
    assert_eq!(summary(&message).3, "--x: y--");
}

#[test]
fn names_are_resolved_through_their_namespaces() {
    let message = sample("namespaces.cpim");
    let wrapper = parse_complete(&message).unwrap();
    assert_eq!((wrapper.from(), wrapper.to()), (Ok(&b"sip:alice@example.com"[..]), Ok(&b"sip:room@example.com"[..])));
    assert_eq!(wrapper.header("From").unwrap().address().unwrap().name.as_deref(), Some("Alice"));
    assert_eq!(wrapper.header("DateTime").unwrap().text(), "2026-01-02T03:04:05Z");
    let names: Vec<_> = wrapper.headers().map(|header| header.cpim_name.unwrap_or("-")).collect();
    assert_eq!(names, ["NS", "NS", "From", "-", "To", "DateTime"]);
}

#[test]
fn the_type_of_the_content_is_read_through_folds_and_comments() {
    let message = sample("folded-type.cpim");
    let wrapper = parse_complete(&message).unwrap();
    assert_eq!(wrapper.media_type(), Some("image/png"));
    assert_eq!(text(&wrapper.content_type().unwrap()), "image (a picture) / png;\tname=\"a;b\"");
    assert_eq!(&message[wrapper.content_offset..], b"not text");
    assert_eq!(parse_complete(b"From: <a:b>\r\n\r\nhello").unwrap().media_type(), Some("text/plain"));
    assert_eq!(parse_complete(b"From: <a:b>\r\n\r\nContent-Type:\r\n\r\n").unwrap().media_type(), None);
}

#[test]
fn addresses_are_counted() {
    let message = sample("several-to.cpim");
    let wrapper = parse_complete(&message).unwrap();
    assert_eq!(wrapper.to(), Err(AddressError::Several(2)));
    assert!(wrapper.from().is_ok());
    let read = |blocks: &'static str| parse_complete(blocks.as_bytes()).unwrap();
    assert_eq!(read("To: <a:b>\r\n\r\n").from(), Err(AddressError::Missing));
    assert_eq!(read("from: <a:b>\r\n\r\n").from(), Err(AddressError::Missing));
    assert_eq!(read("x.From: <a:b>\r\n\r\n").from(), Err(AddressError::Missing));
    assert_eq!(read("From: <a:b\r\n\r\n").from(), Err(AddressError::Unreadable));
    assert_eq!(read("From: <a:b\r\nFrom: <a:b>\r\nFrom: <a:b>\r\n\r\n").from(), Err(AddressError::Several(3)));
}

#[test]
fn other_messages_are_errors() {
    assert_eq!(parse_complete(b"").unwrap_err(), CpimError::Unfinished);
    assert_eq!(parse_complete(b"From: <a:b>\r\nTo: <c:d>\r\n").unwrap_err(), CpimError::Unfinished);
    assert_eq!(parse_complete(b"From: <a:b>\r\n folded\r\n\r\n").unwrap_err(), CpimError::Header);
    assert_eq!(parse_complete(b"hello\r\n\r\n").unwrap_err(), CpimError::Header);
    assert_eq!(parse(&[b'x'; CPIM_HEADERS_BYTES_MAX + 1]).unwrap_err(), CpimError::TooLong);
    assert!(parse(&[b'x'; CPIM_HEADERS_BYTES_MAX]).unwrap().is_none());
}

/// What a scanner finds in these pieces, of which the last ends the message.
fn scan<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<usize, CpimError> {
    let mut scanner = Scanner::new();
    let mut found = None;
    for piece in pieces {
        let now = scanner.feed(piece)?;
        assert!(found.is_none() || found == now, "an answer does not change");
        found = now;
    }
    found.map_or_else(|| scanner.finish(), Ok)
}

#[test]
fn every_cut_of_every_sample_gives_the_same_answer() {
    for (name, message) in samples() {
        let whole = scan([&message[..]]);
        for cut in 0..=message.len() {
            let (a, b) = message.split_at(cut);
            assert_eq!(scan([a, b]), whole, "{name} cut at {cut}");
        }
        assert_eq!(scan(message.chunks(1)), whole, "{name} octet by octet");
        assert_eq!(parse_complete(&message).unwrap().content_offset, whole.unwrap(), "{name}");
    }
}

#[test]
fn every_prefix_of_every_sample_is_incomplete_or_right() {
    let shape = |w: &Wrapper<'_>| {
        (w.from().map(<[u8]>::to_vec), w.content_offset, w.content_type().map(std::borrow::Cow::into_owned))
    };
    for (name, message) in samples() {
        let whole = parse_complete(&message).unwrap();
        for end in 0..=message.len() {
            match parse(&message[..end]) {
                Ok(Some(wrapper)) => assert_eq!(shape(&wrapper), shape(&whole), "{name} up to {end}"),
                Ok(None) => assert!(end < whole.content_offset + 30, "{name} up to {end} is still incomplete"),
                Err(error) => panic!("{name} up to {end}: {error}"),
            }
            // Neither does a message that a lost connection has cut.
            let _ = parse_complete(&message[..end]);
        }
    }
}

/// Reads a message with both blocks in the simplest way.
///
/// The content type is `None` if a header that describes the content is there twice.
fn naive(message: &str) -> (usize, Vec<(String, String)>, Option<Option<String>>) {
    let mut offset = 0;
    let mut blocks: Vec<Vec<(String, String)>> = vec![Vec::new(), Vec::new()];
    let mut block = 0;
    for line in message.split_inclusive('\n') {
        offset += line.len();
        let line = line.trim_end_matches('\n').trim_end_matches('\r');
        if line.is_empty() {
            block += 1;
            if block == 2 {
                break;
            }
            continue;
        }
        let (name, value) = line.split_once(':').unwrap();
        blocks[block].push((name.to_owned(), value.trim().to_owned()));
    }
    let mut known = [("content-type", Vec::new()), ("content-id", Vec::new())];
    for (name, value) in &blocks[1] {
        let of_name = known.iter_mut().filter(|(wanted, _)| name.to_lowercase() == *wanted);
        of_name.for_each(|(_, values)| values.push(value.clone()));
    }
    let is_repeated = known.iter().any(|(_, values)| values.len() > 1);
    let content_type = known[0].1.first().cloned();
    (offset, blocks.swap_remove(0), (!is_repeated).then_some(content_type))
}

prop_compose! {
    fn block(names: &'static str)(
        headers in prop::collection::vec((names, "[ -~äß你]{0,24}"), 0..6),
        ends in prop::collection::vec(prop::bool::ANY, 7),
    ) -> String {
        let mut ends = ends.into_iter().map(|crlf| if crlf { "\r\n" } else { "\n" });
        let mut out = String::new();
        for (name, value) in headers {
            // Parameters have tests of their own, and the naive reading does not know them.
            out += &format!("{name}: {}{}", value.trim_start_matches(';').trim(), ends.next().unwrap());
        }
        out + ends.next().unwrap()
    }
}

proptest! {
    #[test]
    fn well_formed_messages_are_read_as_by_the_naive_reader(
        metadata in block("From|To|cc|DateTime|ns|Subject|imdn\\.Message-ID"),
        mime in block("Content-Type|content-type|Content-ID|MIME-Version"),
        content in "\\PC{0,40}",
        cuts in prop::collection::vec(0usize..400, 0..5),
    ) {
        let message = format!("{metadata}{mime}{content}");
        let (offset, headers, content_type) = naive(&message);
        let Some(content_type) = content_type else {
            prop_assert_eq!(parse(message.as_bytes()).unwrap_err(), CpimError::Mime(MimeError::Repeated));
            return Ok(());
        };
        let wrapper = parse(message.as_bytes()).unwrap().unwrap();
        prop_assert_eq!(wrapper.content_offset, offset);
        let found: Vec<_> = wrapper.headers().map(|h| (h.name.to_owned(), text(h.value).to_owned())).collect();
        prop_assert_eq!(found, headers);
        let found_type = wrapper.content_type();
        prop_assert_eq!(found_type.as_deref().map(text), content_type.as_deref());

        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(message.len())).collect();
        cuts.extend([0, message.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &message.as_bytes()[pair[0]..pair[1]]);
        prop_assert_eq!(scan(pieces), Ok(offset));
    }

    #[test]
    fn no_octets_panic_and_no_cut_matters(
        message in prop::collection::vec(prop_oneof![
            Just(b'\n'), Just(b'\r'), Just(b':'), Just(b'<'), Just(b'>'), Just(b'"'), Just(b'\\'), Just(b' '),
            Just(b'F'), any::<u8>()
        ], 0..120),
        start in prop_oneof![Just(&b""[..]), Just(&b"From: "[..]), Just(&b"Content-Type: \n\n"[..]), Just(&b"A: b\n\n"[..])],
        cut in 0usize..130,
    ) {
        let message = [start, &message].concat();
        let (a, b) = message.split_at(cut.min(message.len()));
        prop_assert_eq!(scan([a, b]), scan([&message[..]]));
        if let Ok(wrapper) = parse_complete(&message) {
            prop_assert!(wrapper.content_offset <= message.len());
            for header in wrapper.headers() {
                let _ = (header.text(), header.address(), header.parameter("lang"), header.prefix());
            }
            let _ = wrapper.mime_headers().count();
        }
    }
}

#[test]
fn header_names_are_case_sensitive() {
    let wrapper = parlor_proto::cpim::parse_complete(b"from: <sip:a@b>\r\nTO: <sip:c@d>\r\n\r\n\r\n").unwrap();
    assert!(wrapper.from().is_err() && wrapper.to().is_err());
}

#[test]
fn the_header_blocks_and_prefixes_of_a_message_are_limited() {
    let message = "NS: a <urn:ietf:params:cpim-headers:>\nNS: b <urn:ietf:params:cpim-headers:>\n\n\n".as_bytes();
    let mut limits = Limits::default();
    limits.cpim_headers_bytes_max = message.len();
    limits.cpim_prefixes_max = 2;
    assert!(parse_complete_with(message, &limits).is_ok());
    limits.cpim_prefixes_max = 1;
    let error = parse_complete_with(message, &limits).unwrap_err();
    assert!(error == CpimError::TooManyPrefixes && error.exceeds_limit());
    limits.cpim_headers_bytes_max -= 1;
    let error = parse_complete_with(message, &limits).unwrap_err();
    assert!(error == CpimError::TooLong && error.exceeds_limit());
}
