//! Checks of the addresses that the server listens on.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Instant;

use super::finding::Finding;
use super::machine;
use super::running::{Owner, RunningServers, SocketKind, overlap};
use crate::config::{Config, Cores, SipListen, SipTransport};
use crate::shard::{TAKEN_PORT_TIMEOUT, bind_until};

/// Binds every address. Those in use by `running` servers of this config are no error.
pub fn check(config: &Config, running: RunningServers) -> Vec<Finding> {
    // The process that uses a port may be about to exit.
    let until = Some(Instant::now() + TAKEN_PORT_TIMEOUT);
    let (mut findings, mut bound) = (Vec::new(), Bound { running, until, ..Bound::default() });
    for listen in &config.sip.listen {
        let outcome = match listen.transport {
            SipTransport::Udp => bound.bind_udp(listen.address),
            SipTransport::Tcp | SipTransport::Tls => bound.bind_tcp(listen.address),
        };
        findings.push(finding(&format!("sip {}", shown(*listen)), outcome, "sip.listen"));
    }
    findings.extend(shard_findings(config, config.msrp.port, "msrp.port", &mut bound));
    if config.msrp.tls_port != 0 {
        findings.extend(shard_findings(config, config.msrp.tls_port, "msrp.tls_port", &mut bound));
        let apart = usize::from(config.msrp.tls_port.abs_diff(config.msrp.port));
        if config.msrp.port != 0 && apart < shard_count(config) {
            let advice = "set msrp.tls_port further from msrp.port: shard i listens on both plus i";
            findings.push(Finding::error("msrp ports", "those with and without TLS overlap", advice));
        }
    }
    findings
}

/// The SIP addresses that the config has twice, found without binding.
pub fn duplicates(config: &Config) -> Vec<Finding> {
    let is_stream = |listen: &SipListen| listen.transport != SipTransport::Udp;
    let twice = |(at, listen): (usize, &SipListen)| {
        let same = |other: &SipListen| is_stream(other) == is_stream(listen) && overlap(other.address, listen.address);
        let named = listen.address.port() != 0 && config.sip.listen[..at].iter().any(same);
        named.then(|| finding(&format!("sip {}", shown(*listen)), Err(BindError::Duplicate), "sip.listen"))
    };
    config.sip.listen.iter().enumerate().filter_map(twice).collect()
}

/// A SIP address in the form of the config.
pub fn shown(listen: SipListen) -> String {
    let transport = match listen.transport {
        SipTransport::Udp => "udp",
        SipTransport::Tcp => "tcp",
        SipTransport::Tls => "tls",
    };
    format!("{transport}:{}", listen.address)
}

/// The sockets bound so far: an address that the config has twice is in use the second time.
#[derive(Default)]
struct Bound {
    udp: Vec<UdpSocket>,
    tcp: Vec<TcpListener>,
    running: RunningServers,
    /// Until when a port in use is tried again.
    until: Option<Instant>,
}

/// Why an address cannot be bound.
enum BindError {
    /// The config has it twice.
    Duplicate,
    /// In use by a running server of this config, with its process id.
    OwnServer(u32),
    /// In use by a process of the same user as that server.
    ProbablyOwnServer(u32),
    /// The error of the system.
    System(std::io::Error),
}

impl Bound {
    fn bind<T>(&self, bind: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
        bind_until(self.until.unwrap_or_else(Instant::now), bind)
    }

    fn bind_udp(&mut self, address: SocketAddr) -> Result<(), BindError> {
        let bound = self.bind(|| UdpSocket::bind(address)).map(|socket| self.udp.push(socket));
        let classify = |error| classify(error, address, self.udp.iter().map(UdpSocket::local_addr));
        bound.map_err(|error| self.unless_own_server(classify(error), SocketKind::Udp, address))
    }

    fn bind_tcp(&mut self, address: SocketAddr) -> Result<(), BindError> {
        let bound = self.bind(|| TcpListener::bind(address)).map(|listener| self.tcp.push(listener));
        let classify = |error| classify(error, address, self.tcp.iter().map(TcpListener::local_addr));
        bound.map_err(|error| self.unless_own_server(classify(error), SocketKind::Tcp, address))
    }

    /// Replaces the error if a running server of this config uses the address.
    fn unless_own_server(&self, taken: BindError, kind: SocketKind, address: SocketAddr) -> BindError {
        match &taken {
            BindError::System(error) if error.kind() == ErrorKind::AddrInUse => match self.running.owner(kind, address)
            {
                Owner::Server(id) => BindError::OwnServer(id),
                Owner::ProbablyServer(id) => BindError::ProbablyOwnServer(id),
                Owner::Other => taken,
            },
            _ => taken,
        }
    }
}

