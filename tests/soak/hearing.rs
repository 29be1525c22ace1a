//! What a guest hears, read from the wire: whole chunks, each message once, the messages of one sender in order.

use std::collections::{HashMap, HashSet};

use parlor_proto::msrp::{ChunkParser, Continuation, Event, Method};

/// A text that says what it is, so that whoever gets it can tell what is wrong with it.
pub fn text(room: &str, from: &str, to: &str, number: usize, len: usize) -> String {
    format!("{room}|{from}|{to}|{number}|{len}|{}", "y".repeat(len))
}

#[derive(Default)]
pub struct Hearing {
    parser: ChunkParser,
    /// The message whose chunk is being read, if it is one.
    chunk: Option<Vec<u8>>,
    begun: HashMap<Vec<u8>, Vec<u8>>,
    heard: HashSet<(String, usize)>,
    /// The highest number among the messages in one chunk, by sender.
    last: HashMap<String, usize>,
    /// There are some whose texts are not what they say they are.
    pub among_strangers: bool,
    /// Messages to everybody and to this guest.
    pub messages: usize,
    pub whispers: usize,
    /// Transaction ids of what has come, to be answered by one who answers.
    pub tids: Vec<String>,
}

impl Hearing {
    /// Takes what has come for guest `name` in `room`.
    pub fn take(&mut self, octets: &[u8], name: &str, room: &str) {
        let mut parser = std::mem::take(&mut self.parser);
        let mut input = octets;
        while let Some(event) = parser.next(&mut input).expect("what is sent can be parsed") {
            match event {
                Event::Head(head) => {
                    self.chunk = None;
                    if head.method() == Some(Method::Send) {
                        let id = head.message_id.expect("a Message-ID").to_vec();
                        let start = head.byte_range.expect("a Byte-Range").start;
                        let sofar = self.begun.entry(id.clone()).or_default();
                        assert!(start == 1 || start == sofar.len() as u64 + 1, "pieces come in order");
                        self.tids.push(String::from_utf8_lossy(head.tid).into_owned());
                        self.chunk = Some(id);
                    }
                }
                Event::Body { piece, end } => {
                    let Some(id) = &self.chunk else { continue };
                    self.begun.get_mut(id).expect("it was begun").extend_from_slice(piece);
                    if let Some(end) = end {
                        self.end(end, name, room);
                    }
                }
                Event::Bodiless(end) => self.end(end, name, room),
            }
        }
        self.parser = parser;
        let drop = self.tids.len().saturating_sub(8);
        self.tids.drain(..drop);
    }

    fn end(&mut self, end: Continuation, name: &str, room: &str) {
        let Some(id) = self.chunk.take() else { return };
        match end {
            Continuation::More => {}
            Continuation::Abort => drop(self.begun.remove(&id)),
            Continuation::Complete => {
                let body = self.begun.remove(&id).expect("it was begun");
                self.judge(&String::from_utf8_lossy(&body), name, room);
            }
        }
    }

    fn judge(&mut self, body: &str, name: &str, room: &str) {
        let text = body.rsplit_once("\r\n\r\n").map_or(body, |(_, text)| text);
        let fields: Vec<&str> = text.split('|').collect();
        // The room itself says other things.
        let [in_room, from, to, number, len, rest] = fields.as_slice() else { return };
        if self.among_strangers {
            self.messages += usize::from(body.contains(&format!("From: <sip:{from}@home.example>")));
            return;
        }
        let (number, len): (usize, usize) = (number.parse().unwrap(), len.parse().unwrap());
        assert_eq!(*in_room, room, "{name} hears another room");
        assert!(*to == "*" || *to == name, "{name} hears what is for {to}");
        assert!(*from != name || *to == name, "{name} hears itself");
        assert!(body.contains(&format!("<sip:{from}@home.example>")), "it is said who says it");
        assert_eq!(rest.len(), len, "it is whole");
        assert!(self.heard.insert(((*from).to_owned(), number)), "{name} hears {from}'s {number} again");
        if len < super::guest::LONG {
            let last = self.last.entry((*from).to_owned()).or_default();
            assert!(number > *last, "{name} hears {from}'s {number} after {last}");
            *last = number;
        }
        self.messages += usize::from(*to == "*");
        self.whispers += usize::from(*to != "*");
    }
}
