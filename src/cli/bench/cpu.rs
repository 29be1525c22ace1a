//! How much processor time something has used, to the nanosecond: the scheduler's own books.

use std::fs;
use std::time::{Duration, Instant};

use super::outcome::{CpuTime, Measured};

/// The server whose time is taken.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// Its process; none where it is not the bench's own.
    pub pid: Option<u32>,
    /// The cores of its shards.
    pub cores: Vec<usize>,
}

impl Target {
    fn time(&self) -> CpuTime {
        self.pid.map_or_else(CpuTime::default, |pid| of_process(pid, &self.cores))
    }
}

/// Reads clocks and books from a moment on.
pub struct Meter {
    target: Target,
    /// The moment.
    pub start: Instant,
    server: CpuTime,
    client: Duration,
}

impl Meter {
    /// From now on.
    #[must_use]
    pub fn start(target: &Target) -> Self {
        let (server, client) = (target.time(), of_client());
        Self { target: target.clone(), start: Instant::now(), server, client }
    }

    /// Writes down what has been used since.
    pub fn read(&self, measured: &mut Measured) {
        measured.elapsed = self.start.elapsed();
        measured.server = self.target.time().since(&self.server);
        measured.client = of_client().saturating_sub(self.client);
    }
}

/// Processor time of this process, which is all load.
fn of_client() -> Duration {
    of_threads(std::process::id())
}

/// Processor time of a process and all of its threads, and of the softirq threads of its cores beside it.
#[must_use]
pub fn of_process(pid: u32, cores: &[usize]) -> CpuTime {
    let own = of_threads(pid);
    let system = own.mul_f64(share_in_kernel(pid).unwrap_or(0.0));
    let softirq = cores.iter().filter_map(|core| run_time(&format!("/proc/{}/schedstat", softirq_thread(*core)?)));
    CpuTime { user: own.saturating_sub(system), system, softirq: softirq.sum() }
}

/// Processor time of one thread of a process.
#[must_use]
pub fn of_thread(pid: u32, thread: u32) -> Duration {
    run_time(&format!("/proc/{pid}/task/{thread}/schedstat")).unwrap_or_default()
}

/// How often the threads of a process have gone to sleep.
#[must_use]
pub fn wakes(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of = |status: String| {
        status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:")?.trim().parse::<u64>().ok())
    };
    tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok().and_then(of)).sum::<u64>()
}

fn of_threads(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| run_time(&task.path().join("schedstat").to_string_lossy())).sum()
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
        let pid = std::process::id();
        let (all, client) = (of_process(pid, &[0]), of_client());
        let mut sum = 0u64;
        while of_client() == client {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(of_process(pid, &[0]).total() > all.total());
        assert!(of_thread(pid, pid) <= of_client());
    }
}