fn classify(
    error: std::io::Error,
    address: SocketAddr,
    mut bound: impl Iterator<Item = std::io::Result<SocketAddr>>,
) -> BindError {
    if error.kind() == ErrorKind::AddrInUse && bound.any(|other| other.is_ok_and(|other| overlap(other, address))) {
        BindError::Duplicate
    } else {
        BindError::System(error)
    }
}

fn shard_count(config: &Config) -> usize {
    match &config.shards.cores {
        Cores::All => machine::allowed_cores().len(),
        Cores::List(cores) => cores.len(),
    }
}

fn shard_findings(config: &Config, first: u16, key: &str, bound: &mut Bound) -> Vec<Finding> {
    let setting = format!("msrp.listen and {key}");
    let check = |address| finding(&format!("msrp tcp:{address}"), bound.bind_tcp(address), &setting);
    let mut findings: Vec<_> = shard_addresses(config, first).map(check).collect();
    if shard_count(config) + usize::from(first) > usize::from(u16::MAX) + 1 {
        let advice = format!("lower {key}: shard i listens on it plus i");
        findings.push(Finding::error("msrp ports", "above 65535", advice));
    }
    findings
}

fn shard_addresses(config: &Config, first: u16) -> impl Iterator<Item = SocketAddr> {
    let listen = config.msrp.listen;
    let count = u16::try_from(shard_count(config)).unwrap_or(u16::MAX);
    // Port 0 is a free one for each shard.
    (0..count).filter_map(move |i| first.checked_add(if first == 0 { 0 } else { i })).map(move |p| (listen, p).into())
}

/// The finding for an attempt to bind. `setting` names the config keys of the address.
fn finding(subject: &str, bound: Result<(), BindError>, setting: &str) -> Finding {
    let error = match bound {
        Ok(()) => return Finding::ok(subject, "free"),
        Err(BindError::Duplicate) => {
            return Finding::error(subject, "named twice in this config", format!("change {setting}"));
        }
        Err(BindError::OwnServer(id)) => {
            return Finding::ok(subject, format!("held by the server of this config, which runs as process {id}"));
        }
        Err(BindError::ProbablyOwnServer(id)) => {
            let found = format!("taken, probably by the server of this config (process {id})");
            return Finding::warning(subject, found, "run the check as root, or as the server's user, for certainty");
        }
        Err(BindError::System(error)) => error,
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

    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_port_in_use_is_an_error() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = Config::default();
        config.msrp.port = holder.local_addr().unwrap().port();
        config.shards.cores = Cores::List(vec![0]);
        let subject = format!("msrp tcp:127.0.0.1:{}", config.msrp.port);
        let found =
            check(&config, RunningServers::default()).into_iter().find(|finding| finding.subject == subject).unwrap();
        assert_eq!((found.level, found.found.as_str()), (Level::Error, "taken"));
        assert!(found.advice.contains("msrp.port"));
    }

    #[test]
    fn a_duplicate_address_differs_from_one_in_use() {
        let (local, everywhere) = (Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED);
        let mut bound = Bound::default();
        assert!(bound.bind_tcp((local, 0).into()).is_ok() && bound.bind_udp((local, 0).into()).is_ok());
        let stream = bound.tcp[0].local_addr().unwrap().port();
        let datagram = bound.udp[0].local_addr().unwrap().port();
        for address in [local, everywhere] {
            assert!(matches!(bound.bind_tcp((address, stream).into()), Err(BindError::Duplicate)));
            assert!(matches!(bound.bind_udp((address, datagram).into()), Err(BindError::Duplicate)));
        }
        let other = TcpListener::bind((local, 0)).unwrap();
        assert!(matches!(bound.bind_tcp(other.local_addr().unwrap()), Err(BindError::System(_))));
        let twice = finding("sip tcp:x", Err(BindError::Duplicate), "sip.listen");
        assert_eq!(
            (twice.level, twice.line().as_str()),
            (Level::Error, "sip tcp:x: named twice in this config; change sip.listen")
        );
    }

    #[test]
    fn each_shard_has_a_port() {
        let mut config = Config::default();
        config.shards.cores = Cores::List(vec![0, 1, 5]);
        let ports = |config: &Config| {
            shard_addresses(config, config.msrp.port).map(|address| address.port()).collect::<Vec<_>>()
        };
        assert_eq!(ports(&config), [2855, 2856, 2857]);
        config.msrp.port = 0;
        assert_eq!(ports(&config), [0, 0, 0]);
        config.msrp.port = 65534;
        assert_eq!(ports(&config), [65534, 65535]);
        assert!(check(&config, RunningServers::default()).iter().any(|finding| finding.found.contains("65535")));
    }

    #[test]
    fn bind_errors_have_advice() {
        let failed = |code: i32| {
            finding("sip udp:x", Err(BindError::System(std::io::Error::from_raw_os_error(code))), "sip.listen").line()
        };
        assert!(failed(99).contains("ip address"));
        assert!(failed(13).contains("1024"));
        assert!(failed(105).contains("change sip.listen"));
    }
}
