//! How much memory something holds.

use std::fs;

/// Octets of a field of `/proc/PID/status`, such as `VmRSS`, or `VmHWM` for the most there ever was.
#[must_use]
pub fn of_process(pid: u32, field: &str) -> Option<u64> {
    field_of(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, field)
}

/// Octets that are a process's alone, of `/proc/PID/smaps_rollup`: its heap and stacks, without the program itself.
#[must_use]
pub fn anonymous(pid: u32) -> Option<u64> {
    field_of(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?, "Anonymous")
}

/// Forgets the most there ever was, so that the next peak shows.
pub fn reset_peak(pid: u32) {
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// Octets that the kernel holds in its own structures, on the whole machine: sockets, descriptors, timers.
#[must_use]
pub fn of_kernel() -> Option<u64> {
    field_of(&fs::read_to_string("/proc/meminfo").ok()?, "Slab")
}

/// Octets of queued data that the TCP sockets of the whole machine hold.
#[must_use]
pub fn of_tcp_queues() -> Option<u64> {
    let text = fs::read_to_string("/proc/net/sockstat").ok()?;
    let line = text.lines().find(|line| line.starts_with("TCP:"))?;
    let pages: u64 = line.split_once("mem ")?.1.trim().parse().ok()?;
    Some(pages * PAGE_BYTES)
}

const PAGE_BYTES: u64 = 4096;

fn field_of(text: &str, field: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_octets() {
        assert_eq!(field_of("VmHWM:\t   12 kB\nVmRSS:\t    8 kB\n", "VmRSS"), Some(8192));
        assert_eq!(field_of("VmRSSx:\t    8 kB\n", "VmRSS"), None);
        let pid = std::process::id();
        assert!(of_process(pid, "VmRSS").is_some_and(|octets| octets > 0));
        assert!(anonymous(pid).is_some_and(|octets| octets > 0));
        assert!(of_kernel().is_some() && of_tcp_queues().is_some());
    }
}
