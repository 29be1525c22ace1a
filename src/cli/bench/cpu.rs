//! How much processor time something has used, to the nanosecond: the scheduler's own books.

use std::fs;
use std::time::Duration;

use super::outcome::CpuTime;

/// Processor time of a process and all of its threads, and of the softirq thread of a core beside it.
#[must_use]
pub fn of_process(pid: u32, core: Option<usize>) -> CpuTime {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let own: Duration = tasks.filter_map(|task| run_time(&task.path().join("schedstat").to_string_lossy())).sum();
    let system = own.mul_f64(share_in_kernel(pid).unwrap_or(0.0));
    let softirq = core.and_then(softirq_thread).and_then(|pid| run_time(&format!("/proc/{pid}/schedstat")));
    CpuTime { user: own.saturating_sub(system), system, softirq: softirq.unwrap_or_default() }
}

/// The part of a process's time that it was in the kernel. The scheduler's books do not tell the two apart; the clock's do,
/// in ticks.
fn share_in_kernel(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, but its closing bracket is the last one. User time is field 14, system time 15.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let [user, system]: [f64; 2] = [fields.next()?.parse().ok()?, fields.next()?.parse().ok()?];
    (user + system > 0.0).then(|| system / (user + system))
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
        assert!(of_process(std::process::id(), Some(0)).total() > before.1.total());
    }
}
