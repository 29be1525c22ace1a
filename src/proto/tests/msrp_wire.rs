//! The MSRP parser on what the RFCs and real software put on the wire, cut everywhere, and against a naive reader.

use std::fs;

use parlor_proto::msrp::{ChunkParser, Event};
use proptest::prelude::*;

/// One chunk: start line and headers, the body if there is one, and the flag.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chunk {
    tid: Vec<u8>,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    body: Option<Vec<u8>>,
    flag: u8,
}

fn samples() -> Vec<(String, Vec<u8>)> {
    let mut samples: Vec<_> = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/wire/msrp"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    samples.sort();
    assert!(samples.len() >= 15, "the samples are there");
    samples
}

/// The chunks that the parser finds in a sequence of reads.
fn parsed<'a>(reads: impl IntoIterator<Item = &'a [u8]>) -> Vec<Chunk> {
    let mut parser = ChunkParser::new();
    let mut out: Vec<Chunk> = Vec::new();
    for read in reads {
        let mut input = read;
        while let Some(event) = parser.next(&mut input).unwrap_or_else(|error| panic!("{error}")) {
            match event {
                Event::Head(head) => out.push(Chunk {
                    tid: head.tid.to_vec(),
                    fields: head.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
                    body: None,
                    flag: b'?',
                }),
                Event::Bodiless(continuation) => out.last_mut().unwrap().flag = continuation.flag(),
                Event::Body { piece, end } => {
                    let chunk = out.last_mut().unwrap();
                    chunk.body.get_or_insert_default().extend_from_slice(piece);
                    if let Some(end) = end {
                        chunk.flag = end.flag();
                    }
                }
            }
        }
        assert!(input.is_empty());
    }
    out
}

/// The same in the simplest way: every position is tried for the end-line.
fn naive(mut text: &[u8]) -> Vec<Chunk> {
    let mut out = Vec::new();
    while !text.is_empty() {
        let (chunk, rest) = naive_first(text);
        out.push(chunk);
        text = rest;
    }
    out
}

/// The first chunk, and what follows it.
fn naive_first(text: &[u8]) -> (Chunk, &[u8]) {
    let line_end = (0..text.len()).find(|at| text[*at..].starts_with(b"\r\n")).unwrap();
    let tid = text[5..line_end].split(|b| *b == b' ').next().unwrap().to_vec();
    let end = [b"-------", &tid[..]].concat();
    let is_end = |at: &usize| {
        let after = at + end.len();
        text[*at..].starts_with(&end)
            && text[..*at].ends_with(b"\r\n")
            && matches!(text.get(after), Some(b'$' | b'+' | b'#'))
            && text[after + 1..].starts_with(b"\r\n")
    };
    let at = (line_end..text.len()).find(is_end).unwrap();
    let inner = &text[line_end + 2..at];
    let blank = (0..inner.len()).find(|at| inner[*at..].starts_with(b"\r\n\r\n"));
    let (head, body) = match blank {
        Some(blank) => {
            let body = &inner[(blank + 4).min(inner.len())..];
            (&inner[..blank], Some(body.strip_suffix(b"\r\n").unwrap_or(body).to_vec()))
        }
        None => (inner.strip_suffix(b"\r\n").unwrap_or(inner), None),
    };
    let field = |line: &[u8]| {
        let colon = line.iter().position(|b| *b == b':').unwrap();
        (line[..colon].to_vec(), line[colon + 1..].trim_ascii().to_vec())
    };
    let lines = head.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let fields = lines.filter(|line| !line.is_empty()).map(field).collect();
    (Chunk { tid, fields, body, flag: text[at + end.len()] }, &text[at + end.len() + 3..])
}

/// Each chunk of a sample with the next one, in which a cut can matter. The parser carries nothing over further.
fn neighbours(sample: &[u8]) -> Vec<&[u8]> {
    let mut starts = vec![0];
    let mut rest = sample;
    while !rest.is_empty() {
        rest = naive_first(rest).1;
        starts.push(sample.len() - rest.len());
    }
    starts.windows(3).map(|at| &sample[at[0]..at[2]]).collect()
}

