//! What a bench says at its end.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::json;

use super::Cores;
use super::engine::{Measured, Pace};

/// One turn of every subject.
pub struct Round {
    /// The server.
    pub parlor: Measured,
    /// The floor that copies; none beside a foreign server.
    pub copied: Option<Measured>,
    /// The floor that gathers.
    pub gathered: Option<Measured>,
}

/// The whole of a bench.
pub struct Report {
    receivers: usize,
    size: usize,
    copy_bytes: usize,
    pace: Pace,
    cores: Cores,
    own_server: bool,
    rounds: Vec<Round>,
    latency: Histogram<u64>,
}

const PERCENTILES: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 100.0];
/// A thread that was busy for more of the time than this was the limit.
const BUSY: f64 = 0.95;

impl Report {
    /// A report of these rounds.
    #[must_use]
    pub fn new(
        receivers: usize,
        size: usize,
        copy_bytes: usize,
        pace: Pace,
        cores: Cores,
        own_server: bool,
        rounds: Vec<Round>,
    ) -> Self {
        let mut latency = rounds[0].parlor.latency.clone();
        for round in &rounds[1..] {
            // The same bounds everywhere, so it always fits.
            let _ = latency.add(&round.parlor.latency);
        }
        Self { receivers, size, copy_bytes, pace, cores, own_server, rounds, latency }
    }

    /// Whether nothing was lost, repeated or out of order.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.faults() == (0, 0, 0)
    }

    fn faults(&self) -> (u64, u64, u64) {
        let sum = |of: fn(&Measured) -> u64| self.rounds.iter().map(|round| of(&round.parlor)).sum();
        (sum(|m| m.lost), sum(|m| m.repeated), sum(|m| m.reordered))
    }

    /// Nanoseconds of server time per delivery, the median of the rounds.
    fn cost(&self, of: impl Fn(&Round) -> Option<&Measured>) -> Option<f64> {
        median(self.rounds.iter().filter_map(|round| of(round).map(cost_of)).collect())
    }

    /// Server time per delivery as a multiple of the cheaper floor's, round by round.
    fn ratios(&self) -> Vec<f64> {
        let floor = |round: &Round| -> Option<f64> {
            Some(cost_of(round.copied.as_ref()?).min(cost_of(round.gathered.as_ref()?)))
        };
        let mut ratios: Vec<f64> =
            self.rounds.iter().filter_map(|round| Some(cost_of(&round.parlor) / floor(round)?)).collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    }

    fn rate(&self) -> f64 {
        let per_second = |m: &Measured| m.deliveries as f64 / m.elapsed.as_secs_f64();
        median(self.rounds.iter().map(|round| per_second(&round.parlor)).collect()).unwrap_or(0.0)
    }

    fn busy(&self, of: impl Fn(&Measured) -> Duration) -> f64 {
        let share = |m: &Measured| of(m).as_secs_f64() / m.elapsed.as_secs_f64();
        median(self.rounds.iter().map(|round| share(&round.parlor)).collect()).unwrap_or(0.0)
    }

    /// Whether the load came from a thread that could do no more while the server could.
    fn client_was_the_limit(&self) -> bool {
        self.busy(|m| m.client) > BUSY && self.busy(|m| m.server) < BUSY
    }

    /// The result for machines.
    #[must_use]
    pub fn json(&self) -> String {
        let (lost, repeated, reordered) = self.faults();
        let (pace, value) = match self.pace {
            Pace::Window(window) => ("window", window as f64),
            Pace::Rate(rate) => ("rate", rate),
        };
        let percentiles: serde_json::Map<_, _> =
            PERCENTILES.iter().map(|p| (format!("p{p}"), json!(self.latency.value_at_quantile(p / 100.0)))).collect();
        let result = json!({
            "scenario": "fanout",
            "version": env!("CARGO_PKG_VERSION"),
            "kernel": kernel(),
            "cpu": cpu_model(),
            "receivers": self.receivers,
            "size": self.size,
            "copy_bytes": self.copy_bytes,
            pace: value,
            "rounds": self.rounds.len(),
            "deliveries_per_second": self.rate(),
            "server_ns_per_delivery": self.own_server.then(|| self.cost(|round| Some(&round.parlor))),
            "floor_copied_ns_per_delivery": self.cost(|round| round.copied.as_ref()),
            "floor_gathered_ns_per_delivery": self.cost(|round| round.gathered.as_ref()),
            "ratios_to_floor": self.ratios(),
            "latency_ns": percentiles,
            "lost": lost,
            "repeated": repeated,
            "reordered": reordered,
            "server_busy": self.busy(|m| m.server),
            "client_busy": self.busy(|m| m.client),
            "client_was_the_limit": self.client_was_the_limit(),
        });
        format!("{result:#}\n")
    }

    /// The latencies in the percentile format of HdrHistogram, in microseconds.
    #[must_use]
    pub fn hgrm(&self) -> String {
        let mut out = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
        let mut sofar = 0;
        for step in self.latency.iter_quantiles(5) {
            sofar += step.count_since_last_iteration();
            let quantile = step.quantile_iterated_to();
            let value = step.value_iterated_to() as f64 / 1000.0;
            out.push_str(&format!("{value:12.3} {quantile:2.12} {sofar:10} {:14.2}\n", 1.0 / (1.0 - quantile)));
        }
        out.push_str(&format!(
            "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]\n#[Max     = {:12.3}, Total count    = {:12}]\n",
            self.latency.mean() / 1000.0,
            self.latency.stdev() / 1000.0,
            self.latency.max() as f64 / 1000.0,
            self.latency.len()
        ));
        out
    }
}

