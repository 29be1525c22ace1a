//! The addresses that a server would listen on.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Instant;

use super::running::{Holder, Kind, Running, overlap};
use super::{Finding, machine};
use crate::config::{Config, Cores, SipListen, SipTransport};
use crate::shard::{TAKEN_PORT_TIMEOUT, bind_until};

/// `running` are the servers of this config, whose ports are no obstacle.
pub(super) fn look(config: &Config, running: Running) -> Vec<Finding> {
    // Whoever has a port may be about to end.
    let until = Some(Instant::now() + TAKEN_PORT_TIMEOUT);
    let (mut findings, mut held) = (Vec::new(), Held { running, until, ..Held::default() });
    for listen in &config.sip.listen {
        let taken = match listen.transport {
            SipTransport::Udp => held.datagrams(listen.address),
            SipTransport::Tcp | SipTransport::Tls => held.streams(listen.address),
        };
        findings.push(judge(&format!("sip {}", shown(*listen)), taken, "sip.listen"));
    }
    findings.extend(shard_findings(config, config.msrp.port, "msrp.port", &mut held));
    if config.msrp.tls_port != 0 {
        findings.extend(shard_findings(config, config.msrp.tls_port, "msrp.tls_port", &mut held));
        let apart = usize::from(config.msrp.tls_port.abs_diff(config.msrp.port));
        if config.msrp.port != 0 && apart < shard_count(config) {
            let advice = "set msrp.tls_port further from msrp.port: each shard takes one port from either upwards";
            findings.push(Finding::error("msrp ports", "those with and without TLS overlap", advice));
        }
    }
    findings
}

/// The addresses of SIP that a config has twice, found without listening on any.
pub(super) fn named_twice(config: &Config) -> Vec<Finding> {
    let is_stream = |listen: &SipListen| listen.transport != SipTransport::Udp;
    let twice = |(at, listen): (usize, &SipListen)| {
        let same = |other: &SipListen| is_stream(other) == is_stream(listen) && overlap(other.address, listen.address);
        let named = listen.address.port() != 0 && config.sip.listen[..at].iter().any(same);
        named.then(|| judge(&format!("sip {}", shown(*listen)), Err(Taken::ByOurselves), "sip.listen"))
    };
    config.sip.listen.iter().enumerate().filter_map(twice).collect()
}

/// An address of SIP, as the config writes it.
pub(super) fn shown(listen: SipListen) -> String {
    let transport = match listen.transport {
        SipTransport::Udp => "udp",
        SipTransport::Tcp => "tcp",
        SipTransport::Tls => "tls",
    };
    format!("{transport}:{}", listen.address)
}

/// What was bound so far, and is held: an address that the config names twice is taken the second time.
#[derive(Default)]
struct Held {
    datagrams: Vec<UdpSocket>,
    streams: Vec<TcpListener>,
    running: Running,
    /// Until when a port that is taken is tried again.
    until: Option<Instant>,
}

/// Why an address cannot be listened on.
enum Taken {
    /// By something else in this config.
    ByOurselves,
    /// By the server of this config, which runs as this process.
    ByServer(u32),
    /// By that server, as far as this user may see.
    PerhapsByServer(u32),
    /// For what the system says.
    Refused(std::io::Error),
}

impl Held {
    fn bind<T>(&self, bind: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
        bind_until(self.until.unwrap_or_else(Instant::now), bind)
    }

    fn datagrams(&mut self, address: SocketAddr) -> Result<(), Taken> {
        let bound = self.bind(|| UdpSocket::bind(address)).map(|socket| self.datagrams.push(socket));
        let taken = |error| taken(error, address, self.datagrams.iter().map(UdpSocket::local_addr));
        bound.map_err(|error| self.unless_ours(taken(error), Kind::Datagrams, address))
    }

    fn streams(&mut self, address: SocketAddr) -> Result<(), Taken> {
        let bound = self.bind(|| TcpListener::bind(address)).map(|listener| self.streams.push(listener));
        let taken = |error| taken(error, address, self.streams.iter().map(TcpListener::local_addr));
        bound.map_err(|error| self.unless_ours(taken(error), Kind::Streams, address))
    }

    /// Whether what is taken is so by the server of this config.
    fn unless_ours(&self, taken: Taken, kind: Kind, address: SocketAddr) -> Taken {
        match &taken {
            Taken::Refused(error) if error.kind() == ErrorKind::AddrInUse => match self.running.holder(kind, address) {
                Holder::Server(id) => Taken::ByServer(id),
                Holder::Perhaps(id) => Taken::PerhapsByServer(id),
                Holder::Other => taken,
            },
            _ => taken,
        }
    }
}

fn taken(
    error: std::io::Error,
    address: SocketAddr,
    mut held: impl Iterator<Item = std::io::Result<SocketAddr>>,
) -> Taken {
    if error.kind() == ErrorKind::AddrInUse && held.any(|other| other.is_ok_and(|other| overlap(other, address))) {
        Taken::ByOurselves
    } else {
        Taken::Refused(error)
    }
}

fn shard_count(config: &Config) -> usize {
    match &config.shards.cores {
        Cores::All => machine::allowed_cores().len(),
        Cores::These(cores) => cores.len(),
    }
}

