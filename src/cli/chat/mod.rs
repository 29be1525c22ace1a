//! `parlor chat`: a participant in a terminal.
//!
//! [`call`] is the SIP and [`session`] the MSRP; neither has a socket. [`join`] opens the sockets and gets in, [`driver`] passes
//! what arrives and what is typed to them, [`screen`] shows what comes of it.

mod book;
mod call;
mod clock;
mod driver;
mod file;
mod inbox;
mod join;
mod line;
mod login;
mod network;
mod requests;
mod screen;
mod secure;
mod session;
mod target;
mod watch;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use self::secure::Security;
use super::output::{complain, has_failed};
use parlor_proto::sip::{Transport, address_text, escape_user, is_sips};

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

In it: a line is a message; /msg WHO TEXT, /nick NAME, /who, /send FILE, /quit, /help.
With input that is no terminal, each message received is one line on standard output, and the end
of the input is the end of the chat, once everything sent was taken.")]
pub(super) struct ChatArguments {
    /// The room: sip:lobby@127.0.0.1
    #[arg(value_name = "ROOM-URI")]
    room: String,
    /// Who you are: sip:alice@example.com; if not given a guest of this machine, the same one with each nickname
    #[arg(long = "as", value_name = "URI")]
    identity: Option<String>,
    /// Whose password to give where the room asks for one: that of --password-file, or else of the environment variable
    /// PARLOR_PASSWORD. Without --as you are this user at the room's host
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// A file with the password on its first line
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Do not let the others know who you are
    #[arg(long, conflicts_with = "identity")]
    anonymous: bool,
    /// The nickname to take
    #[arg(long, value_name = "NAME")]
    nick: Option<String>,
    /// Where to send the call, if not to the host of the room's URI: udp:HOST:PORT, tcp:HOST:PORT or tls:HOST:PORT
    #[arg(long, value_name = "HOP", value_parser = parse_via)]
    via: Option<Via>,
    /// Have messages go over TLS
    #[arg(long)]
    msrps: bool,
    /// Believe the certificates that an authority in this PEM file vouches for, too
    #[arg(long, value_name = "FILE")]
    ca: Option<std::path::PathBuf>,
    /// Believe every certificate
    #[arg(long)]
    insecure: bool,
}

/// The first hop of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Via {
    transport: Transport,
    host: String,
    port: u16,
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
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() { Err(help()) } else { Ok(Via { transport, host, port }) }
}

/// What was asked for, understood.
struct Plan {
    room: parlor_proto::sip::Uri,
    identity: Option<String>,
    password: Option<login::Password>,
    anonymous: bool,
    nick: Option<String>,
    via: Via,
    msrps: bool,
    security: Security,
}

impl Plan {
    fn of(arguments: &ChatArguments) -> Result<Self, String> {
        let room = target::participant(&arguments.room).map_err(|help| format!("ROOM-URI: {help}"))?;
        let identity = arguments.identity.as_deref().map(target::participant).transpose();
        let identity = identity.map_err(|help| format!("--as: {help}"))?.map(|uri| address_text(&uri));
        let via = arguments.via.clone().unwrap_or_else(|| hop_to(&room));
        let password = password(arguments)?;
        let at_home = |user: &String| {
            let host = room.host().map(ToString::to_string).unwrap_or_default();
            format!("sip:{}@{host}", escape_user(user))
        };
        let identity = identity.or_else(|| arguments.user.as_ref().map(at_home));
        let (anonymous, nick) = (arguments.anonymous, arguments.nick.clone());
        let security = Security { ca: arguments.ca.clone(), insecure: arguments.insecure };
        Ok(Self { room, identity, password, anonymous, nick, via, msrps: arguments.msrps, security })
    }
}

/// The password of the user that is named, from where it is not seen in a list of processes.
fn password(arguments: &ChatArguments) -> Result<Option<login::Password>, String> {
    let Some(username) = arguments.user.clone() else { return Ok(None) };
    let password = match &arguments.password_file {
        Some(path) => {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|error| format!("the password file {} cannot be read: {error}", path.display()))?;
            text.lines().next().unwrap_or_default().to_owned()
        }
        None => std::env::var("PARLOR_PASSWORD")
            .map_err(|_| "--user wants a password: give --password-file, or set PARLOR_PASSWORD".to_owned())?,
    };
    Ok(Some(login::Password { username, password }))
}

/// The host and port of a URI, by TCP or TLS where it says so.
fn hop_to(room: &parlor_proto::sip::Uri) -> Via {
    let says = |name: &[u8]| room.transport().is_some_and(|transport| transport.eq_ignore_ascii_case(name));
    let transport = match () {
        () if is_sips(room) || says(b"tls") => Transport::Tls,
        () if says(b"tcp") => Transport::Tcp,
        () => Transport::Udp,
    };
    let host = room.host().map(ToString::to_string).unwrap_or_default();
    Via {
        transport,
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port: room.port().unwrap_or(transport.default_port()),
    }
}

/// Chats until the input ends or the room does.
pub(super) fn run(arguments: &ChatArguments) -> ExitCode {
    let plan = match Plan::of(arguments) {
        Ok(plan) => plan,
        Err(help) => {
            complain(help);
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(error);
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(driver::chat(plan)) {
        Ok(true) if !has_failed() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            // It may have come from the other end.
            complain(screen::printable(&error));
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
        assert_eq!(parse_via("tls:[::1]"), Ok(via(Transport::Tls, "::1", 5061)));
        for bad in ["", "127.0.0.1:5060", "ws:h:5061", "udp:", "udp:h:x", "udp::5060"] {
            assert!(parse_via(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn without_a_hop_the_room_says_where() {
        let hop = |uri: &str| hop_to(&target::participant(uri).unwrap());
        assert_eq!(hop("sip:lobby@127.0.0.1"), via(Transport::Udp, "127.0.0.1", 5060));
        assert_eq!(hop("sip:lobby@[::1]:5070;transport=TCP"), via(Transport::Tcp, "::1", 5070));
        assert_eq!(hop("sips:lobby@chat.example.com"), via(Transport::Tls, "chat.example.com", 5061));
    }
}
