//! How much processor time something has used, to the nanosecond: the scheduler's own books.

use std::fs;
use std::time::Duration;

/// Processor time of a process and all of its threads, and of the softirq thread of a core beside it.
#[must_use]
pub fn of_process(pid: u32, core: Option<usize>) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let own: Duration = tasks.filter_map(|task| run_time(&task.path().join("schedstat").to_string_lossy())).sum();
    own + core.and_then(softirq_thread).and_then(|pid| run_time(&format!("/proc/{pid}/schedstat"))).unwrap_or_default()
}

/// Processor time of this thread.
#[must_use]
pub fn of_this_thread() -> Duration {
    run_time("/proc/thread-self/schedstat").unwrap_or_default()
}

fn run_time(path: &str) -> Option<Duration> {
    let text = fs::read_to_string(path).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The process that works off a core's deferred interrupts.
fn softirq_thread(core: usize) -> Option<u32> {
    let name = format!("ksoftirqd/{core}\n");
    let is_it = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm == name);
    fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows() {
        let before = (of_this_thread(), of_process(std::process::id(), Some(0)));
        let mut sum = 0u64;
        while of_this_thread() == before.0 {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(of_process(std::process::id(), Some(0)) > before.1);
    }
}
