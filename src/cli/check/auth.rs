//! Checks of `[sip.auth]` and its files.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::finding::Finding;
use crate::config::{AuthConfig, Config, SipTransport};

const SUBJECT: &str = "sip.auth";

/// All checks. `path` is the config file, if there is one.
pub fn check(config: &Config, path: Option<&Path>) -> Vec<Finding> {
    let Some(auth) = &config.sip.auth else { return Vec::new() };
    let mut findings = entries(auth);
    let users_file = path.and_then(|path| auth.users_path(path));
    let has_own = users_file.is_none() && !auth.users.is_empty();
    let files = users_file.as_deref().into_iter().chain(path.filter(|_| has_own));
    findings.extend(files.filter(|file| is_world_readable(file)).map(|file| {
        let found = format!("everyone on this machine can read {}", file.display());
        Finding::warning(SUBJECT, found, format!("chmod o-r {}", file.display()))
    }));
    let over_udp = |listen: &&crate::config::SipListen| {
        listen.transport == SipTransport::Udp && !listen.address.ip().is_loopback()
    };
    if let Some(listen) = config.sip.listen.iter().find(over_udp) {
        let found = format!("digests are not encrypted on udp:{}", listen.address);
        findings.push(Finding::warning(SUBJECT, found, "use long passwords and a trusted network"));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(SUBJECT, format!("{} users", auth.users.len())));
    }
    findings
}

fn entries(auth: &AuthConfig) -> Vec<Finding> {
    if auth.users.is_empty() {
        let advice = "add users to [sip.auth.users] or to users_file, or leave [sip.auth] out";
        return vec![Finding::warning(SUBJECT, "there are no users: no one can join", advice)];
    }
    let old = auth.users.iter().filter(|(_, secret)| secret.sha256.is_none());
    let old: Vec<&str> = old.map(|(name, _)| name.as_str()).take(5).collect();
    if old.is_empty() {
        return Vec::new();
    }
    let found = format!("MD5 alone for {}: clients that prefer SHA-256 cannot log in", old.join(", "));
    vec![Finding::warning(SUBJECT, found, "give ha1_sha256 too")]
}

fn is_world_readable(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|found| found.permissions().mode() & 0o004 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parlor.toml");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        check(&Config::load(&path).unwrap(), Some(&path)).iter().map(Finding::line).collect()
    }

    #[test]
    fn weak_authentication_is_a_warning() {
        assert!(found("").is_empty());
        assert!(found("[sip.auth]")[0].contains("no users"));
        assert_eq!(found("[sip.auth.users]\nal = \"x\""), ["sip.auth: 1 users"]);
        let old = format!("[sip.auth.users]\nal = {{ ha1_md5 = \"{}\" }}", "0".repeat(32));
        assert!(found(&old)[0].contains("MD5 alone for al"));
        let open = "[sip]\nlisten = [\"udp:192.0.2.1:5060\"]\n[sip.auth.users]\nal = \"x\"";
        assert!(found(open)[0].contains("not encrypted"));
    }

    #[test]
    fn a_world_readable_file_is_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let (path, users) = (folder.path().join("parlor.toml"), folder.path().join("users.toml"));
        std::fs::write(&path, "[sip.auth]\nusers_file = \"users.toml\"").unwrap();
        std::fs::write(&users, "al = \"x\"").unwrap();
        for (mode, warned) in [(0o644, true), (0o640, false)] {
            std::fs::set_permissions(&users, std::fs::Permissions::from_mode(mode)).unwrap();
            let findings = check(&Config::load(&path).unwrap(), Some(&path));
            assert_eq!(findings.iter().any(|finding| finding.line().contains("users.toml")), warned);
        }
    }
}
