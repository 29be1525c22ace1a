//! Who can reach the server, and whether clients reach what it advertises.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use super::Finding;
use super::ports::shown;
use crate::config::{Config, SipTransport};

/// All of it; names are looked up.
pub(super) fn look(config: &Config) -> Vec<Finding> {
    let mut findings = exposure(config);
    findings.extend(advertised(config, |host| {
        // The port says nothing here, but a look-up wants one.
        (host, 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect())
    }));
    findings
}

/// Who can reach it, by what the config says.
pub(super) fn exposure(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let open = config.sip.listen.iter().copied().find(|listen| !is_local(listen.address.ip()));
    if let (Some(listen), None) = (open, &config.sip.auth) {
        let found = format!("whoever reaches {} can join, as anybody: nobody is asked for a password", shown(listen));
        findings.push(Finding::warning(
            "sip.auth",
            found,
            "add [sip.auth], or let only a network that you trust through",
        ));
    }
    let over_tls = |transport| transport == SipTransport::Tls;
    if let Some(listen) = open.filter(|_| !config.sip.listen.iter().any(|listen| over_tls(listen.transport))) {
        let found = format!("calls travel in the open over {}", shown(listen));
        findings.push(Finding::warning("sip.listen", found, "add [tls], and a tls: address to sip.listen"));
    }
    if config.msrp.tls_port == 0 && !is_local(config.msrp.listen) {
        let found =
            format!("messages travel in the open over {}", SocketAddr::new(config.msrp.listen, config.msrp.port));
        findings.push(Finding::warning("msrp.tls_port", found, "add [tls], and set msrp.tls_port"));
    }
    findings
}

/// What looks a name up.
type LookUp = fn(&str) -> std::io::Result<Vec<IpAddr>>;

