//! Checks of who can reach the server, and whether clients can connect to the advertised host.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use super::finding::Finding;
use super::ports::shown;
use crate::config::{Config, SipTransport};

/// All checks; the advertised host is resolved.
pub fn check(config: &Config) -> Vec<Finding> {
    let mut findings = exposure(config);
    findings.extend(advertised(config, |host| {
        // The port is required by the resolver and has no meaning.
        (host, 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect())
    }));
    findings
}

/// The checks that need the config only.
pub fn exposure(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let open = config.sip.listen.iter().copied().find(|listen| !is_local(listen.address.ip()));
    if let (Some(listen), None) = (open, &config.sip.auth) {
        let found = format!("no authentication: anyone who reaches {} can join under any name", shown(listen));
        findings.push(Finding::warning("sip.auth", found, "add [sip.auth], or restrict access to a trusted network"));
    }
    let over_tls = |transport| transport == SipTransport::Tls;
    if let Some(listen) = open.filter(|_| !config.sip.listen.iter().any(|listen| over_tls(listen.transport))) {
        let found = format!("calls are not encrypted on {}", shown(listen));
        findings.push(Finding::warning("sip.listen", found, "add [tls], and a tls: address to sip.listen"));
    }
    if config.msrp.tls_port == 0 && !is_local(config.msrp.listen) {
        let found = format!("messages are not encrypted on {}", SocketAddr::new(config.msrp.listen, config.msrp.port));
        findings.push(Finding::warning("msrp.tls_port", found, "add [tls], and set msrp.tls_port"));
    }
    findings
}

/// The resolver.
type Resolver = fn(&str) -> std::io::Result<Vec<IpAddr>>;

/// Checks whether clients can connect to the host in `a=path`.
fn advertised(config: &Config, resolve: Resolver) -> Option<Finding> {
    let host = config.msrp.path_host();
    let key = if config.msrp.advertise.is_some() { "msrp.advertise" } else { "msrp.listen" };
    let public = config.sip.listen.iter().any(|listen| !is_local(listen.address.ip())) || !is_local(config.msrp.listen);
    let advice = "set msrp.advertise to the host or address that clients are to connect to";
    let addresses = match host.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(address) => vec![address],
        Err(_) => match resolve(&host) {
            Ok(addresses) if !addresses.is_empty() => addresses,
            outcome => {
                let why = outcome.err().map_or_else(|| "it has no address".to_owned(), |error| error.to_string());
                return Some(Finding::warning(key, format!("{host} cannot be resolved: {why}"), advice));
            }
        },
    };
    let all = |wrong: fn(&IpAddr) -> bool| addresses.iter().all(wrong);
    let shown = if addresses.iter().any(|address| host.contains(&address.to_string())) {
        host
    } else {
        let list: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        format!("{host} ({})", list.join(", "))
    };
    if addresses.iter().any(IpAddr::is_unspecified) {
        return Some(Finding::warning(key, format!("clients cannot connect to {shown}"), advice));
    }
    if public && all(|address| is_local(*address)) {
        let found = format!("only clients on this machine can connect to {shown}, but others can call");
        return Some(Finding::warning(key, found, advice));
    }
    // A wildcard address may be reachable from the Internet.
    let global = |address: IpAddr| !is_local(address) && !is_private(address);
    let open = config.sip.listen.iter().map(|listen| listen.address.ip()).chain([config.msrp.listen]);
    if open.into_iter().any(global) && all(|address| is_private(*address)) {
        let found = format!("{shown} is in a private network: clients outside of it cannot connect");
        return Some(Finding::warning(key, found, format!("{advice}, if there are clients outside")));
    }
    config.msrp.advertise.is_some().then(|| Finding::ok(key, shown))
}

