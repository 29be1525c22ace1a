//! The arguments of `parlor chat`.

use std::path::PathBuf;

use clap::Args;

use parlor_proto::sip::{Transport, Uri, is_sips};

/// Arguments of `chat`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  parlor chat sip:lobby@127.0.0.1 --nick Alice
  parlor chat sip:lobby@chat.example.com --as sip:bob@example.com --via tcp:192.0.2.1:5060
  parlor chat sip:lobby@chat.example.com --user bob --password-file ~/.parlor-password
  parlor chat sip:lobby@127.0.0.1 --anonymous --nick Owl
  parlor chat sip:lobby@chat.example.com --via tls:chat.example.com --msrps --ca ca.pem
  echo 'the build is green' | parlor chat sip:team@127.0.0.1 --nick CI

Each input line is a message. Commands: /msg WHO TEXT, /nick NAME, /who, /send FILE, /quit, /help.
If the input is not a terminal, each received message is one line on standard output, and the chat
ends at the end of the input, once everything sent has been answered.")]
pub struct ChatArguments {
    /// The URI of the room: sip:lobby@127.0.0.1
    #[arg(value_name = "ROOM-URI")]
    pub room: String,
    /// Your own URI: sip:alice@example.com. Default: a guest of this machine, the same one for each nickname
    #[arg(long = "as", value_name = "URI")]
    pub identity: Option<String>,
    /// The user name for authentication. The password is read from --password-file, or else from the environment variable
    /// PARLOR_PASSWORD. Without --as, your URI is this user at the host of the room
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// A file with the password in its first line
    #[arg(long, value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,
    /// Hide your URI from the other participants
    #[arg(long, conflicts_with = "identity")]
    pub anonymous: bool,
    /// The nickname to request
    #[arg(long, value_name = "NAME")]
    pub nick: Option<String>,
    /// Where to send SIP requests: udp:HOST:PORT, tcp:HOST:PORT or tls:HOST:PORT. Default: the host of ROOM-URI
    #[arg(long, value_name = "HOP", value_parser = parse_via)]
    pub via: Option<Via>,
    /// Require MSRP over TLS
    #[arg(long)]
    pub msrps: bool,
    /// Also trust the certificate authorities in this PEM file
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Do not verify certificates
    #[arg(long)]
    pub insecure: bool,
}

/// The first SIP hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// Its transport.
    pub transport: Transport,
    /// Its host, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Via {
    /// The hop that the URI of a room names, by TCP or TLS if it says so.
    pub fn of_room(room: &Uri) -> Self {
        let names = |name: &[u8]| room.transport().is_some_and(|transport| transport.eq_ignore_ascii_case(name));
        let transport = match () {
            () if is_sips(room) || names(b"tls") => Transport::Tls,
            () if names(b"tcp") => Transport::Tcp,
            () => Transport::Udp,
        };
        let host = room.host().map(ToString::to_string).unwrap_or_default();
        Self { transport, host: without_brackets(&host), port: room.port().unwrap_or(transport.default_port()) }
    }
}

fn without_brackets(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

fn parse_via(text: &str) -> Result<Via, String> {
    let help = || "udp:HOST:PORT, tcp:HOST:PORT or tls:HOST:PORT".to_owned();
    let (transport, place) = text.split_once(':').ok_or_else(help)?;
    let transport = match transport {
        "udp" => Transport::Udp,
        "tcp" => Transport::Tcp,
        "tls" => Transport::Tls,
        _ => return Err(help()),
    };
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !place.ends_with(']') => (host, port.parse().map_err(|_| help())?),
        _ => (place, transport.default_port()),
    };
    let host = without_brackets(host);
    if host.is_empty() { Err(help()) } else { Ok(Via { transport, host, port }) }
}

#[cfg(test)]
mod tests {
    use super::super::target::parse_participant;
    use super::*;

    fn via(transport: Transport, host: &str, port: u16) -> Via {
        Via { transport, host: host.into(), port }
    }

    #[test]
    fn a_hop_is_parsed() {
        assert_eq!(parse_via("udp:127.0.0.1:5070"), Ok(via(Transport::Udp, "127.0.0.1", 5070)));
        assert_eq!(parse_via("tcp:chat.example.com"), Ok(via(Transport::Tcp, "chat.example.com", 5060)));
        assert_eq!(parse_via("tcp:[::1]:5070"), Ok(via(Transport::Tcp, "::1", 5070)));
        assert_eq!(parse_via("tcp:[::1]"), Ok(via(Transport::Tcp, "::1", 5060)));
        assert_eq!(parse_via("tls:[::1]"), Ok(via(Transport::Tls, "::1", 5061)));
        for bad in ["", "127.0.0.1:5060", "ws:h:5061", "udp:", "udp:h:x", "udp::5060"] {
            assert!(parse_via(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_default_hop_is_the_host_of_the_room() {
        let hop = |uri: &str| Via::of_room(&parse_participant(uri).unwrap());
        assert_eq!(hop("sip:lobby@127.0.0.1"), via(Transport::Udp, "127.0.0.1", 5060));
        assert_eq!(hop("sip:lobby@[::1]:5070;transport=TCP"), via(Transport::Tcp, "::1", 5070));
        assert_eq!(hop("sips:lobby@chat.example.com"), via(Transport::Tls, "chat.example.com", 5061));
    }
}