/// Whether clients can connect to the host in `a=path`.
fn advertised(config: &Config, look_up: LookUp) -> Option<Finding> {
    let host = config.msrp.path_host();
    let key = if config.msrp.advertise.is_some() { "msrp.advertise" } else { "msrp.listen" };
    let public = config.sip.listen.iter().any(|listen| !is_local(listen.address.ip())) || !is_local(config.msrp.listen);
    let advice = "set msrp.advertise to the host or address that clients are to connect to";
    let addresses = match host.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(address) => vec![address],
        Err(_) => match look_up(&host) {
            Ok(addresses) if !addresses.is_empty() => addresses,
            outcome => {
                let why = outcome.err().map_or_else(|| "it has no address".to_owned(), |error| error.to_string());
                return Some(Finding::warning(key, format!("{host} cannot be looked up here: {why}"), advice));
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
        let found = format!("only clients on this machine can connect to {shown}, and others may call");
        return Some(Finding::warning(key, found, advice));
    }
    // One that listens on every address may be called from everywhere.
    let global = |address: IpAddr| !is_local(address) && !is_private(address);
    let open = config.sip.listen.iter().map(|listen| listen.address.ip()).chain([config.msrp.listen]);
    if open.into_iter().any(global) && all(|address| is_private(*address)) {
        let found = format!("{shown} is of a private network: clients elsewhere cannot connect to it");
        return Some(Finding::warning(key, found, format!("{advice}, if any are elsewhere")));
    }
    config.msrp.advertise.is_some().then(|| Finding::ok(key, shown))
}

fn is_local(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Addresses that only a network of its own knows: RFC 1918, 3927, 4193, 4291 §2.5.6 and 6598.
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
    use super::super::Level;
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse("test", text).unwrap()
    }

    fn warnings(findings: impl IntoIterator<Item = Finding>) -> Vec<String> {
        findings.into_iter().filter(|finding| finding.level == Level::Warning).map(|finding| finding.line()).collect()
    }

    /// The one warning about what is advertised, or nothing.
    fn about(text: &str) -> String {
        let look_up: LookUp = |host| match host {
            "chat.example.com" => Ok(vec!["198.51.100.7".parse().unwrap()]),
            "inside.example.com" => Ok(vec!["10.1.2.3".parse().unwrap(), "fd00::1".parse().unwrap()]),
            "localhost" => Ok(vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()]),
            "empty.example.com" => Ok(Vec::new()),
            _ => Err(std::io::Error::other("no such name")),
        };
        warnings(advertised(&config(text), look_up)).join("\n")
    }

    const EVERYWHERE: &str = "[sip]\nlisten = [\"udp:0.0.0.0:5060\", \"tcp:0.0.0.0:5060\"]\n";
    const ADVERTISED: &str = "[msrp]\nlisten = \"0.0.0.0\"\nadvertise = \"chat.example.com\"\n";

    #[test]
    fn what_everybody_reaches_without_a_password_or_tls_is_told() {
        assert!(exposure(&Config::default()).is_empty(), "loopback");
        let open = warnings(exposure(&config(&format!("{EVERYWHERE}{ADVERTISED}"))));
        assert_eq!(open.len(), 3, "{open:?}");
        assert!(open[0].starts_with("sip.auth: whoever reaches udp:0.0.0.0:5060 can join"), "{open:?}");
        assert!(open[1].contains("calls travel in the open") && open[2].contains("messages travel in the open"));
        let passwords = "[sip.auth.users]\nalice = \"wonderland\"\n";
        let with_passwords = warnings(exposure(&config(&format!("{EVERYWHERE}{ADVERTISED}{passwords}"))));
        assert_eq!(with_passwords, open[1..]);
        let tls = "[tls]\ncertificate = \"c.pem\"\nprivate_key = \"k.pem\"\n";
        let both = format!("[sip]\nlisten = [\"tls:[::]:5061\"]\n{ADVERTISED}tls_port = 4855\n{tls}");
        assert!(warnings(exposure(&config(&both)))[0].contains("whoever reaches tls:[::]:5061"));
        assert!(exposure(&config(&format!("{both}{passwords}"))).is_empty());
        // One address is as open as all of them.
        let one = "[sip]\nlisten = [\"udp:127.0.0.1:5060\", \"udp:192.0.2.1:5060\"]";
        assert!(warnings(exposure(&config(one)))[0].contains("whoever reaches udp:192.0.2.1:5060"));
    }

    #[test]
    fn what_is_advertised_is_looked_up() {
        let everywhere =
            |host: &str| about(&format!("{EVERYWHERE}[msrp]\nlisten = \"0.0.0.0\"\nadvertise = \"{host}\"\n"));
        assert_eq!(everywhere("chat.example.com"), "");
        assert!(
            everywhere("no.example.com")
                .starts_with("msrp.advertise: no.example.com cannot be looked up here: no such")
        );
        assert!(everywhere("empty.example.com").contains("it has no address"));
        for local in ["localhost", "127.0.0.1", "[::1]"] {
            assert!(everywhere(local).contains("only clients on this machine"), "{local}");
        }
        for nowhere in ["0.0.0.0", "[::]"] {
            assert!(everywhere(nowhere).contains(&format!("clients cannot connect to {nowhere}")), "{nowhere}");
        }
        assert!(everywhere("10.1.2.3").contains("10.1.2.3 is of a private network: clients elsewhere"));
    }

    #[test]
    fn a_private_address_is_no_use_to_who_calls_a_public_one() {
        let public = |host: &str| {
            about(&format!(
                "[sip]\nlisten = [\"udp:198.51.100.7:5060\"]\n[msrp]\nlisten = \"198.51.100.7\"\nadvertise = \"{host}\"\n"
            ))
        };
        for host in ["10.1.2.3", "192.168.0.1", "172.16.0.1", "169.254.1.1", "100.64.0.1", "[fd00::1]", "[fe80::1]"] {
            assert!(public(host).contains("private network"), "{host}");
        }
        assert!(
            public("inside.example.com").contains("inside.example.com (10.1.2.3, fd00::1) is of a private network")
        );
        assert_eq!((public("198.51.100.8"), public("chat.example.com")), (String::new(), String::new()));
        // Without advertise, messages go where msrp.listen is.
        let forgotten = about("[sip]\nlisten = [\"udp:198.51.100.7:5060\"]\n");
        assert!(forgotten.starts_with("msrp.listen: only clients on this machine"), "{forgotten}");
        assert!(
            about("[sip]\nlisten = [\"udp:198.51.100.7:5060\"]\n[msrp]\nlisten = \"10.0.0.1\"\n").contains("private")
        );
        // Between private addresses there is nothing to say.
        assert_eq!(about("[sip]\nlisten = [\"udp:10.0.0.1:5060\"]\n[msrp]\nlisten = \"10.0.0.1\"\n"), "");
        assert_eq!(about(""), "");
    }
}
