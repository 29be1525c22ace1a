//! `parlor chat`: a participant in a terminal.
//!
//! [`call`] joins over SIP, [`session`] talks over MSRP; neither has a socket. [`driver`] has the sockets and passes what
//! arrives and what is typed to them, [`screen`] shows what comes of it.

mod book;
mod call;
mod clock;
mod driver;
mod file;
mod inbox;
mod line;
mod network;
mod screen;
mod session;
mod watch;

use std::process::ExitCode;

use clap::Args;

use crate::sip::{Transport, address_text};

/// Arguments of `chat`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  parlor chat sip:lobby@127.0.0.1 --nick Alice
  parlor chat sip:lobby@chat.example.com --as sip:bob@example.com --via tcp:192.0.2.1:5060
  echo 'the build is green' | parlor chat sip:team@127.0.0.1 --nick CI

In it: a line is a message; /msg WHO TEXT, /nick NAME, /who, /send FILE, /quit, /help.
With input that is no terminal, each message received is one line on standard output, and the end of the input is the end
of the chat, once everything sent was taken.")]
pub(super) struct ChatArguments {
    /// The room: sip:lobby@127.0.0.1
    #[arg(value_name = "ROOM-URI")]
    room: String,
    /// Who you are: sip:alice@example.com; a guest of this machine if not given
    #[arg(long = "as", value_name = "URI")]
    identity: Option<String>,
    /// The nickname to take
    #[arg(long, value_name = "NAME")]
    nick: Option<String>,
    /// Where to send the call, if not to the host of the room's URI: udp:HOST:PORT or tcp:HOST:PORT
    #[arg(long, value_name = "HOP", value_parser = parse_via)]
    via: Option<Via>,
}

/// The first hop of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Via {
    transport: Transport,
    host: String,
    port: u16,
}

fn parse_via(text: &str) -> Result<Via, String> {
    let help = || "udp:HOST:PORT or tcp:HOST:PORT".to_owned();
    let (transport, place) = text.split_once(':').ok_or_else(help)?;
    let transport = match transport {
        "udp" => Transport::Udp,
        "tcp" => Transport::Tcp,
        _ => return Err(help()),
    };
    let (host, port) = place.rsplit_once(':').unwrap_or((place, "5060"));
    let (host, port) = if place.ends_with(']') { (place, "5060") } else { (host, port) };
    let port = port.parse().map_err(|_| help())?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() { Err(help()) } else { Ok(Via { transport, host, port }) }
}

/// What was asked for, understood.
struct Plan {
    room: crate::sip::Uri,
    identity: Option<String>,
    nick: Option<String>,
    via: Via,
}

impl Plan {
    fn of(arguments: &ChatArguments) -> Result<Self, String> {
        let room = call::participant(&arguments.room).map_err(|help| format!("ROOM-URI: {help}"))?;
        let identity = arguments.identity.as_deref().map(call::participant).transpose();
        let identity = identity.map_err(|help| format!("--as: {help}"))?.map(|uri| address_text(&uri));
        let via = arguments.via.clone().unwrap_or_else(|| hop_to(&room));
        Ok(Self { room, identity, nick: arguments.nick.clone(), via })
    }
}

/// The host and port of a URI, by TCP where it says so.
fn hop_to(room: &crate::sip::Uri) -> Via {
    let tcp = room.transport().is_some_and(|transport| transport.eq_ignore_ascii_case(b"tcp"));
    let host = room.host().map(ToString::to_string).unwrap_or_default();
    Via {
        transport: if tcp { Transport::Tcp } else { Transport::Udp },
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port: room.port().unwrap_or(5060),
    }
}

/// Chats until the input ends or the room does.
pub(super) fn run(arguments: &ChatArguments) -> ExitCode {
    let plan = match Plan::of(arguments) {
        Ok(plan) => plan,
        Err(help) => {
            eprintln!("parlor: {help}");
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("parlor: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(driver::chat(plan)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("parlor: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn via(transport: Transport, host: &str, port: u16) -> Via {
        Via { transport, host: host.into(), port }
    }

    #[test]
    fn a_hop_is_read() {
        assert_eq!(parse_via("udp:127.0.0.1:5070"), Ok(via(Transport::Udp, "127.0.0.1", 5070)));
        assert_eq!(parse_via("tcp:chat.example.com"), Ok(via(Transport::Tcp, "chat.example.com", 5060)));
        assert_eq!(parse_via("tcp:[::1]:5070"), Ok(via(Transport::Tcp, "::1", 5070)));
        assert_eq!(parse_via("tcp:[::1]"), Ok(via(Transport::Tcp, "::1", 5060)));
        for bad in ["", "127.0.0.1:5060", "tls:h:5061", "udp:", "udp:h:x", "udp::5060"] {
            assert!(parse_via(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn without_a_hop_the_room_says_where() {
        let hop = |uri: &str| hop_to(&call::participant(uri).unwrap());
        assert_eq!(hop("sip:lobby@127.0.0.1"), via(Transport::Udp, "127.0.0.1", 5060));
        assert_eq!(hop("sip:lobby@[::1]:5070;transport=TCP"), via(Transport::Tcp, "::1", 5070));
    }
}
