//! The names in a certificate (RFC 5922 §7, RFC 8122 §6.1).

use std::net::IpAddr;

use rustls_pki_types::ServerName;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The subject alternative names of a certificate.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// SIP domains, from URIs without a user.
    domains: Vec<String>,
    /// DNS names, in lower case.
    hosts: Vec<String>,
    addresses: Vec<IpAddr>,
}

impl Names {
    /// The names of a certificate in DER form; none if it cannot be parsed.
    pub fn of_der(certificate: &[u8]) -> Self {
        X509Certificate::from_der(certificate).map(|(_, parsed)| Self::of(&parsed)).unwrap_or_default()
    }

    /// The names of a certificate.
    pub fn of(certificate: &X509Certificate<'_>) -> Self {
        let mut all = Self::default();
        let Ok(Some(extension)) = certificate.subject_alternative_name() else { return all };
        for name in &extension.value.general_names {
            match name {
                GeneralName::DNSName(name) => all.hosts.push(plain(name)),
                GeneralName::URI(uri) => all.domains.extend(domain(uri)),
                GeneralName::IPAddress(octets) => all.addresses.extend(address(octets)),
                _ => {}
            }
        }
        all
    }

    /// Whether they contain a host. Wildcards do not match; DNS names count only if there is no SIP domain (RFC 5922 §7.1, §7.2).
    pub fn contain(&self, host: &ServerName<'_>) -> bool {
        match host {
            ServerName::DnsName(name) => self.names().contains(&plain(name.as_ref())),
            ServerName::IpAddress(address) => self.addresses.contains(&IpAddr::from(*address)),
            _ => false,
        }
    }

    /// The names and addresses as text.
    pub fn to_strings(&self) -> Vec<String> {
        self.names().iter().cloned().chain(self.addresses.iter().map(IpAddr::to_string)).collect()
    }

    fn names(&self) -> &[String] {
        if self.domains.is_empty() { &self.hosts } else { &self.domains }
    }
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// The host of a SIP URI that has no user.
fn domain(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once(':')?;
    let host = rest.split([';', '?', ':']).next().filter(|host| !host.is_empty())?;
    (scheme.eq_ignore_ascii_case("sip") && !rest.contains('@')).then(|| plain(host))
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(octets).ok().map(IpAddr::from);
    v4().or_else(|| <[u8; 16]>::try_from(octets).ok().map(IpAddr::from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, SanType};

    fn names(names: &[SanType]) -> Names {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.to_vec();
        Names::of_der(params.self_signed(&KeyPair::generate().unwrap()).unwrap().der())
    }

    fn dns(name: &str) -> SanType {
        SanType::DnsName(name.try_into().unwrap())
    }

    fn uri(uri: &str) -> SanType {
        SanType::URI(uri.try_into().unwrap())
    }

    fn has(names: &Names, host: &str) -> bool {
        names.contain(&ServerName::try_from(host.to_owned()).unwrap())
    }

    #[test]
    fn names_match_exactly_and_not_by_wildcards() {
        let all = names(&[dns("Chat.Example.com"), dns("*.wild.example")]);
        assert!(has(&all, "chat.example.COM"));
        for other in ["example.com", "a.chat.example.com", "a.wild.example", "wild.example"] {
            assert!(!has(&all, other), "{other}");
        }
    }

    #[test]
    fn dns_names_count_without_sip_domains_only() {
        let all = names(&[uri("SIP:example.com"), dns("host.example.com")]);
        assert!(has(&all, "example.com") && !has(&all, "host.example.com"));
        assert_eq!(all.to_strings(), ["example.com"]);
        for no_domain in ["sip:alice@example.com", "sips:example.com", "https://example.com", "im:example.com"] {
            let all = names(&[uri(no_domain), dns("host.example.com")]);
            assert!(!has(&all, "example.com") && has(&all, "host.example.com"), "{no_domain}");
        }
    }

    #[test]
    fn addresses_match_address_entries_only() {
        let all = names(&[
            SanType::IpAddress("192.0.2.7".parse().unwrap()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
        ]);
        assert!(has(&all, "192.0.2.7") && has(&all, "2001:db8::1") && !has(&all, "192.0.2.8"));
        assert!(!has(&names(&[uri("sip:192.0.2.7")]), "192.0.2.7"));
        assert_eq!(Names::of_der(b"no certificate"), Names::default());
    }
}
