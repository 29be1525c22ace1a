//! What a bench says at its end, for people.

use std::fmt;

use super::findings::{Findings, Ratio};
use super::record::{Record, Stamp};
use super::{stats, sweep};

/// A record and what follows from it, as text.
pub struct Summary<'a> {
    /// What was measured.
    pub record: &'a Record,
    /// What follows from it.
    pub findings: &'a Findings,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.record.title)?;
        stamp(f, &self.record.stamp)?;
        self.subjects(f)?;
        self.figures(f)?;
        self.latencies(f)?;
        if let Some(sweep) = &self.record.sweep {
            writeln!(f, "{}", sweep::text(sweep))?;
        }
        writeln!(f, "  {}", self.findings.faults)?;
        self.verdict(f)?;
        self.record.notes.iter().try_for_each(|note| writeln!(f, "  {note}"))
    }
}

fn stamp(f: &mut fmt::Formatter<'_>, stamp: &Stamp) -> fmt::Result {
    writeln!(f, "  {}, {}, {} cores, {}", stamp.parlor, stamp.cpu, stamp.cores, stamp.kernel)?;
    let mut settings: Vec<String> = stamp.tuning.iter().map(|(name, value)| format!("{name} {value}")).collect();
    settings.extend(stamp.shards.iter().map(|(name, value)| format!("{name} {value}")));
    if !settings.is_empty() {
        writeln!(f, "  {}", settings.join(", "))?;
    }
    writeln!(f, "  servers on core {}, load on core {}", stamp.server_core, stamp.client_core)
}

impl Summary<'_> {
    fn subjects(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operation = &self.record.operation;
        writeln!(
            f,
            "\n  {:<22}{:>14}{:>16}{:>10}{:>10}{:>9}{:>7}",
            "",
            format!("{}/s", plural(operation)),
            format!("CPU/{operation}"),
            "user",
            "kernel",
            "server",
            "load"
        )?;
        for (subject, figures) in self.record.subjects.iter().zip(&self.findings.subjects) {
            let micro = |ns: Option<f64>| ns.map_or_else(|| "–".to_owned(), |ns| format!("{:.3} µs", ns / 1000.0));
            let cost = figures.server_ns_per_delivery.map(|spread| spread.median);
            writeln!(
                f,
                "  {:<22}{:>14.0}{:>16}{:>10}{:>10}{:>9}{:>7}",
                subject.label,
                figures.deliveries_per_second,
                micro(cost),
                micro(figures.user_ns_per_delivery),
                micro(figures.kernel_ns_per_delivery),
                if subject.own_server { percent(figures.server_busy) } else { "–".to_owned() },
                percent(figures.client_busy),
            )?;
        }
        Ok(())
    }

    /// What only this scenario tells: medians of the rounds.
    fn figures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for subject in &self.record.subjects {
            for figure in subject.turns.first().map_or(&[][..], |turn| &turn.figures) {
                let Some(median) = stats::median(&subject.figure(&figure.name)) else { continue };
                writeln!(f, "  {:<22}{} {median:.3} {}", subject.label, figure.name.replace('_', " "), figure.unit)?;
            }
        }
        Ok(())
    }

    fn latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n  {:<22}{:>10}{:>10}{:>10}{:>10}{:>10}", "latency", "p50", "p90", "p99", "p99.9", "max")?;
        for subject in self.record.subjects.iter().filter(|subject| subject.latency.count > 0) {
            let latency = &subject.latency;
            let [p50, p90, p99, p999] = [0.5, 0.9, 0.99, 0.999].map(|quantile| time(latency.at(quantile)));
            let max = time(latency.max_ns);
            writeln!(f, "  {:<22}{p50:>10}{p90:>10}{p99:>10}{p999:>10}{max:>10}", subject.label)?;
        }
        writeln!(f)
    }

    fn verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}", self.findings.limit)?;
        if !self.findings.has_verdict() {
            return writeln!(f, "  no verdict: the load could do no more, the server could");
        }
        if self.findings.ratios.is_empty() && !self.record.parlor().own_server {
            return writeln!(f, "  no verdict: processor time is known of a server of the bench's own only");
        }
        self.findings.ratios.iter().try_for_each(|ratio| writeln!(f, "  {}", verdict(ratio)))
    }
}

/// One ratio as a sentence.
#[must_use]
pub fn verdict(ratio: &Ratio) -> String {
    let name = against(&ratio.against);
    if ratio.client_limited {
        return format!("no verdict against {name}: the load could do no more");
    }
    let spread = ratio.spread;
    format!(
        "{:.2} × {name} ({:.2} to {:.2} in {} rounds, {:.0} % sure)",
        spread.median,
        spread.low,
        spread.high,
        ratio.rounds.len(),
        spread.coverage * 100.0
    )
}

/// What the other side of a ratio is called.
#[must_use]
pub fn against(name: &str) -> &str {
    match name {
        "floor" => "the cheaper floor",
        "redis" => "Redis",
        "nats" => "NATS",
        other => other,
    }
}

/// Nanoseconds for people.
#[must_use]
pub fn time(ns: u64) -> String {
    let ns = ns as f64;
    match ns {
        _ if ns < 1e3 => format!("{ns:.0} ns"),
        _ if ns < 1e4 => format!("{:.1} µs", ns / 1e3),
        _ if ns < 1e6 => format!("{:.0} µs", ns / 1e3),
        _ if ns < 1e7 => format!("{:.1} ms", ns / 1e6),
        _ if ns < 1e9 => format!("{:.0} ms", ns / 1e6),
        _ => format!("{:.1} s", ns / 1e9),
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// `deliveries` of `delivery`.
#[must_use]
pub fn plural(operation: &str) -> String {
    operation.strip_suffix('y').map_or_else(|| format!("{operation}s"), |stem| format!("{stem}ies"))
}
