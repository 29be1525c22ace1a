//! Reading a config file: TOML to [`Config`], and checks of keys that depend on each other.

use std::path::Path;

use super::errors::ConfigErrors;
use super::section::Section;
use super::tables::{Config, TlsConfig};
use super::tls::{Positions, check_tls};

impl Config {
    /// Reads a config file and its users file.
    ///
    /// # Errors
    /// Returns all errors in the files, or the error of reading them.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let name = path.display().to_string();
        let octets = std::fs::read(path).map_err(|error| ConfigErrors::unreadable(&name, &error))?;
        let text = String::from_utf8(octets).map_err(|error| ConfigErrors::not_utf8(&name, &error))?;
        let mut config = Self::parse(&name, &text)?;
        if let Some(auth) = &mut config.sip.auth {
            auth.read_users_file(path, &text)?;
        }
        if let (Some(tls), Some(folder)) = (&mut config.tls, path.parent()) {
            tls.relative_to(folder);
        }
        Ok(config)
    }

    /// Parses a config without reading other files. `name` is used in errors.
    ///
    /// # Errors
    /// Returns all errors in the text.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigErrors> {
        let mut errors = Vec::new();
        let mut config = Self::default();
        if let Some(root) = Section::root(text, &mut errors) {
            config.read(root);
        }
        if errors.is_empty() { Ok(config) } else { Err(ConfigErrors::new(name, text, errors)) }
    }

    fn read(&mut self, mut root: Section<'_, '_>) {
        let positions = Positions::find(&root);
        root.table("sip", |section| self.sip.read(section));
        root.table("msrp", |section| self.msrp.read(section));
        root.table("tls", |section| self.tls = Some(TlsConfig::read(section)));
        root.table("shards", |section| self.shards.read(section));
        root.table("log", |section| self.log.read(section));
        root.table("rooms", |section| self.rooms.read(section));
        root.later_version(&["http"]);
        check_tls(self, &mut root, &positions);
        let wildcard = self.sip.listen.iter().any(|listen| listen.address.ip().is_unspecified());
        if wildcard && self.msrp.advertise.is_none() && self.msrp.listen.is_loopback() {
            let help = "set msrp.advertise to the host or address that clients connect to, and msrp.listen";
            root.refuse("SIP listens on all addresses, but MSRP on loopback only", help, positions.listen);
        }
        root.finish();
    }
}
