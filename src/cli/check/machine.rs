//! Checks of the kernel, the limits of the process and the cores.

use std::fs;
use std::io::ErrorKind;

use super::finding::Finding;
use super::tuning;
use crate::config::{Config, Cores};
use crate::shard::Io;

/// Lockable memory that each glommio shard needs, in octets; the other back ends need none.
const MEMLOCK_BYTES_MIN: u64 = 512 * 1024;
/// File descriptors that the smallest server needs.
const DESCRIPTORS_MIN: u64 = 256;
/// The oldest kernel with the io_uring operations that glommio uses.
const KERNEL_MIN: (u32, u32) = (5, 8);
/// The oldest kernel with SINGLE_ISSUER and DEFER_TASKRUN.
const KERNEL_GOOD: (u32, u32) = (6, 1);

/// All checks of the machine.
pub fn check(config: &Config) -> Vec<Finding> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    // `serve` does the same.
    let _ = crate::control::raise_limit();
    let limits = read("/proc/self/limits");
    let wanted = tuning::wanted_limits();
    let io = config.shards.io;
    vec![
        kernel(&read("/proc/sys/kernel/osrelease"), io),
        io_uring(read("/proc/sys/kernel/io_uring_disabled").trim(), crate::shard::probe_io_uring(), io),
        back_end(io, crate::shard::probe_ring()),
        memlock(limit(&limits, "Max locked memory"), wanted.memlock, io),
        descriptors(limit(&limits, "Max open files"), wanted.nofile),
        cores(&config.shards.cores, &allowed_cores()),
    ]
}

/// The cores that this process may run on.
pub fn allowed_cores() -> Vec<usize> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
    match crate::config::parse_cores(line.trim()) {
        Ok(Cores::List(cores)) => cores,
        _ => Vec::new(),
    }
}

fn kernel(release: &str, io: Io) -> Finding {
    let release = release.trim();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < KERNEL_MIN && io == Io::Glommio {
        return Finding::error("kernel", release, "glommio needs Linux 5.8 or newer; set shards.io to ring or epoll");
    }
    if version < KERNEL_GOOD && io != Io::Epoll {
        return Finding::warning("kernel", release, "Linux 6.1 or newer needs fewer system calls");
    }
    Finding::ok("kernel", release)
}

/// Whether io_uring is available. Only glommio needs it.
fn io_uring(disabled: &str, ring: std::io::Result<()>, io: Io) -> Finding {
    let Err(error) = ring else { return Finding::ok("io_uring", "available") };
    let (found, advice) = match disabled {
        "" | "0" => {
            (format!("refused: {error}"), "allow it in the profile of the container or of the service (seccomp)")
        }
        value => {
            (format!("refused, kernel.io_uring_disabled is {value}: {error}"), "sysctl kernel.io_uring_disabled=0")
        }
    };
    match io {
        Io::Ring => Finding::warning("io_uring", found, advice),
        Io::Glommio => Finding::error("io_uring", format!("{found}; glommio needs it"), advice),
        Io::Epoll => Finding::ok("io_uring", format!("{found}; epoll does not need it")),
    }
}

/// A soft limit in the text of /proc/self/limits; `u64::MAX` if it is unlimited or cannot be read.
fn limit(limits: &str, name: &str) -> u64 {
    let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_ascii_whitespace().next().and_then(|soft| soft.parse().ok()).unwrap_or(u64::MAX)
}

/// Which I/O back end the shards will use.
fn back_end(io: Io, ring: std::io::Result<()>) -> Finding {
    match (io, ring) {
        (Io::Ring, Ok(())) => Finding::ok("shards.io", "ring"),
        (Io::Ring, Err(error)) => {
            let found = format!("epoll instead of ring, at more CPU time for each message: {error}");
            let advice = match error.kind() {
                ErrorKind::PermissionDenied => {
                    "allow io_uring in the profile of the container or of the service (seccomp)"
                }
                ErrorKind::OutOfMemory => "raise memlock: ulimit -l, or tuning/limits-parlor.conf",
                _ => "Linux 5.19 or newer has what ring needs",
            };
            Finding::warning("shards.io", found, advice)
        }
        (Io::Glommio, _) => Finding::ok("shards.io", "glommio"),
        (Io::Epoll, _) => Finding::ok("shards.io", "epoll"),
    }
}

fn memlock(octets: u64, wanted: u64, io: Io) -> Finding {
    let found = shown(octets, "octets lockable");
    if io != Io::Glommio {
        return Finding::ok("memlock", found);
    }
    if octets < MEMLOCK_BYTES_MIN {
        let advice = format!("raise it to {wanted}: ulimit -l {}, or tuning/limits-parlor.conf", wanted / 1024);
        return Finding::error("memlock", found, advice);
    }
    if octets < wanted {
        return Finding::warning("memlock", found, format!("tuning/limits-parlor.conf has {wanted}"));
    }
    Finding::ok("memlock", found)
}

fn descriptors(count: u64, wanted: u64) -> Finding {
    let found = shown(count, "descriptors");
    if count < DESCRIPTORS_MIN {
        return Finding::error("nofile", found, format!("raise it: ulimit -n {wanted}, or tuning/limits-parlor.conf"));
    }
    if count < wanted {
        let advice = format!("fewer members fit; tuning/limits-parlor.conf has {wanted}");
        return Finding::warning("nofile", found, advice);
    }
    Finding::ok("nofile", found)
}