fn cost_of(measured: &Measured) -> f64 {
    measured.server.as_nanos() as f64 / measured.deliveries.max(1) as f64
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

fn kernel() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

fn cpu_model() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    line.and_then(|rest| rest.split_once(": ")).map(|(_, name)| name.to_owned()).unwrap_or_default()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pace = match self.pace {
            Pace::Window(window) => format!("{window} in flight"),
            Pace::Rate(rate) => format!("{rate} messages a second"),
        };
        writeln!(
            f,
            "fanout to {} receivers, {} octets of text ({} on the wire), {pace}",
            self.receivers, self.size, self.copy_bytes
        )?;
        writeln!(
            f,
            "  {} {}, server on core {}, load on core {}",
            kernel(),
            cpu_model(),
            self.cores.server,
            self.cores.client
        )?;
        writeln!(f, "  deliveries        {:>12.0} /s", self.rate())?;
        if self.own_server {
            let micro = |ns: Option<f64>| ns.unwrap_or(f64::NAN) / 1000.0;
            writeln!(f, "  server CPU        {:>12.3} µs per delivery", micro(self.cost(|round| Some(&round.parlor))))?;
            writeln!(f, "  floor, copied     {:>12.3} µs", micro(self.cost(|round| round.copied.as_ref())))?;
            writeln!(f, "  floor, gathered   {:>12.3} µs", micro(self.cost(|round| round.gathered.as_ref())))?;
        }
        write!(f, "  latency           ")?;
        for percentile in PERCENTILES {
            let value = self.latency.value_at_quantile(percentile / 100.0) as f64 / 1000.0;
            write!(f, "  p{percentile} {value:.0} µs")?;
        }
        let (lost, repeated, reordered) = self.faults();
        writeln!(f, "\n  lost {lost}, repeated {repeated}, out of order {reordered}")?;
        let (server, client) = (self.busy(|m| m.server) * 100.0, self.busy(|m| m.client) * 100.0);
        writeln!(f, "  server {server:.0} % busy, load {client:.0} % busy")?;
        let ratios = self.ratios();
        match (ratios.first(), ratios.last(), median(ratios.clone())) {
            _ if self.client_was_the_limit() => writeln!(f, "  no verdict: the load was the limit, not the server"),
            (Some(least), Some(most), Some(middle)) => {
                writeln!(f, "  {middle:.2} × the cheaper floor ({least:.2} to {most:.2} in {} rounds)", ratios.len())
            }
            _ => writeln!(f, "  no verdict: the floor is measured beside a server of the bench's own"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(server_ns: u64, deliveries: u64) -> Measured {
        Measured {
            deliveries,
            elapsed: Duration::from_secs(1),
            server: Duration::from_nanos(server_ns),
            client: Duration::from_millis(500),
            latency: Histogram::new_with_bounds(1, 1_000_000, 3).unwrap(),
            lost: 0,
            repeated: 0,
            reordered: 0,
        }
    }

    fn report(rounds: Vec<Round>) -> Report {
        Report::new(10, 500, 900, Pace::Window(1), Cores { server: 0, client: 1 }, true, rounds)
    }

    #[test]
    fn the_ratio_is_to_the_cheaper_floor_of_the_same_round() {
        let round = |parlor, copied, gathered| Round {
            parlor: measured(parlor, 100),
            copied: Some(measured(copied, 100)),
            gathered: Some(measured(gathered, 100)),
        };
        let report = report(vec![round(1200, 1000, 2000), round(2600, 3000, 2000), round(1500, 1000, 1000)]);
        assert_eq!(report.ratios(), [1.2, 1.3, 1.5]);
        assert!(report.to_string().contains("1.30 × the cheaper floor (1.20 to 1.50 in 3 rounds)"));
    }

    #[test]
    fn a_busy_client_gets_no_verdict() {
        let mut parlor = measured(500_000_000, 100);
        parlor.client = Duration::from_millis(990);
        let report = report(vec![Round { parlor, copied: Some(measured(1, 1)), gathered: Some(measured(1, 1)) }]);
        assert!(report.to_string().contains("no verdict"));
    }

    #[test]
    fn what_is_lost_is_said() {
        let mut parlor = measured(1000, 100);
        parlor.lost = 3;
        let report = report(vec![Round { parlor, copied: None, gathered: None }]);
        assert!(!report.is_clean());
        assert!(report.to_string().contains("lost 3, repeated 0, out of order 0"));
        assert!(report.json().contains("\"lost\": 3"));
    }
}
