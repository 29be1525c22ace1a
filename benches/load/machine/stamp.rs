//! The stamp of a result: the machine, its settings and the program, as far as they move the figures.

use std::collections::BTreeMap;
use std::fs;
use std::hash::Hasher;
use std::time::{SystemTime, UNIX_EPOCH};

use siphasher::sip::SipHasher13;

use crate::machine::cores::Cores;
use crate::result::record::Stamp;

/// Settings by the name that they are stamped with, and where they stand.
const SETTINGS: [(&str, &str); 7] = [
    ("clock source", "/sys/devices/system/clocksource/clocksource0/current_clocksource"),
    ("huge pages", "/sys/kernel/mm/transparent_hugepage/enabled"),
    ("isolated cores", "/sys/devices/system/cpu/isolated"),
    ("simultaneous multithreading", "/sys/devices/system/cpu/smt/active"),
    ("net.core.busy_poll", "/proc/sys/net/core/busy_poll"),
    ("net.ipv4.tcp_rmem", "/proc/sys/net/ipv4/tcp_rmem"),
    ("net.ipv4.tcp_wmem", "/proc/sys/net/ipv4/tcp_wmem"),
];

/// The stamp of this machine now, for servers and load on these cores and a server with these `[shards]` settings.
#[must_use]
pub fn stamp(cores: Cores, server_version: &str, shards: BTreeMap<String, String>) -> Stamp {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processors = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    Stamp {
        parlor: server_version.to_owned(),
        build: build(),
        kernel: format!("Linux {}", line("/proc/sys/kernel/osrelease").unwrap_or_default()),
        cpu: cpu(&cpuinfo),
        cores: processors,
        server_core: cores.server,
        client_core: cores.client,
        tuning: tuning(cores.server),
        shards,
        ended_at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
    }
}

/// How this program was built, and a mark that tells two builds of one version apart.
fn build() -> String {
    let kind = if cfg!(debug_assertions) { "unoptimised" } else { "optimised" };
    let octets = std::env::current_exe().and_then(fs::read).unwrap_or_default();
    let mut hasher = SipHasher13::new();
    hasher.write(&octets);
    format!("{kind}, {}, build {:08x}", std::env::consts::ARCH, hasher.finish() >> 32)
}

fn cpu(cpuinfo: &str) -> String {
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
        line.split_once(": ").map(|(_, value)| value.trim().to_owned())
    };
    let model = field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let virtual_machine = field("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"));
    if virtual_machine { format!("{model}, a virtual machine") } else { model }
}

fn tuning(core: usize) -> BTreeMap<String, String> {
    let mut tuning: BTreeMap<String, String> =
        SETTINGS.iter().filter_map(|(name, path)| Some(((*name).to_owned(), chosen(&line(path)?)))).collect();
    let governor = line(&format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor"));
    let load = line("/proc/loadavg").unwrap_or_default();
    tuning.insert("load average".into(), load.split(' ').take(3).collect::<Vec<_>>().join(" "));
    tuning.insert("governor".into(), governor.unwrap_or_else(|| "not visible".into()));
    tuning
}

/// The first line of a file, unless there is nothing in it.
fn line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().next()?.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    (!line.is_empty()).then_some(line)
}

/// What stands in brackets, where a setting lists its choices.
fn chosen(text: &str) -> String {
    let inside = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inside.map_or(text, |(inside, _)| inside).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_stamp() {
        let stamp = stamp(Cores { server: 0, client: 1, allowed: 2 }, "Parlor 1", BTreeMap::new());
        assert!(stamp.kernel.len() > "Linux ".len() && stamp.cores > 0 && !stamp.cpu.is_empty());
        assert!(stamp.build.contains("build ") && stamp.tuning.contains_key("governor"));
    }

    #[test]
    fn of_choices_the_one_in_force_is_told() {
        assert_eq!(chosen("always [madvise] never"), "madvise");
        assert_eq!(chosen("tsc"), "tsc");
    }

    #[test]
    fn a_virtual_machine_is_called_one() {
        assert_eq!(cpu("model name\t: EPYC\nflags\t\t: fpu hypervisor\n"), "EPYC, a virtual machine");
        assert_eq!(cpu("model name\t: EPYC\nflags\t\t: fpu\n"), "EPYC");
    }
}