fn shard_findings(config: &Config, first: u16, key: &str, held: &mut Held) -> Vec<Finding> {
    let setting = format!("msrp.listen and {key}");
    let judge = |address| judge(&format!("msrp tcp:{address}"), held.streams(address), &setting);
    let mut findings: Vec<_> = shard_addresses(config, first).map(judge).collect();
    if shard_count(config) + usize::from(first) > usize::from(u16::MAX) + 1 {
        let advice = format!("lower {key}: each shard takes one port from there upwards");
        findings.push(Finding::error("msrp ports", "they would go beyond 65535", advice));
    }
    findings
}

fn shard_addresses(config: &Config, first: u16) -> impl Iterator<Item = SocketAddr> {
    let listen = config.msrp.listen;
    let count = u16::try_from(shard_count(config)).unwrap_or(u16::MAX);
    // Port 0 is any free one, for every shard.
    (0..count).filter_map(move |i| first.checked_add(if first == 0 { 0 } else { i })).map(move |p| (listen, p).into())
}

/// What a failed bind means, and what to do: `setting` names the keys that choose the address.
fn judge(subject: &str, bound: Result<(), Taken>, setting: &str) -> Finding {
    let error = match bound {
        Ok(()) => return Finding::ok(subject, "free"),
        Err(Taken::ByOurselves) => {
            return Finding::error(subject, "named twice in this config", format!("change {setting}"));
        }
        Err(Taken::ByServer(id)) => {
            return Finding::ok(subject, format!("held by the server of this config, which runs as process {id}"));
        }
        Err(Taken::PerhapsByServer(id)) => {
            let found = format!("taken, by the server of this config as it seems (process {id})");
            return Finding::warning(subject, found, "run the check as root, or as the server's user, to be sure");
        }
        Err(Taken::Refused(error)) => error,
    };
    match error.kind() {
        ErrorKind::AddrInUse => {
            let advice = format!("stop what listens there (`ss -lntup` tells), or change {setting}");
            Finding::error(subject, "taken", advice)
        }
        ErrorKind::AddrNotAvailable => {
            Finding::error(subject, "not an address of this machine", format!("change {setting}, `ip address` tells"))
        }
        ErrorKind::PermissionDenied => {
            let advice = format!("change {setting} to a port from 1024 on, or grant CAP_NET_BIND_SERVICE");
            Finding::error(subject, "not allowed to this user", advice)
        }
        _ => Finding::error(subject, error.to_string(), format!("change {setting}")),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::Level;
    use super::*;

    #[test]
    fn a_taken_port_is_found() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = Config::default();
        config.msrp.port = holder.local_addr().unwrap().port();
        config.shards.cores = Cores::These(vec![0]);
        let subject = format!("msrp tcp:127.0.0.1:{}", config.msrp.port);
        let found = look(&config, Running::default()).into_iter().find(|finding| finding.subject == subject).unwrap();
        assert_eq!((found.level, found.found.as_str()), (Level::Error, "taken"));
        assert!(found.advice.contains("msrp.port"));
    }

    #[test]
    fn what_this_config_names_twice_is_told_from_what_somebody_else_has() {
        let (local, everywhere) = (Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED);
        let mut held = Held::default();
        assert!(held.streams((local, 0).into()).is_ok() && held.datagrams((local, 0).into()).is_ok());
        let stream = held.streams[0].local_addr().unwrap().port();
        let datagram = held.datagrams[0].local_addr().unwrap().port();
        for address in [local, everywhere] {
            assert!(matches!(held.streams((address, stream).into()), Err(Taken::ByOurselves)));
            assert!(matches!(held.datagrams((address, datagram).into()), Err(Taken::ByOurselves)));
        }
        let other = TcpListener::bind((local, 0)).unwrap();
        assert!(matches!(held.streams(other.local_addr().unwrap()), Err(Taken::Refused(_))));
        let twice = judge("sip tcp:x", Err(Taken::ByOurselves), "sip.listen");
        assert_eq!(
            (twice.level, twice.line().as_str()),
            (Level::Error, "sip tcp:x: named twice in this config; change sip.listen")
        );
    }

    #[test]
    fn each_shard_has_a_port() {
        let mut config = Config::default();
        config.shards.cores = Cores::These(vec![0, 1, 5]);
        let ports = |config: &Config| {
            shard_addresses(config, config.msrp.port).map(|address| address.port()).collect::<Vec<_>>()
        };
        assert_eq!(ports(&config), [2855, 2856, 2857]);
        config.msrp.port = 0;
        assert_eq!(ports(&config), [0, 0, 0]);
        config.msrp.port = 65534;
        assert_eq!(ports(&config), [65534, 65535]);
        assert!(look(&config, Running::default()).iter().any(|finding| finding.found.contains("65535")));
    }

    #[test]
    fn other_failures_say_what_to_do() {
        let failed = |code: i32| {
            judge("sip udp:x", Err(Taken::Refused(std::io::Error::from_raw_os_error(code))), "sip.listen").line()
        };
        assert!(failed(99).contains("ip address"));
        assert!(failed(13).contains("1024"));
        assert!(failed(105).contains("change sip.listen"));
    }
}
