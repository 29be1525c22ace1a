//! Reading `[tls]`, and checks of keys that need it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::section::{Read, Section};
use super::tables::{Config, SipTransport, TlsConfig};
use super::values::text;
use parlor_proto::sip::{Transport, transport_of, uri};
use toml::de::DeValue;

/// The positions of keys that are checked together. They are found before reading, which removes the keys.
pub struct Positions {
    /// `sip.listen`.
    pub listen: Option<Range<usize>>,
    proxy: Option<Range<usize>>,
    tls_port: Option<Range<usize>>,
    rooms: Option<Range<usize>>,
}

impl Positions {
    /// Finds the keys in the file.
    pub fn find(root: &Section<'_, '_>) -> Self {
        Self {
            listen: root.span_within("sip", "listen"),
            proxy: root.span_within("sip", "outbound_proxy"),
            tls_port: root.span_within("msrp", "tls_port"),
            rooms: root.span_of("rooms"),
        }
    }
}

impl TlsConfig {
    /// Reads the section.
    pub fn read(mut section: Section<'_, '_>) -> Self {
        let (mut certificate, mut private_key, mut authorities) = (PathBuf::new(), PathBuf::new(), None);
        let (has_certificate, has_key) = (section.span_of("certificate"), section.span_of("private_key"));
        section.value("certificate", &mut certificate, path);
        section.value("private_key", &mut private_key, path);
        section.value("authorities", &mut authorities, |value| path(value).map(Some));
        if has_certificate.is_none() {
            section.refuse("missing key `tls.certificate`", "add `certificate = \"cert.pem\"`", has_key.clone());
        }
        if has_key.is_none() {
            section.refuse("missing key `tls.private_key`", "add `private_key = \"key.pem\"`", has_certificate);
        }
        section.finish();
        Self { certificate, private_key, authorities }
    }

    /// Makes the paths relative to a folder.
    pub fn relative_to(&mut self, folder: &Path) {
        self.certificate = folder.join(&self.certificate);
        self.private_key = folder.join(&self.private_key);
        self.authorities = self.authorities.take().map(|path| folder.join(path));
    }
}

fn path(value: &DeValue<'_>) -> Read<PathBuf> {
    text(value)
        .ok()
        .filter(|text| !text.is_empty())
        .map(PathBuf::from)
        .ok_or_else(|| "expected a path in quotes".into())
}

/// Reports keys that need a certificate or a TLS port and have none.
pub fn check_tls(config: &Config, root: &mut Section<'_, '_>, positions: &Positions) {
    if config.tls.is_none() && config.uses_tls() {
        let (key, at) = match config.msrp.tls_port {
            0 => ("a tls: address in sip.listen", positions.listen.clone()),
            _ => ("msrp.tls_port", positions.tls_port.clone()),
        };
        let help = "add [tls] with certificate and private_key";
        root.refuse(&format!("{key} needs a certificate"), help, at);
    }
    let proxy = config.sip.outbound_proxy.as_deref().and_then(uri);
    let listens = config.sip.listen.iter().any(|listen| listen.transport == SipTransport::Tls);
    if proxy.is_some_and(|proxy| transport_of(&proxy) == Some(Transport::Tls)) && !listens {
        let help = "add a tls: address to sip.listen, which the proxy can reach";
        root.refuse("sip.outbound_proxy uses TLS, but no address listens for TLS", help, positions.proxy.clone());
    }
    let mut policies = std::iter::once(&config.rooms.defaults).chain(config.rooms.named.values());
    if config.msrp.tls_port == 0 && policies.any(|policy| policy.force_tls) {
        let help = "set msrp.tls_port, and [tls] with certificate and private_key";
        root.refuse("force_tls without msrp.tls_port refuses every call", help, positions.rooms.clone());
    }
}
