//! `[sip.auth]`: who has a password. What is wrong with an entry is told at its name: a password must not get into a log.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use precis_core::profile::PrecisFastInvocation;
use precis_profiles::{OpaqueString, UsernameCasePreserved};
use toml::de::DeValue;

use super::ConfigErrors;
use super::section::Section;
use super::values::text;
use crate::call::{Secret, Users};
use parlor_proto::sip::Algorithm;

/// `[sip.auth]`. Of passwords only their digests are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthConfig {
    /// Whose users they are; it is shown to them.
    pub realm: String,
    /// A file with more users.
    pub users_file: Option<PathBuf>,
    /// Where its name stands in the config.
    users_file_at: Option<Range<usize>>,
    /// The users by name.
    pub users: BTreeMap<String, Secret>,
}

impl AuthConfig {
    /// Reads the section. `realm` holds where it has none.
    pub(super) fn read(realm: &str, mut section: Section<'_, '_>) -> Self {
        let mut auth = Self { realm: realm.to_owned(), users_file: None, users_file_at: None, users: BTreeMap::new() };
        auth.users_file_at = section.span_of("users_file");
        section.value("realm", &mut auth.realm, |value| {
            let legal = |realm: &String| !realm.is_empty() && !realm.chars().any(char::is_control);
            text(value)
                .ok()
                .filter(legal)
                .ok_or_else(|| "a text for people, with a host name in it: \"example.com\"".into())
        });
        section.value("users_file", &mut auth.users_file, |value| {
            let path = text(value).ok().filter(|path| !path.is_empty());
            path.map(|path| Some(path.into())).ok_or_else(|| "the path of a TOML file: \"users.toml\"".into())
        });
        section.table("users", |section| auth.read_users(section));
        section.finish();
        auth
    }

    /// The users as the focus wants them.
    #[must_use]
    pub fn users(&self) -> Users {
        Users::new(&self.realm, self.users.clone())
    }

    /// Where the users file of a config is.
    #[must_use]
    pub fn users_path(&self, config: &Path) -> Option<PathBuf> {
        Some(config.parent().unwrap_or(Path::new("")).join(self.users_file.as_ref()?))
    }

    /// Adds the users of the file that is named; `config` is the config's own path, which it is looked for from, with its text.
    pub(super) fn read_users_file(&mut self, config: &Path, config_text: &str) -> Result<(), ConfigErrors> {
        let Some(path) = self.users_path(config) else { return Ok(()) };
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|error| {
            let config = (&*config.display().to_string(), config_text);
            ConfigErrors::users_unreadable(config, &path, &error, self.users_file_at.clone())
        })?;
        let mut errors = Vec::new();
        if let Some(root) = Section::root(&text, &mut errors) {
            self.read_users(root);
        }
        if errors.is_empty() { Ok(()) } else { Err(ConfigErrors::of_users(&name, &text, errors)) }
    }

    fn read_users(&mut self, mut section: Section<'_, '_>) {
        for (name, value, span) in section.remaining() {
            let secret = check_name(&name).and_then(|()| secret(&name, &self.realm, &value));
            match secret {
                Err(help) => section.refuse(&format!("the user {name} cannot be this"), &help, Some(span)),
                Ok(_) if self.users.contains_key(&name) => {
                    section.refuse(
                        &format!("the user {name} is there twice"),
                        "once, in the config or in the file",
                        Some(span),
                    );
                }
                Ok(secret) => drop(self.users.insert(name, secret)),
            }
        }
    }
}

/// RFC 7616 §4: what a name may have in it, and no colon.
fn check_name(name: &str) -> Result<(), String> {
    let legal = UsernameCasePreserved::enforce(name).is_ok_and(|enforced| enforced == name) && !name.contains(':');
    if legal { Ok(()) } else { Err("a name as it stands before the @ of a SIP address: alice".into()) }
}

fn secret(name: &str, realm: &str, value: &DeValue<'_>) -> Result<Secret, String> {
    match value {
        DeValue::String(password) => {
            let password = OpaqueString::enforce(password.as_ref()).map_err(|_| "a password, not empty".to_owned())?;
            Ok(Secret::of(name, realm, &password))
        }
        DeValue::Table(table) => {
            let mut secret = Secret::default();
            for (key, value) in table {
                let (place, algorithm) = match key.get_ref().as_ref() {
                    "ha1_sha256" => (&mut secret.sha256, Algorithm::Sha256),
                    "ha1_md5" => (&mut secret.md5, Algorithm::Md5),
                    _ => return Err("ha1_sha256, ha1_md5, or both".into()),
                };
                *place = Some(ha1(algorithm, value.get_ref())?);
            }
            if secret == Secret::default() { Err("ha1_sha256, ha1_md5, or both".into()) } else { Ok(secret) }
        }
        _ => Err("a password in quotes, or { ha1_sha256 = \"…\", ha1_md5 = \"…\" }".into()),
    }
}

fn ha1(algorithm: Algorithm, value: &DeValue<'_>) -> Result<String, String> {
    let legal = |digits: &&str| digits.len() == algorithm.digits() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let digits = value.as_str().filter(legal).map(str::to_ascii_lowercase);
    digits.ok_or_else(|| {
        format!("{} hexadecimal digits: {} of name:realm:password", algorithm.digits(), algorithm.name())
    })
}
