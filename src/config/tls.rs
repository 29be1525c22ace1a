//! `[tls]`, and what only makes sense with it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::section::{Read, Section};
use super::values::text;
use super::{Config, SipTransport};
use parlor_proto::sip::{Transport, transport_of, uri};
use toml::de::DeValue;

/// `[tls]`: what the server shows of itself. Paths are relative to the config file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// The certificate, with those that vouch for it behind it (PEM).
    pub certificate: PathBuf,
    /// Its private key (PEM).
    pub private_key: PathBuf,
    /// Authorities to believe beside the system's, where the server connects to somebody (PEM).
    pub authorities: Option<PathBuf>,
}

/// Where the keys stand that checks of several find fault with; reading takes them away.
pub(super) struct Places {
    pub(super) listen: Option<Range<usize>>,
    proxy: Option<Range<usize>>,
    tls_port: Option<Range<usize>>,
    rooms: Option<Range<usize>>,
}

impl Places {
    pub(super) fn of(root: &Section<'_, '_>) -> Self {
        Self {
            listen: root.span_within("sip", "listen"),
            proxy: root.span_within("sip", "outbound_proxy"),
            tls_port: root.span_within("msrp", "tls_port"),
            rooms: root.span_of("rooms"),
        }
    }
}

impl TlsConfig {
    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let (mut certificate, mut private_key, mut authorities) = (PathBuf::new(), PathBuf::new(), None);
        let (has_certificate, has_key) = (section.span_of("certificate"), section.span_of("private_key"));
        section.value("certificate", &mut certificate, path);
        section.value("private_key", &mut private_key, path);
        section.value("authorities", &mut authorities, |value| path(value).map(Some));
        if has_certificate.is_none() {
            section.refuse("[tls] has no certificate", "certificate = \"cert.pem\"", has_key.clone());
        }
        if has_key.is_none() {
            section.refuse("[tls] has no private_key", "private_key = \"key.pem\"", has_certificate);
        }
        section.finish();
        Self { certificate, private_key, authorities }
    }

    pub(super) fn relative_to(&mut self, folder: &Path) {
        self.certificate = folder.join(&self.certificate);
        self.private_key = folder.join(&self.private_key);
        self.authorities = self.authorities.take().map(|path| folder.join(path));
    }
}

fn path(value: &DeValue<'_>) -> Read<PathBuf> {
    text(value).ok().filter(|text| !text.is_empty()).map(PathBuf::from).ok_or_else(|| "a path in quotes".into())
}

impl Config {
    /// Whether anything here goes over TLS.
    #[must_use]
    pub fn wants_tls(&self) -> bool {
        self.msrp.tls_port != 0 || self.sip.listen.iter().any(|listen| listen.transport == SipTransport::Tls)
    }

    /// Refuses what cannot be without a certificate, or without a port.
    pub(super) fn check_tls(&self, root: &mut Section<'_, '_>, places: &Places) {
        if self.tls.is_none() && self.wants_tls() {
            let (key, at) = match self.msrp.tls_port {
                0 => ("a tls: address in sip.listen", places.listen.clone()),
                _ => ("msrp.tls_port", places.tls_port.clone()),
            };
            let help = "add [tls] with certificate and private_key";
            root.refuse(&format!("{key} needs a certificate"), help, at);
        }
        let proxy = self.sip.outbound_proxy.as_deref().and_then(uri);
        let listens = self.sip.listen.iter().any(|listen| listen.transport == SipTransport::Tls);
        if proxy.is_some_and(|proxy| transport_of(&proxy) == Some(Transport::Tls)) && !listens {
            let help = "add a tls: address to sip.listen, where the proxy can reach this server";
            root.refuse("sip.outbound_proxy is called over TLS", help, places.proxy.clone());
        }
        let mut policies = std::iter::once(&self.rooms.defaults).chain(self.rooms.named.values());
        if self.msrp.tls_port == 0 && policies.any(|policy| policy.force_tls) {
            let help = "set msrp.tls_port, and [tls] with certificate and private_key";
            root.refuse("force_tls without a port for TLS keeps everybody out", help, places.rooms.clone());
        }
    }
}