fn shown(value: u64, unit: &str) -> String {
    if value == u64::MAX { format!("unlimited {unit}") } else { format!("{value} {unit}") }
}

/// Cores in ascending order, in the form of the config: `0-3,8`.
fn ranges(cores: &[usize]) -> String {
    let runs = cores.chunk_by(|one, next| one + 1 == *next);
    let run = |run: &[usize]| match (run[0], run[run.len() - 1]) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    };
    runs.map(run).collect::<Vec<_>>().join(",")
}

fn cores(requested: &Cores, allowed: &[usize]) -> Finding {
    let list = ranges;
    match requested {
        Cores::All => Finding::ok("cores", format!("all allowed: {}", list(allowed))),
        Cores::List(requested) => {
            let missing: Vec<usize> = requested.iter().copied().filter(|core| !allowed.contains(core)).collect();
            if missing.is_empty() {
                return Finding::ok("cores", list(requested));
            }
            let found = format!("core {} is not available to this process", list(&missing));
            Finding::error("cores", found, format!("set shards.cores to some of {}", list(allowed)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn kernel_versions_have_levels() {
        for io in [Io::Ring, Io::Glommio] {
            assert_eq!(kernel("5.15.0-91-generic\n", io).level, Level::Warning);
            assert_eq!(kernel("6.1.0", io).level, Level::Ok);
            assert_eq!(kernel("10.0", io).level, Level::Ok);
        }
        assert_eq!(kernel("5.4.0-generic", Io::Glommio).level, Level::Error);
        assert_eq!(kernel("", Io::Glommio).level, Level::Error);
        assert_eq!(kernel("5.4.0-generic", Io::Ring).level, Level::Warning);
        assert_eq!(kernel("5.4.0-generic", Io::Epoll).level, Level::Ok);
    }

    #[test]
    fn a_refused_io_uring_names_the_cause() {
        let refused = || Err(std::io::Error::from_raw_os_error(1));
        assert_eq!(io_uring("0", Ok(()), Io::Glommio).level, Level::Ok);
        assert!(io_uring("2", refused(), Io::Ring).line().contains("sysctl kernel.io_uring_disabled=0"));
        assert!(io_uring("", refused(), Io::Ring).line().contains("seccomp"));
        assert_eq!(io_uring("0", refused(), Io::Ring).level, Level::Warning, "epoll is the fallback");
        assert_eq!(io_uring("0", refused(), Io::Glommio).level, Level::Error);
        assert_eq!(io_uring("0", refused(), Io::Epoll).level, Level::Ok);
    }

    #[test]
    fn an_unavailable_ring_is_a_warning_that_names_the_fallback() {
        let missing = || Err(std::io::Error::from_raw_os_error(22));
        assert_eq!(back_end(Io::Ring, Ok(())).level, Level::Ok);
        assert_eq!(back_end(Io::Glommio, missing()).level, Level::Ok);
        assert_eq!(back_end(Io::Epoll, missing()).level, Level::Ok);
        let finding = back_end(Io::Ring, missing());
        assert_eq!(finding.level, Level::Warning);
        assert!(finding.line().contains("epoll instead of ring"), "{}", finding.line());
        assert!(finding.line().contains("5.19"));
        for (errno, advice) in [(1, "seccomp"), (13, "seccomp"), (12, "memlock")] {
            let line = back_end(Io::Ring, Err(std::io::Error::from_raw_os_error(errno))).line();
            assert!(line.contains(advice) && !line.contains("5.19"), "{line}");
        }
    }

    #[test]
    fn limits_are_parsed_and_compared() {
        let text = "Max open files            20000   30000   files\nMax locked memory  unlimited  unlimited bytes\n";
        assert_eq!(limit(text, "Max open files"), 20000);
        assert_eq!(limit(text, "Max locked memory"), u64::MAX);
        assert_eq!(memlock(64 * 1024, 1 << 23, Io::Glommio).level, Level::Error);
        assert_eq!(memlock(1 << 20, 1 << 23, Io::Glommio).level, Level::Warning);
        assert_eq!(memlock(u64::MAX, 1 << 23, Io::Glommio).level, Level::Ok);
        assert_eq!(descriptors(128, 1 << 20).level, Level::Error);
        assert_eq!(descriptors(1024, 1 << 20).level, Level::Warning);
        assert_eq!(descriptors(1 << 20, 1 << 20).level, Level::Ok);
    }

    #[test]
    fn an_unavailable_core_is_named() {
        assert_eq!(cores(&Cores::All, &[0, 1]).level, Level::Ok);
        assert_eq!(cores(&Cores::List(vec![1]), &[0, 1]).level, Level::Ok);
        let missing = cores(&Cores::List(vec![0, 7]), &[0, 1]);
        assert_eq!(missing.level, Level::Error);
        assert_eq!(missing.line(), "cores: core 7 is not available to this process; set shards.cores to some of 0-1");
        let far: Vec<usize> = (0..=64).collect();
        assert!(cores(&Cores::List(far), &[0, 1]).line().contains("core 2-64 is not available"));
        assert_eq!(ranges(&[0, 2, 3, 4, 7, 8]), "0,2-4,7-8");
    }

    #[test]
    fn this_machine_has_cores() {
        assert!(!allowed_cores().is_empty());
    }
}
