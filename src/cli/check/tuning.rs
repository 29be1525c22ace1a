//! Compares the machine with the files in `tuning/`.

use std::fs;

use super::finding::Finding;

const SYSCTLS: &str = include_str!("../../../tuning/60-parlor.conf");
const LIMITS: &str = include_str!("../../../tuning/limits-parlor.conf");

/// Settings that must have the exact value. The others are sizes, of which more is also good.
const SWITCHES: [&str; 2] = ["kernel.io_uring_disabled", "net.ipv4.tcp_slow_start_after_idle"];

/// The limits in `tuning/limits-parlor.conf`.
pub struct WantedLimits {
    /// File descriptors.
    pub nofile: u64,
    /// Lockable memory, in octets.
    pub memlock: u64,
}

/// Reads the limits file.
pub fn wanted_limits() -> WantedLimits {
    let value = |name: &str| {
        let mut lines = lines(LIMITS).map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
        let fields = lines.find(|fields| fields.get(2) == Some(&name));
        fields.and_then(|fields| fields.get(3)?.parse().ok()).unwrap_or(0)
    };
    WantedLimits { nofile: value("nofile"), memlock: value("memlock") * 1024 }
}

/// Compares each kernel setting of `tuning/60-parlor.conf`.
pub fn check() -> Vec<Finding> {
    wanted_sysctls().map(|(name, wanted)| compare(name, wanted, &current(name))).collect()
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn wanted_sysctls() -> impl Iterator<Item = (&'static str, &'static str)> {
    lines(SYSCTLS).filter_map(|line| line.split_once('=')).map(|(name, value)| (name.trim(), value.trim()))
}

fn current(name: &str) -> String {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn compare(name: &str, wanted: &str, current: &str) -> Finding {
    let number = |text: &str| text.parse::<u64>().ok();
    let good = match (number(wanted), number(current)) {
        (Some(wanted), Some(current)) if SWITCHES.contains(&name) => wanted == current,
        (Some(wanted), Some(current)) => current >= wanted,
        // An older kernel does not have it, or a container hides it.
        _ => return Finding::ok(name, "not readable here"),
    };
    if good {
        return Finding::ok(name, current);
    }
    let advice = format!("sysctl {name}={wanted}; see tuning/60-parlor.conf");
    Finding::warning(name, current, advice)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn the_tuning_files_are_parsed() {
        let wanted: Vec<_> = wanted_sysctls().collect();
        assert!(wanted.contains(&("net.core.somaxconn", "4096")), "{wanted:?}");
        assert!(wanted.iter().all(|(name, value)| name.contains('.') && value.parse::<u64>().is_ok()), "{wanted:?}");
        for switch in SWITCHES {
            assert!(wanted.iter().any(|(name, _)| *name == switch), "{switch}");
        }
        assert_eq!((wanted_limits().nofile, wanted_limits().memlock), (1 << 20, 8 << 20));
    }

    #[test]
    fn every_value_has_a_comment() {
        for text in [SYSCTLS, LIMITS, include_str!("../../../tuning/parlor.service")] {
            assert!(text.lines().filter(|line| line.starts_with('#')).count() >= 3);
        }
        let mut commented = false;
        for line in SYSCTLS.lines().skip_while(|line| line.starts_with('#')) {
            commented = line.starts_with('#') || (commented && !line.is_empty());
            assert!(line.is_empty() || commented, "{line} has no comment above it");
        }
    }

    #[test]
    fn sizes_may_be_larger_and_switches_must_be_equal() {
        assert_eq!(compare("net.core.somaxconn", "4096", "128").level, Level::Warning);
        assert_eq!(compare("net.core.somaxconn", "4096", "65535").level, Level::Ok);
        assert_eq!(compare("kernel.io_uring_disabled", "0", "2").level, Level::Warning);
        assert_eq!(compare("net.core.somaxconn", "4096", "").level, Level::Ok);
    }
}
