//! Checks of the certificate of `[tls]`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::finding::Finding;
use crate::config::Config;
use crate::tls::{Identity, Trust};

/// Remaining days below which a certificate is a warning.
const EXPIRY_WARNING_DAYS: i64 = 30;
const DAY_SECONDS: i64 = 24 * 3600;

/// All checks of the certificate and its key.
pub fn check(config: &Config) -> Vec<Finding> {
    let Some(tls) = &config.tls else { return Vec::new() };
    let mut findings = vec![match Identity::load(&tls.certificate, &tls.private_key) {
        Err(error) => Finding::error("tls", error.to_string(), "set tls.certificate and tls.private_key"),
        Ok(identity) => check_validity(&identity, now()),
    }];
    if let Ok(identity) = Identity::load(&tls.certificate, &tls.private_key) {
        findings.extend(check_names(&identity, config));
    }
    findings.extend(check_mode(&tls.private_key));
    if let Err(error) = Trust::load(tls.authorities.as_deref()) {
        findings.push(Finding::error("tls authorities", error, "set tls.authorities to a PEM file, or leave it out"));
    }
    if !config.uses_tls() {
        let advice = "set msrp.tls_port, or a tls: address in sip.listen";
        findings.push(Finding::warning("tls", "no address uses the certificate", advice));
    }
    findings
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

/// Why a certificate is not valid at the moment: `ended 3 days ago`, `begins in a day`.
pub fn validity_error(identity: &Identity) -> Option<String> {
    validity_error_at(identity, now())
}

fn validity_error_at(identity: &Identity, now: i64) -> Option<String> {
    if now > identity.expires {
        Some(format!("ended {} ago", days(now - identity.expires)))
    } else if now < identity.begins {
        Some(format!("begins in {}; is the clock right?", days(identity.begins - now)))
    } else {
        None
    }
}

fn days(seconds: i64) -> String {
    match seconds / DAY_SECONDS {
        0 => "less than a day".into(),
        1 => "a day".into(),
        days => format!("{days} days"),
    }
}

fn check_validity(identity: &Identity, now: i64) -> Finding {
    let advice = "renew it, and send HUP to the running server";
    let left = identity.expires - now;
    match validity_error_at(identity, now) {
        Some(why) => Finding::error("tls certificate", format!("it {why}"), advice),
        None if left < EXPIRY_WARNING_DAYS * DAY_SECONDS => {
            Finding::warning("tls certificate", format!("it ends in {}", days(left)), advice)
        }
        None => Finding::ok("tls certificate", format!("good for {}", days(left))),
    }
}

/// Whether the certificate has the names that clients verify.
fn check_names(identity: &Identity, config: &Config) -> Vec<Finding> {
    let mut wanted: Vec<String> = Vec::new();
    if config.msrp.tls_port != 0 {
        wanted.push(config.msrp.path_host());
    }
    if config.sip.listen.iter().any(|listen| listen.transport == crate::config::SipTransport::Tls) {
        wanted.extend(config.sip.domains.iter().cloned());
    }
    let plain = |name: &String| name.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    let mut wanted: Vec<String> = wanted.iter().map(plain).collect();
    wanted.sort();
    wanted.dedup();
    let missing = wanted.into_iter().filter(|name| !identity.names.iter().any(|own| covers(own, name)));
    let finding = |name: String| {
        let advice = "clients that verify names will not connect; add the name to subjectAltName";
        Finding::warning("tls certificate", format!("it does not name {name}"), advice)
    };
    missing.map(finding).collect()
}

/// A wildcard covers one label (RFC 6125 §6.4.3).
fn covers(own: &str, name: &str) -> bool {
    own == name
        || own.strip_prefix("*.").is_some_and(|domain| name.split_once('.').is_some_and(|(_, rest)| rest == domain))
}

fn check_mode(key: &Path) -> Option<Finding> {
    let mode = std::fs::metadata(key).ok()?.permissions().mode();
    (mode & 0o007 != 0).then(|| {
        let advice = format!("chmod o= {}", key.display());
        Finding::warning("tls private_key", "everyone on this machine can read it", advice)
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn wildcards_cover_one_label() {
        assert!(covers("chat.example.com", "chat.example.com") && covers("*.example.com", "chat.example.com"));
        assert!(!covers("*.example.com", "example.com") && !covers("*.example.com", "a.b.example.com"));
    }

    #[test]
    fn a_certificate_near_its_expiry_is_a_warning() {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let identity = Identity::load(&certificate, &key).unwrap();
        assert_eq!(identity.names, ["localhost"]);
        let level = |before: i64| check_validity(&identity, identity.expires - before).level;
        assert_eq!(level(40 * DAY_SECONDS), Level::Ok);
        assert_eq!(level(3 * DAY_SECONDS), Level::Warning);
        assert_eq!(level(-1), Level::Error);
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(check_mode(&key).is_some());
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(check_mode(&key), None);
    }
}
