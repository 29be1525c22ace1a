//! The keys whose changes need a restart.

use super::tables::{Config, LogConfig, MsrpConfig, ShardsConfig, SipConfig, TlsConfig};

/// The keys that differ.
#[derive(Default)]
struct Keys(Vec<&'static str>);

impl Keys {
    fn compare<T: PartialEq>(&mut self, key: &'static str, old: &T, new: &T) {
        if old != new {
            self.0.push(key);
        }
    }
}

impl Config {
    /// The keys that differ in `new` and need a restart. Rooms, policies, users, the certificate and the log level are reloaded
    /// instead.
    #[must_use]
    pub fn needs_restart(&self, new: &Self) -> Vec<&'static str> {
        let Self { sip, msrp, tls, shards, log, rooms: _ } = self;
        let mut keys = Keys::default();
        sip.compare(&new.sip, &mut keys);
        msrp.compare(&new.msrp, &mut keys);
        match (tls, &new.tls) {
            (Some(tls), Some(new)) => tls.compare(new, &mut keys),
            (old, new) => keys.compare("tls", &old.is_some(), &new.is_some()),
        }
        shards.compare(&new.shards, &mut keys);
        let LogConfig { level: _, format } = log;
        keys.compare("log.format", format, &new.log.format);
        keys.0
    }
}

// The patterns are exhaustive: a new key does not compile until it is listed here.

impl SipConfig {
    fn compare(&self, new: &Self, keys: &mut Keys) {
        let Self {
            listen,
            domains,
            trusted_peers,
            auth: _,
            outbound_proxy,
            max_calls_per_second,
            session_expires,
            drain_timeout,
        } = self;
        keys.compare("sip.listen", listen, &new.listen);
        keys.compare("sip.domains", domains, &new.domains);
        keys.compare("sip.trusted_peers", trusted_peers, &new.trusted_peers);
        keys.compare("sip.outbound_proxy", outbound_proxy, &new.outbound_proxy);
        keys.compare("sip.max_calls_per_second", max_calls_per_second, &new.max_calls_per_second);
        keys.compare("sip.session_expires", session_expires, &new.session_expires);
        keys.compare("sip.drain_timeout", drain_timeout, &new.drain_timeout);
    }
}

impl MsrpConfig {
    fn compare(&self, new: &Self, keys: &mut Keys) {
        let Self { listen, port, tls_port, connect_out, advertise, bind_timeout, outbox_max } = self;
        keys.compare("msrp.listen", listen, &new.listen);
        keys.compare("msrp.port", port, &new.port);
        keys.compare("msrp.tls_port", tls_port, &new.tls_port);
        keys.compare("msrp.connect_out", connect_out, &new.connect_out);
        keys.compare("msrp.advertise", advertise, &new.advertise);
        keys.compare("msrp.bind_timeout", bind_timeout, &new.bind_timeout);
        keys.compare("msrp.outbox_max", outbox_max, &new.outbox_max);
    }
}

impl TlsConfig {
    fn compare(&self, new: &Self, keys: &mut Keys) {
        let Self { certificate: _, private_key: _, authorities } = self;
        keys.compare("tls.authorities", authorities, &new.authorities);
    }
}

impl ShardsConfig {
    fn compare(&self, new: &Self, keys: &mut Keys) {
        let Self { cores, io, spin_before_park, ring_depth, send_batch, copy_below } = self;
        keys.compare("shards.cores", cores, &new.cores);
        keys.compare("shards.io", io, &new.io);
        keys.compare("shards.spin_before_park", spin_before_park, &new.spin_before_park);
        keys.compare("shards.ring_depth", ring_depth, &new.ring_depth);
        keys.compare("shards.send_batch", send_batch, &new.send_batch);
        keys.compare("shards.copy_below", copy_below, &new.copy_below);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse("parlor.toml", text).unwrap()
    }

    #[test]
    fn keys_that_need_a_restart_are_named() {
        let tls = "[tls]\ncertificate = \"c.pem\"\nprivate_key = \"k.pem\"\n";
        let old = config("");
        for (text, keys) in [
            ("[sip]\ndomains = [\"a\"]\ndrain_timeout = \"1s\"\n", &["sip.domains", "sip.drain_timeout"][..]),
            ("[sip]\nlisten = [\"udp:127.0.0.1:5070\"]\n", &["sip.listen"]),
            ("[msrp]\nport = 1\nadvertise = \"h\"\n", &["msrp.port", "msrp.advertise"]),
            ("[shards]\nio = \"glommio\"\nring_depth = 64\n", &["shards.io", "shards.ring_depth"]),
            ("[log]\nformat = \"json\"\n", &["log.format"]),
        ] {
            assert_eq!(old.needs_restart(&config(text)), keys, "{text}");
            assert_eq!(config(text).needs_restart(&old), keys, "back: {text}");
        }
        let with_tls = Config { tls: config(&format!("[msrp]\ntls_port = 1\n{tls}")).tls, ..Config::default() };
        assert_eq!(old.needs_restart(&with_tls), ["tls"]);
    }

    #[test]
    fn reloaded_keys_need_no_restart() {
        let old = config("");
        for text in [
            "[log]\nlevel = \"debug\"\n",
            "[rooms]\non_demand = false\n[rooms.defaults]\nnicknames = false\n",
            "[sip.auth]\nrealm = \"r\"\n[sip.auth.users]\nal = \"s3cret\"\n",
        ] {
            assert!(old.needs_restart(&config(text)).is_empty(), "{text}");
        }
    }
}
