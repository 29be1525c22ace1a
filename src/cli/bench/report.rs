//! What a bench says at its end.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use hdrhistogram::Histogram;
use serde_json::json;

use super::outcome::{FLOOR_COPIED, FLOOR_GATHERED, Measured, Outcome, PARLOR, Pace, Round};

/// Where the result goes besides the terminal.
#[derive(Debug, Args)]
pub struct OutputArguments {
    /// The result as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The latencies as an HdrHistogram percentile table
    #[arg(long, value_name = "FILE")]
    hgrm: Option<PathBuf>,
}

/// Shows an outcome, and writes it where it is wanted. Answers whether nothing went wrong.
///
/// # Errors
/// Where a file cannot be written.
pub fn finish(outcome: &Outcome, output: &OutputArguments) -> io::Result<bool> {
    let report = Report::new(outcome);
    print!("{report}");
    if let Some(path) = &output.json {
        std::fs::write(path, report.json())?;
    }
    if let Some(path) = &output.hgrm {
        std::fs::write(path, report.hgrm())?;
    }
    Ok(report.is_clean())
}

/// An outcome, weighed.
struct Report<'a> {
    outcome: &'a Outcome,
    latency: Histogram<u64>,
}

const PERCENTILES: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 100.0];
/// A thread that was busy for more of the time than this was the limit.
const BUSY: f64 = 0.95;

impl<'a> Report<'a> {
    fn new(outcome: &'a Outcome) -> Self {
        let mut latency = Measured::nothing().latency;
        for measured in outcome.rounds.iter().filter_map(|round| round.of(PARLOR)) {
            // The same bounds everywhere, so it always fits.
            let _ = latency.add(&measured.latency);
        }
        Self { outcome, latency }
    }

    fn parlor(&self) -> impl Iterator<Item = &Measured> {
        self.outcome.rounds.iter().filter_map(|round| round.of(PARLOR))
    }

    /// Whether nothing was lost, repeated or out of order.
    fn is_clean(&self) -> bool {
        self.parlor().all(Measured::is_clean)
    }

    /// Nanoseconds of server time per operation, the median of the rounds.
    fn cost(&self, subject: &str) -> Option<f64> {
        median(self.outcome.rounds.iter().filter_map(|round| round.of(subject).map(cost_of)).collect())
    }

    /// Server time per operation as a multiple of the cheaper floor's, round by round.
    fn ratios(&self) -> Vec<f64> {
        let ratio = |round: &Round| -> Option<f64> {
            let floors = [FLOOR_COPIED, FLOOR_GATHERED].into_iter().filter_map(|floor| round.of(floor).map(cost_of));
            Some(cost_of(round.of(PARLOR)?) / floors.reduce(f64::min)?)
        };
        let mut ratios: Vec<f64> = self.outcome.rounds.iter().filter_map(ratio).collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    }

    fn rate(&self) -> f64 {
        let per_second = |m: &Measured| m.deliveries as f64 / m.elapsed.as_secs_f64();
        median(self.parlor().map(per_second).collect()).unwrap_or(0.0)
    }

    fn busy(&self, of: impl Fn(&Measured) -> Duration) -> f64 {
        let share = |m: &Measured| of(m).as_secs_f64() / m.elapsed.as_secs_f64();
        median(self.parlor().map(share).collect()).unwrap_or(0.0)
    }

    /// Whether the load came from a thread that could do no more while the server could.
    fn client_was_the_limit(&self) -> bool {
        self.busy(|m| m.client) > BUSY && self.busy(|m| m.server.total()) < BUSY
    }

    /// The result for machines.
    fn json(&self) -> String {
        let percentiles: serde_json::Map<_, _> =
            PERCENTILES.iter().map(|p| (format!("p{p}"), json!(self.latency.value_at_quantile(p / 100.0)))).collect();
        let mut result = json!({
            "scenario": self.outcome.scenario,
            "operation": self.outcome.operation,
            "version": env!("CARGO_PKG_VERSION"),
            "kernel": kernel(),
            "cpu": cpu_model(),
            "rounds": self.outcome.rounds.len(),
            "deliveries_per_second": self.rate(),
            "server_ns_per_delivery": self.outcome.own_server.then(|| self.cost(PARLOR)),
            "floor_copied_ns_per_delivery": self.cost(FLOOR_COPIED),
            "floor_gathered_ns_per_delivery": self.cost(FLOOR_GATHERED),
            "ratios_to_floor": self.ratios(),
            "latency_ns": percentiles,
            "lost": self.sum(|m| m.lost),
            "repeated": self.sum(|m| m.repeated),
            "reordered": self.sum(|m| m.reordered),
            "strayed": self.sum(|m| m.strayed),
            "server_busy": self.busy(|m| m.server.total()),
            "client_busy": self.busy(|m| m.client),
            "client_was_the_limit": self.client_was_the_limit(),
        });
        for (name, value) in &self.outcome.parameters {
            result[*name] = value.clone();
        }
        match self.outcome.pace {
            Some(Pace::Window(window)) => result["window"] = json!(window),
            Some(Pace::Rate(rate)) => result["rate"] = json!(rate),
            None => {}
        }
        for (name, value, _) in self.figures() {
            result[name] = json!(value);
        }
        format!("{result:#}\n")
    }