fn is_local(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Whether an address is private: RFC 1918, 3927, 4193, 4291 §2.5.6 and 6598.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let shared = matches!(address.octets(), [100, 64..=127, ..]);
            address.is_private() || address.is_link_local() || shared
        }
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse("test", text).unwrap()
    }

    fn warnings(findings: impl IntoIterator<Item = Finding>) -> Vec<String> {
        findings.into_iter().filter(|finding| finding.level == Level::Warning).map(|finding| finding.line()).collect()
    }

    /// The warning about the advertised host, or nothing.
    fn about(text: &str) -> String {
        let resolve: Resolver = |host| match host {
            "chat.example.com" => Ok(vec!["198.51.100.7".parse().unwrap()]),
            "inside.example.com" => Ok(vec!["10.1.2.3".parse().unwrap(), "fd00::1".parse().unwrap()]),
            "localhost" => Ok(vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()]),
            "empty.example.com" => Ok(Vec::new()),
            _ => Err(std::io::Error::other("no such name")),
        };
        warnings(advertised(&config(text), resolve)).join("\n")
    }

    const EVERYWHERE: &str = "[sip]\nlisten = [\"udp:0.0.0.0:5060\", \"tcp:0.0.0.0:5060\"]\n";
    const ADVERTISED: &str = "[msrp]\nlisten = \"0.0.0.0\"\nadvertise = \"chat.example.com\"\n";

    #[test]
    fn a_public_server_without_authentication_or_tls_is_a_warning() {
        assert!(exposure(&Config::default()).is_empty(), "loopback");
        let open = warnings(exposure(&config(&format!("{EVERYWHERE}{ADVERTISED}"))));
        assert_eq!(open.len(), 3, "{open:?}");
        assert!(open[0].starts_with("sip.auth: no authentication: anyone who reaches udp:0.0.0.0:5060"), "{open:?}");
        assert!(open[1].contains("calls are not encrypted") && open[2].contains("messages are not encrypted"));
        let passwords = "[sip.auth.users]\nalice = \"wonderland\"\n";
        let with_passwords = warnings(exposure(&config(&format!("{EVERYWHERE}{ADVERTISED}{passwords}"))));
        assert_eq!(with_passwords, open[1..]);
        let tls = "[tls]\ncertificate = \"c.pem\"\nprivate_key = \"k.pem\"\n";
        let both = format!("[sip]\nlisten = [\"tls:[::]:5061\"]\n{ADVERTISED}tls_port = 4855\n{tls}");
        assert!(warnings(exposure(&config(&both)))[0].contains("anyone who reaches tls:[::]:5061"));
        assert!(exposure(&config(&format!("{both}{passwords}"))).is_empty());
        let one = "[sip]\nlisten = [\"udp:127.0.0.1:5060\", \"udp:192.0.2.1:5060\"]";
        assert!(warnings(exposure(&config(one)))[0].contains("anyone who reaches udp:192.0.2.1:5060"));
    }

    #[test]
    fn the_advertised_host_is_resolved() {
        let everywhere =
            |host: &str| about(&format!("{EVERYWHERE}[msrp]\nlisten = \"0.0.0.0\"\nadvertise = \"{host}\"\n"));
        assert_eq!(everywhere("chat.example.com"), "");
        assert!(everywhere("no.example.com").starts_with("msrp.advertise: no.example.com cannot be resolved: no such"));
        assert!(everywhere("empty.example.com").contains("it has no address"));
        for local in ["localhost", "127.0.0.1", "[::1]"] {
            assert!(everywhere(local).contains("only clients on this machine"), "{local}");
        }
        for nowhere in ["0.0.0.0", "[::]"] {
            assert!(everywhere(nowhere).contains(&format!("clients cannot connect to {nowhere}")), "{nowhere}");
        }
        assert!(everywhere("10.1.2.3").contains("10.1.2.3 is in a private network: clients outside"));
    }

    #[test]
    fn a_private_host_of_a_public_server_is_a_warning() {
        let public = |host: &str| {
            about(&format!(
                "[sip]\nlisten = [\"udp:198.51.100.7:5060\"]\n[msrp]\nlisten = \"198.51.100.7\"\nadvertise = \"{host}\"\n"
            ))
        };
        for host in ["10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.1.1", "100.64.0.1", "[fd00::1]", "[fe80::1]"] {
            assert!(public(host).contains("private network"), "{host}");
        }
        assert!(
            public("inside.example.com").contains("inside.example.com (10.1.2.3, fd00::1) is in a private network")
        );
        assert_eq!((public("198.51.100.8"), public("chat.example.com")), (String::new(), String::new()));
        // Without advertise, the host is msrp.listen.
        let forgotten = about("[sip]\nlisten = [\"udp:198.51.100.7:5060\"]\n");
        assert!(forgotten.starts_with("msrp.listen: only clients on this machine"), "{forgotten}");
        assert!(
            about("[sip]\nlisten = [\"udp:198.51.100.7:5060\"]\n[msrp]\nlisten = \"10.0.0.1\"\n").contains("private")
        );
        // Between private addresses there is no warning.
        assert_eq!(about("[sip]\nlisten = [\"udp:10.0.0.1:5060\"]\n[msrp]\nlisten = \"10.0.0.1\"\n"), "");
        assert_eq!(about(""), "");
    }
}
