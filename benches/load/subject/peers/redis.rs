//! Redis pub/sub, in RESP: arrays of strings with their lengths before them.

use std::io;

use super::protocol::Protocol;

/// A publisher and its subscribers.
pub const PROTOCOL: Protocol = Protocol {
    name: "redis",
    program: "redis-server",
    arguments,
    greeting,
    message,
    frame_len,
    // A subscribed connection may publish in RESP3 only, and then hears itself.
    senders_hear: false,
};

/// Nothing is kept, and no subscriber is cut off for what it has not read yet.
fn arguments(port: u16) -> Vec<String> {
    let port = port.to_string();
    let pairs = [
        ("--port", port.as_str()),
        ("--bind", "127.0.0.1"),
        ("--save", ""),
        ("--appendonly", "no"),
        ("--io-threads", "1"),
        ("--maxclients", "20000"),
        ("--tcp-backlog", "4096"),
        ("--loglevel", "warning"),
        ("--dir", "/tmp"),
    ];
    let mut all: Vec<String> = pairs.iter().flat_map(|(name, value)| [(*name).into(), (*value).into()]).collect();
    all.extend(["--client-output-buffer-limit", "pubsub", "0", "0", "0"].map(String::from));
    all
}

fn greeting(hears: bool) -> (Vec<u8>, &'static [u8]) {
    if hears { (command(&[b"SUBSCRIBE", b"bench"]), b":1\r\n") } else { (command(&[b"PING"]), b"+PONG\r\n") }
}

fn message(text: &[u8]) -> Vec<u8> {
    command(&[b"PUBLISH", b"bench", text])
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// The length of the value at the front.
fn frame_len(input: &[u8]) -> io::Result<Option<usize>> {
    let Some(end) = memchr::memmem::find(input, b"\r\n") else { return Ok(None) };
    let (line, after) = (&input[..end], end + 2);
    let number = || -> io::Result<usize> {
        let digits = std::str::from_utf8(&line[1..]).ok().and_then(|digits| digits.parse().ok());
        digits.ok_or_else(|| io::Error::other(format!("Redis sent {}", line.escape_ascii())))
    };
    match line.first() {
        Some(b':' | b'+') => Ok(Some(after)),
        Some(b'$') => {
            let whole = after + number()? + 2;
            Ok((input.len() >= whole).then_some(whole))
        }
        Some(b'*') => {
            let mut at = after;
            for _ in 0..number()? {
                let Some(len) = frame_len(&input[at..])? else { return Ok(None) };
                at += len;
            }
            Ok(Some(at))
        }
        _ => Err(io::Error::other(format!("Redis sent {}", line.escape_ascii()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_whole_or_not_there() {
        let message = command(&[b"message", b"bench", b"a text\r\nof two lines"]);
        for at in 0..message.len() {
            assert_eq!(frame_len(&message[..at]).unwrap(), None, "{at}");
        }
        let mut two = message.clone();
        two.extend_from_slice(b":100\r\n");
        assert_eq!(frame_len(&two).unwrap(), Some(message.len()));
        assert_eq!(frame_len(b":100\r\n:1").unwrap(), Some(6));
        assert!(frame_len(b"-ERR max number of clients reached\r\n").is_err());
        assert!(frame_len(b"$x\r\n").is_err());
    }
}