#[test]
fn every_sample_is_read_as_by_the_naive_reader() {
    for (name, sample) in samples() {
        let chunks = parsed([&sample[..]]);
        assert!(chunks.len() >= 7, "{name}");
        assert_eq!(chunks, naive(&sample), "{name}");
    }
}

#[test]
fn every_two_part_split_gives_the_same() {
    for (name, sample) in samples() {
        for two in neighbours(&sample) {
            let whole = parsed([two]);
            for cut in 0..=two.len() {
                assert_eq!(parsed([&two[..cut], &two[cut..]]), whole, "{name} cut at {cut}");
            }
        }
    }
}

#[test]
fn one_octet_at_a_time_gives_the_same() {
    for (name, sample) in samples() {
        assert_eq!(parsed(sample.chunks(1)), parsed([&sample[..]]), "{name}");
    }
}

#[test]
fn every_prefix_is_incomplete_and_not_an_error() {
    for (_, sample) in samples() {
        for two in neighbours(&sample) {
            for end in 0..two.len() {
                parsed([&two[..end]]);
            }
        }
    }
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    // Octets, and octets that are almost an end-line.
    let near = prop::sample::select(vec![
        &b"\r\n-------abcd"[..],
        b"\r\n-------abcd$x",
        b"\r\n-------abcd$\rx",
        b"\r\n-------abcd#",
        b"\r\n-------abcd#\n",
        b"\r\n-------abcd+",
        b"\r\n-------abce$\r\n",
        b"-------abcd$\r\n",
        b"\r\n------",
        b"\r",
        b"\r\n",
        b"x",
    ]);
    let piece = prop_oneof![near.prop_map(<[u8]>::to_vec), prop::collection::vec(any::<u8>(), 0..20)];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| [&b"x"[..], &pieces.concat(), b"x"].concat())
}

proptest! {
    /// A body with any content, cut anywhere, is parsed unchanged, unless it contains its own end-line.
    #[test]
    fn bodies_survive(bodies in prop::collection::vec(body(), 1..4), cuts in prop::collection::vec(1usize..40, 1..60)) {
        // Any of the three flags ends a chunk (RFC 4975 §7.1); the line may end with a bare LF (`at_end_line`).
        let is_end_line = |w: &[u8]| {
            let flagged = w.strip_prefix(b"\r\n-------abcd").and_then(|rest| rest.split_first());
            flagged.is_some_and(|(flag, rest)| b"$+#".contains(flag) && (rest[0] == b'\n' || rest == b"\r\n"))
        };
        let is_legal = |body: &Vec<u8>| !body.windows(16).any(is_end_line);
        let bodies: Vec<_> = bodies.into_iter().filter(is_legal).collect();
        let mut stream = Vec::new();
        for body in &bodies {
            stream.extend_from_slice(b"MSRP abcd SEND\r\nTo-Path: a\r\nFrom-Path: b\r\nContent-Type: x/y\r\n\r\n");
            stream.extend_from_slice(body);
            stream.extend_from_slice(b"\r\n-------abcd$\r\n");
        }
        let mut reads = Vec::new();
        let (mut rest, mut sizes) = (&stream[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (read, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            reads.push(read);
            rest = after;
        }
        let out: Vec<_> = parsed(reads).into_iter().map(|chunk| chunk.body.unwrap_or_default()).collect();
        prop_assert_eq!(out, bodies);
    }

    /// The parser does not panic, and reads noise the same however it is cut.
    #[test]
    fn noise_is_read_the_same_however_it_is_cut(noise in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..200) {
        let mut stream = b"MSRP abcd SEND\r\nTo-Path: a\r\n".to_vec();
        stream.extend_from_slice(&noise);
        let outcome = |reads: [&[u8]; 2]| {
            let mut parser = ChunkParser::new();
            for read in reads {
                let mut input = read;
                loop {
                    match parser.next(&mut input) {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(error) => return Some(error),
                    }
                }
            }
            None
        };
        let cut = cut.min(stream.len());
        prop_assert_eq!(outcome([&stream[..cut], &stream[cut..]]), outcome([&stream, &[]]));
    }
}
