//! Reading `[sip.auth]` and the users file. The error of an entry points at its name: errors are logged, passwords must not be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use precis_core::profile::PrecisFastInvocation;
use precis_profiles::{OpaqueString, UsernameCasePreserved};
use toml::de::DeValue;

use super::errors::ConfigErrors;
use super::section::Section;
use super::tables::AuthConfig;
use super::values::text;
use crate::call::{Secret, Users};
use parlor_proto::sip::Algorithm;

impl AuthConfig {
    /// Reads the section. `realm` is the default.
    pub fn read(realm: &str, mut section: Section<'_, '_>) -> Self {
        let mut auth =
            Self { realm: realm.to_owned(), users_file: None, users_file_span: None, users: BTreeMap::new() };
        auth.users_file_span = section.span_of("users_file");
        section.value("realm", &mut auth.realm, |value| {
            let legal = |realm: &String| !realm.is_empty() && !realm.chars().any(char::is_control);
            text(value).ok().filter(legal).ok_or_else(|| {
                "expected a non-empty string without control characters, for example a host name: \"example.com\""
                    .into()
            })
        });
        section.value("users_file", &mut auth.users_file, |value| {
            let path = text(value).ok().filter(|path| !path.is_empty());
            path.map(|path| Some(path.into())).ok_or_else(|| "expected the path of a TOML file: \"users.toml\"".into())
        });
        section.table("users", |section| auth.read_users(section));
        section.finish();
        auth
    }

    /// The users for the focus.
    #[must_use]
    pub fn users(&self) -> Users {
        Users::new(&self.realm, self.users.clone())
    }

    /// The path of the users file; `config` is that of the config file.
    #[must_use]
    pub fn users_path(&self, config: &Path) -> Option<PathBuf> {
        Some(config.parent().unwrap_or(Path::new("")).join(self.users_file.as_ref()?))
    }

    /// Adds the users of the users file. `config` and `config_text` are the path and the text of the config file.
    ///
    /// # Errors
    /// Returns all errors in the users file, or the error of reading it.
    pub fn read_users_file(&mut self, config: &Path, config_text: &str) -> Result<(), ConfigErrors> {
        let Some(path) = self.users_path(config) else { return Ok(()) };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let config = (&*config.display().to_string(), config_text);
            ConfigErrors::users_file_unreadable(config, &path, &error, self.users_file_span.clone())
        })?;
        let mut errors = Vec::new();
        if let Some(root) = Section::root(&text, &mut errors) {
            self.read_users(root);
        }
        if errors.is_empty() { Ok(()) } else { Err(ConfigErrors::of_users_file(&name, &text, errors)) }
    }

    fn read_users(&mut self, mut section: Section<'_, '_>) {
        for (name, value, span) in section.remaining() {
            let secret = check_name(&name).and_then(|()| secret(&name, &self.realm, &value));
            match secret {
                Err(help) => section.refuse(&format!("invalid entry for user `{name}`"), &help, Some(span)),
                Ok(_) if self.users.contains_key(&name) => {
                    section.refuse(
                        &format!("duplicate user `{name}`"),
                        "expected each user once, in the config or in the users file",
                        Some(span),
                    );
                }
                Ok(secret) => drop(self.users.insert(name, secret)),
            }
        }
    }
}

/// Checks a user name (RFC 7616 §4): no colon.
fn check_name(name: &str) -> Result<(), String> {
    let legal = UsernameCasePreserved::enforce(name).is_ok_and(|enforced| enforced == name) && !name.contains(':');
    if legal { Ok(()) } else { Err("expected a user name, as before the @ of a SIP address: alice".into()) }
}

fn secret(name: &str, realm: &str, value: &DeValue<'_>) -> Result<Secret, String> {
    match value {
        DeValue::String(password) => {
            let password =
                OpaqueString::enforce(password.as_ref()).map_err(|_| "expected a non-empty password".to_owned())?;
            Ok(Secret::of(name, realm, &password))
        }
        DeValue::Table(table) => {
            let mut secret = Secret::default();
            for (key, value) in table {
                let (place, algorithm) = match key.get_ref().as_ref() {
                    "ha1_sha256" => (&mut secret.sha256, Algorithm::Sha256),
                    "ha1_md5" => (&mut secret.md5, Algorithm::Md5),
                    _ => return Err("expected ha1_sha256, ha1_md5, or both".into()),
                };
                *place = Some(ha1(algorithm, value.get_ref())?);
            }
            if secret == Secret::default() { Err("expected ha1_sha256, ha1_md5, or both".into()) } else { Ok(secret) }
        }
        _ => Err("expected a password in quotes, or { ha1_sha256 = \"…\", ha1_md5 = \"…\" }".into()),
    }
}

fn ha1(algorithm: Algorithm, value: &DeValue<'_>) -> Result<String, String> {
    let legal = |digits: &&str| digits.len() == algorithm.digits() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let digits = value.as_str().filter(legal).map(str::to_ascii_lowercase);
    digits.ok_or_else(|| {
        format!("expected {} hexadecimal digits: {} of name:realm:password", algorithm.digits(), algorithm.name())
    })
}