    /// The scenario's own figures, the median of the rounds.
    fn figures(&self) -> Vec<(&'static str, f64, &'static str)> {
        let first = self.parlor().next().map_or(&[][..], |measured| &measured.figures);
        let of = |name: &str| -> Vec<f64> {
            self.parlor().flat_map(|m| &m.figures).filter(|figure| figure.name == name).map(|f| f.value).collect()
        };
        first.iter().filter_map(|figure| Some((figure.name, median(of(figure.name))?, figure.unit))).collect()
    }

    fn sum(&self, of: fn(&Measured) -> u64) -> u64 {
        self.parlor().map(of).sum()
    }

    /// The latencies in the percentile format of HdrHistogram, in microseconds.
    fn hgrm(&self) -> String {
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
    measured.server.total().as_nanos() as f64 / measured.deliveries.max(1) as f64
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

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pace = match self.outcome.pace {
            Some(Pace::Window(window)) => format!(", {window} in flight"),
            Some(Pace::Rate(rate)) => format!(", {rate} messages a second"),
            None => String::new(),
        };
        writeln!(f, "{}{pace}", self.outcome.title)?;
        let cores = self.outcome.cores;
        writeln!(f, "  {} {}, server on core {}, load on core {}", kernel(), cpu_model(), cores.server, cores.client)?;
        writeln!(f, "  {:<18}{:>12.0} /s", self.outcome.operation, self.rate())?;
        if self.outcome.own_server {
            let names = [(PARLOR, "server CPU"), (FLOOR_COPIED, "floor, copied"), (FLOOR_GATHERED, "floor, gathered")];
            for (subject, name) in names {
                let Some(ns) = self.cost(subject) else { continue };
                writeln!(f, "  {name:<18}{:>12.3} µs per {}", ns / 1000.0, self.outcome.operation)?;
            }
        }
        for (name, value, unit) in self.figures() {
            writeln!(f, "  {name} {value:.3} {unit}")?;
        }
        write!(f, "  latency           ")?;
        for percentile in PERCENTILES {
            let value = self.latency.value_at_quantile(percentile / 100.0) as f64 / 1000.0;
            write!(f, "  p{percentile} {value:.0} µs")?;
        }
        let [lost, repeated, reordered, strayed] =
            [self.sum(|m| m.lost), self.sum(|m| m.repeated), self.sum(|m| m.reordered), self.sum(|m| m.strayed)];
        writeln!(f, "\n  lost {lost}, repeated {repeated}, out of order {reordered}, astray {strayed}")?;
        let (server, client) = (self.busy(|m| m.server.total()) * 100.0, self.busy(|m| m.client) * 100.0);
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
    use crate::cli::bench::Cores;
    use crate::cli::bench::outcome::{CpuTime, Turn};

    fn measured(server_ns: u64, deliveries: u64) -> Measured {
        let server = CpuTime { user: Duration::from_nanos(server_ns), ..CpuTime::default() };
        let elapsed = Duration::from_secs(1);
        Measured { deliveries, elapsed, server, client: Duration::from_millis(500), ..Measured::nothing() }
    }

    fn round(parlor: Measured, copied: Measured, gathered: Measured) -> Round {
        let turn = |subject: &str, measured| Turn { subject: subject.into(), measured };
        Round { turns: vec![turn(PARLOR, parlor), turn(FLOOR_COPIED, copied), turn(FLOOR_GATHERED, gathered)] }
    }

    fn outcome(rounds: Vec<Round>) -> Outcome {
        Outcome {
            scenario: "fanout",
            title: "fanout".into(),
            parameters: Vec::new(),
            operation: "delivery",
            pace: Some(Pace::Window(1)),
            cores: Cores { server: 0, client: 1 },
            own_server: true,
            rounds,
        }
    }

    #[test]
    fn the_ratio_is_to_the_cheaper_floor_of_the_same_round() {
        let round =
            |parlor, copied, gathered| round(measured(parlor, 100), measured(copied, 100), measured(gathered, 100));
        let outcome = outcome(vec![round(1200, 1000, 2000), round(2600, 3000, 2000), round(1500, 1000, 1000)]);
        let report = Report::new(&outcome);
        assert_eq!(report.ratios(), [1.2, 1.3, 1.5]);
        assert!(report.to_string().contains("1.30 × the cheaper floor (1.20 to 1.50 in 3 rounds)"));
    }

    #[test]
    fn a_busy_client_gets_no_verdict() {
        let mut parlor = measured(500_000_000, 100);
        parlor.client = Duration::from_millis(990);
        let outcome = outcome(vec![round(parlor, measured(1, 1), measured(1, 1))]);
        assert!(Report::new(&outcome).to_string().contains("no verdict"));
    }

    #[test]
    fn what_is_lost_is_said() {
        let mut parlor = measured(1000, 100);
        parlor.lost = 3;
        let outcome = outcome(vec![round(parlor, measured(1, 1), measured(1, 1))]);
        let report = Report::new(&outcome);
        assert!(!report.is_clean());
        assert!(report.to_string().contains("lost 3, repeated 0, out of order 0"));
        assert!(report.json().contains("\"lost\": 3"));
    }
}
