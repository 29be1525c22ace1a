//! How much processor time something has used, to the nanosecond: the scheduler's own books.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::result::outcome::{CpuTime, Measured};

/// The server whose time is taken.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// Its process; none where it is not the bench's own.
    pub pid: Option<u32>,
    /// How many cores its threads have, beside which others may run elsewhere.
    cores: usize,
    /// Whether all of its threads are on those cores.
    confined: bool,
    /// The books of the softirq threads of its cores.
    softirq: Vec<String>,
}

impl Target {
    /// Parlor's process, with a shard on each of these cores and its control thread wherever there is room.
    #[must_use]
    pub fn of(pid: u32, cores: &[usize]) -> Self {
        let book = |core: &usize| Some(format!("/proc/{}/schedstat", softirq_thread(*core)?));
        Self { pid: Some(pid), cores: cores.len(), confined: false, softirq: cores.iter().filter_map(book).collect() }
    }

    /// A process that has this core and no other.
    #[must_use]
    pub fn confined_to(pid: u32, core: usize) -> Self {
        Self { confined: true, ..Self::of(pid, &[core]) }
    }

    fn books(&self) -> Books {
        let Some(pid) = self.pid else { return Books::default() };
        let threads = threads(pid);
        let own: Duration = threads.values().sum();
        let softirq = self.softirq.iter().filter_map(|book| run_time(book)).sum();
        Books { system: own.mul_f64(share_in_kernel(pid).unwrap_or(0.0)), threads, softirq }
    }

    /// What has been used from the one to the other.
    fn used(&self, before: &Books, after: &Books) -> CpuTime {
        let of = |(thread, now): (&u32, &Duration)| {
            now.saturating_sub(before.threads.get(thread).copied().unwrap_or_default())
        };
        let own: Duration = after.threads.iter().map(of).sum();
        let softirq = after.softirq.saturating_sub(before.softirq);
        // The clock's ticks are coarse: the kernel's part may seem to shrink, or to grow by more than there was.
        let system = after.system.saturating_sub(before.system).min(own);
        let busiest = match self.confined {
            true => own + softirq,
            false => {
                let cores = u32::try_from(self.cores.max(1)).unwrap_or(u32::MAX);
                after.threads.iter().map(of).max().unwrap_or_default() + softirq / cores
            }
        };
        CpuTime { user: own - system, system, softirq, busiest }
    }
}

/// What the scheduler's books say at a moment.
#[derive(Debug, Default)]
struct Books {
    threads: BTreeMap<u32, Duration>,
    /// The part of it in the kernel.
    system: Duration,
    softirq: Duration,
}

/// Reads clocks and books from a moment on.
pub struct Meter {
    target: Target,
    /// The moment.
    pub start: Instant,
    server: Books,
    client: Duration,
}

impl Meter {
    /// From now on.
    #[must_use]
    pub fn start(target: &Target) -> Self {
        let (server, client) = (target.books(), of_client());
        Self { target: target.clone(), start: Instant::now(), server, client }
    }

    /// Writes down what has been used since.
    pub fn read(&self, measured: &mut Measured) {
        measured.elapsed = self.start.elapsed();
        measured.client = of_client().saturating_sub(self.client);
        measured.server = self.target.used(&self.server, &self.target.books());
    }
}

/// Processor time of this process, which is all load: exact at this moment, where the books of a thread that runs are a tick old.
fn of_client() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
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

fn threads(pid: u32) -> BTreeMap<u32, Duration> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let thread = |task: fs::DirEntry| {
        let time = run_time(&task.path().join("schedstat").to_string_lossy())?;
        Some((task.file_name().to_str()?.parse().ok()?, time))
    };
    tasks.filter_map(thread).collect()
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
        let (target, mut measured) = (Target::of(pid, &[0]), Measured::nothing());
        let (meter, mut sum) = (Meter::start(&target), 0u64);
        while measured.server.total().is_zero() || measured.client.is_zero() {
            sum = std::hint::black_box(sum + 1);
            meter.read(&mut measured);
        }
        assert!(!of_thread(pid, pid).is_zero() && measured.server.busiest <= measured.server.total());
    }

    fn books(threads: &[(u32, u64)], system: u64, softirq: u64) -> Books {
        let threads = threads.iter().map(|(thread, ms)| (*thread, Duration::from_millis(*ms))).collect();
        Books { threads, system: Duration::from_millis(system), softirq: Duration::from_millis(softirq) }
    }

    #[test]
    fn parts_sum_up_to_what_was_used_however_coarse_the_clock_is() {
        let target = Target { cores: 2, ..Target::default() };
        let before = books(&[(1, 100), (2, 100)], 150, 10);
        for (system, user) in [(160, 20), (140, 30), (1000, 0)] {
            let used = target.used(&before, &books(&[(1, 120), (2, 105), (3, 5)], system, 14));
            assert_eq!(used.total(), Duration::from_millis(34), "30 of its threads, 4 of the softirq threads");
            assert_eq!(used.user, Duration::from_millis(user));
            assert_eq!(used.busiest, Duration::from_millis(22), "its busiest thread and a core's softirq thread");
        }
        let peer = Target { confined: true, ..target };
        let used = peer.used(&before, &books(&[(1, 120), (2, 110)], 150, 10));
        assert_eq!(used.busiest, Duration::from_millis(30), "all of its threads share a core");
    }
}
