//! The certificate of `[tls]`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Finding;
use crate::config::Config;
use crate::tls::{Identity, Trust};

/// Less time than this before a certificate ends is worth a warning.
const SOON_DAYS: i64 = 30;
const DAY_SECONDS: i64 = 24 * 3600;

pub(super) fn look(config: &Config) -> Vec<Finding> {
    let Some(tls) = &config.tls else { return Vec::new() };
    let mut findings = vec![match Identity::load(&tls.certificate, &tls.private_key) {
        Err(error) => Finding::error("tls", error.to_string(), "set tls.certificate and tls.private_key"),
        Ok(identity) => judge_time(&identity, now()),
    }];
    if let Ok(identity) = Identity::load(&tls.certificate, &tls.private_key) {
        findings.extend(judge_names(&identity, config));
    }
    findings.extend(judge_mode(&tls.private_key));
    if let Err(error) = Trust::load(tls.authorities.as_deref()) {
        findings.push(Finding::error("tls authorities", error, "set tls.authorities to a PEM file, or leave it out"));
    }
    if !config.wants_tls() {
        let advice = "set msrp.tls_port, or a tls: address in sip.listen";
        findings.push(Finding::warning("tls", "there is a certificate, and nothing that uses it", advice));
    }
    findings
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

/// Why a certificate that has ended, or has not begun, is of no use now.
pub(in crate::cli) fn not_in_force(identity: &Identity) -> Option<String> {
    out_of_its_time(identity, now())
}

fn out_of_its_time(identity: &Identity, now: i64) -> Option<String> {
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

fn judge_time(identity: &Identity, now: i64) -> Finding {
    let advice = "renew it; HUP makes a running server take the new one";
    let left = identity.expires - now;
    match out_of_its_time(identity, now) {
        Some(why) => Finding::error("tls certificate", format!("it {why}"), advice),
        None if left < SOON_DAYS * DAY_SECONDS => {
            Finding::warning("tls certificate", format!("it ends in {}", days(left)), advice)
        }
        None => Finding::ok("tls certificate", format!("good for {}", days(left))),
    }
}

/// Whether clients that check names will find the ones they look for.
fn judge_names(identity: &Identity, config: &Config) -> Vec<Finding> {
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
        let advice = "clients that check names will not connect by it; have it in the certificate's subjectAltName";
        Finding::warning("tls certificate", format!("it is not made for {name}"), advice)
    };
    missing.map(finding).collect()
}

/// A wildcard covers one label (RFC 6125 §6.4.3).
fn covers(own: &str, name: &str) -> bool {
    own == name
        || own.strip_prefix("*.").is_some_and(|domain| name.split_once('.').is_some_and(|(_, rest)| rest == domain))
}

fn judge_mode(key: &Path) -> Option<Finding> {
    let mode = std::fs::metadata(key).ok()?.permissions().mode();
    (mode & 0o007 != 0).then(|| {
        let advice = format!("chmod o= {}", key.display());
        Finding::warning("tls private_key", "everybody on this machine can read it", advice)
    })
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn wildcards_cover_one_label() {
        assert!(covers("chat.example.com", "chat.example.com") && covers("*.example.com", "chat.example.com"));
        assert!(!covers("*.example.com", "example.com") && !covers("*.example.com", "a.b.example.com"));
    }

    #[test]
    fn time_that_runs_out_is_told_in_time() {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let identity = Identity::load(&certificate, &key).unwrap();
        assert_eq!(identity.names, ["localhost"]);
        let level = |before: i64| judge_time(&identity, identity.expires - before).level;
        assert_eq!(level(40 * DAY_SECONDS), Level::Ok);
        assert_eq!(level(3 * DAY_SECONDS), Level::Warning);
        assert_eq!(level(-1), Level::Error);
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(judge_mode(&key).is_some());
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(judge_mode(&key), None);
    }
}
