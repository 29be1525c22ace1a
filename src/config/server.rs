//! Reading `[sip]`, `[msrp]`, `[shards]` and `[log]`.

use std::time::Duration;

use super::section::Section;
use super::tables::{
    AuthConfig, COPY_BELOW_BYTES_MAX, LogConfig, LogFormat, LogLevel, MsrpConfig, SPIN_MAX, ShardsConfig, SipConfig,
};
use super::values::{
    address, connect_out, cores, duration, host, network, number, one_of, optional_host, parse_sip_listen, proxy,
    session_interval, size,
};
use crate::limits::OUTBOX_BYTES_MIN;
use crate::shard::Io;

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

impl SipConfig {
    /// Reads the section.
    pub fn read(&mut self, mut section: Section<'_, '_>) {
        let (listen_at, domains_at) = (section.span_of("listen"), section.span_of("domains"));
        section.list("listen", &mut self.listen, parse_sip_listen);
        section.list("domains", &mut self.domains, host);
        section.value("max_calls_per_second", &mut self.max_calls_per_second, number(0..=u32::MAX));
        section.value("outbound_proxy", &mut self.outbound_proxy, proxy);
        section.value("session_expires", &mut self.session_expires, session_interval);
        section.value("drain_timeout", &mut self.drain_timeout, duration(Duration::ZERO..=HOUR));
        if self.listen.is_empty() {
            section.refuse("sip.listen is empty", "expected at least one address: [\"udp:127.0.0.1:5060\"]", listen_at);
        }
        if self.domains.is_empty() {
            section.refuse("sip.domains is empty", "expected at least one host", domains_at);
        }
        section.list("trusted_peers", &mut self.trusted_peers, network);
        let realm = self.domains.first().cloned().unwrap_or_default();
        section.table("auth", |section| self.auth = Some(AuthConfig::read(&realm, section)));
        section.finish();
    }
}

impl MsrpConfig {
    /// Reads the section.
    pub fn read(&mut self, mut section: Section<'_, '_>) {
        let listen_at = section.span_of("listen");
        section.value("listen", &mut self.listen, address);
        section.value("port", &mut self.port, number(0..=u16::MAX));
        section.value("tls_port", &mut self.tls_port, number(0..=u16::MAX));
        section.value("connect_out", &mut self.connect_out, connect_out);
        section.value("advertise", &mut self.advertise, optional_host);
        section.value("bind_timeout", &mut self.bind_timeout, duration(SECOND..=HOUR));
        section.value("outbox_max", &mut self.outbox_max, size(OUTBOX_BYTES_MIN..=1 << 30));
        if self.listen.is_unspecified() && self.advertise.is_none() {
            let help = "set msrp.advertise to the host or address that clients connect to";
            section.refuse("clients cannot connect to an unspecified address", help, listen_at);
        }
        section.later_version(&["ws_port", "egress_per_second"]);
        section.finish();
    }
}

impl ShardsConfig {
    /// Reads the section.
    pub fn read(&mut self, mut section: Section<'_, '_>) {
        section.value("cores", &mut self.cores, cores);
        section.value(
            "io",
            &mut self.io,
            one_of(&[("ring", Io::Ring), ("glommio", Io::Glommio), ("epoll", Io::Epoll)]),
        );
        section.value("spin_before_park", &mut self.spin_before_park, duration(Duration::ZERO..=SPIN_MAX));
        section.value("ring_depth", &mut self.ring_depth, number(16..=4096));
        section.value("send_batch", &mut self.send_batch, number(1..=4096));
        section.value("copy_below", &mut self.copy_below, size(0..=COPY_BELOW_BYTES_MAX as usize));
        section.finish();
    }
}

impl LogConfig {
    /// Reads the section.
    pub fn read(&mut self, mut section: Section<'_, '_>) {
        const LEVELS: &[(&str, LogLevel)] = &[
            ("error", LogLevel::Error),
            ("warn", LogLevel::Warn),
            ("info", LogLevel::Info),
            ("debug", LogLevel::Debug),
            ("trace", LogLevel::Trace),
        ];
        section.value("level", &mut self.level, one_of(LEVELS));
        section.value("format", &mut self.format, one_of(&[("text", LogFormat::Text), ("json", LogFormat::Json)]));
        section.finish();
    }
}
