//! NATS, its core: lines of words, and after MSG the text with its length in the line.

use std::io;

use super::protocol::Protocol;

/// Publishers and subscribers of one subject; who does both does not hear itself.
pub const PROTOCOL: Protocol =
    Protocol { name: "nats", program: "nats-server", arguments, greeting, message, frame_len, senders_hear: true };

/// JetStream is off unless asked for, and so nothing is kept.
fn arguments(port: u16) -> Vec<String> {
    ["--addr", "127.0.0.1", "--port", &port.to_string(), "--no_advertise"].map(String::from).into()
}

fn greeting(hears: bool) -> (Vec<u8>, &'static [u8]) {
    let mut out = b"CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false}\r\n".to_vec();
    if hears {
        out.extend_from_slice(b"SUB bench 1\r\n");
    }
    out.extend_from_slice(b"PING\r\n");
    (out, b"PONG\r\n")
}

fn message(text: &[u8]) -> Vec<u8> {
    let mut out = format!("PUB bench {}\r\n", text.len()).into_bytes();
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
    out
}

/// The length of the line at the front, with its text.
fn frame_len(input: &[u8]) -> io::Result<Option<usize>> {
    let Some(end) = memchr::memmem::find(input, b"\r\n") else { return Ok(None) };
    let (line, after) = (&input[..end], end + 2);
    if line.starts_with(b"-ERR") {
        return Err(io::Error::other(format!("NATS sent {}", line.escape_ascii())));
    }
    if !line.starts_with(b"MSG ") {
        return Ok(Some(after));
    }
    let len = line
        .rsplit(|octet| *octet == b' ')
        .next()
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<usize>().ok());
    let whole = after + len.ok_or_else(|| io::Error::other(format!("NATS sent {}", line.escape_ascii())))? + 2;
    Ok((input.len() >= whole).then_some(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_or_not_there() {
        let message = b"MSG bench 1 8\r\nab\r\ncdef\r\n";
        for at in 0..message.len() {
            assert_eq!(frame_len(&message[..at]).unwrap(), None, "{at}");
        }
        assert_eq!(frame_len(message).unwrap(), Some(message.len()));
        assert_eq!(frame_len(b"PING\r\nMSG").unwrap(), Some(6));
        assert!(frame_len(b"-ERR 'Slow Consumer'\r\n").is_err());
        assert!(frame_len(b"MSG bench 1 x\r\n").is_err());
    }
}
