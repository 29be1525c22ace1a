//! What a bench says at its end, for people.

use std::fmt;

use crate::result::findings::{Findings, Ratio};
use crate::result::outcome::ANSWERING_FLOOR;
use crate::result::record::{Record, Stamp};
use crate::result::stats;
use crate::result::sweep_text;
use crate::result::units::{cost, in_units, percent, plural, time};

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
        writeln!(f)?;
        if self.record.has_rates() {
            self.subjects(f)?;
        }
        self.figures(f)?;
        self.latencies(f)?;
        writeln!(f)?;
        if let Some(sweep) = &self.record.sweep {
            writeln!(f, "{}", sweep_text::text(sweep))?;
        }
        writeln!(f, "  {}", self.findings.faults)?;
        conclusions(self.record, self.findings).iter().try_for_each(|sentence| writeln!(f, "  {sentence}"))
    }
}

fn stamp(f: &mut fmt::Formatter<'_>, stamp: &Stamp) -> fmt::Result {
    writeln!(f, "  {} ({}), {}, {} cores, {}", stamp.parlor, stamp.build, stamp.cpu, stamp.cores, stamp.kernel)?;
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
            "  {:<22}{:>14}{:>16}{:>11}{:>11}{:>9}{:>7}",
            "",
            format!("{}/s", plural(operation)),
            format!("CPU/{operation}"),
            "user",
            "kernel",
            "server",
            "load"
        )?;
        for (subject, figures) in self.record.subjects.iter().zip(&self.findings.subjects) {
            let known = |ns: Option<f64>| ns.map_or_else(|| "–".to_owned(), cost);
            let total = figures.server_ns_per_delivery.map(|spread| spread.median);
            writeln!(
                f,
                "  {:<22}{:>14.0}{:>16}{:>11}{:>11}{:>9}{:>7}",
                subject.label,
                figures.deliveries_per_second,
                known(total),
                known(figures.user_ns_per_delivery),
                known(figures.kernel_ns_per_delivery),
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
                let name = figure.name.replace('_', " ");
                writeln!(f, "  {:<22}{name:<40}{:>12}", subject.label, in_units(median, &figure.unit))?;
            }
        }
        Ok(())
    }

    fn latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subjects: Vec<_> = self.record.subjects.iter().filter(|subject| subject.latency.count > 0).collect();
        if subjects.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n  {:<22}{:>10}{:>10}{:>10}{:>10}{:>10}", "latency", "p50", "p90", "p99", "p99.9", "max")?;
        for subject in subjects {
            let latency = &subject.latency;
            let [p50, p90, p99, p999] = [0.5, 0.9, 0.99, 0.999].map(|quantile| time(latency.at(quantile)));
            let max = time(latency.max_ns);
            writeln!(f, "  {:<22}{p50:>10}{p90:>10}{p99:>10}{p999:>10}{max:>10}", subject.label)?;
        }
        Ok(())
    }
}

/// What follows, in sentences: who was the limit, and the verdict or why there is none.
#[must_use]
pub fn conclusions(record: &Record, findings: &Findings) -> Vec<String> {
    let mut sentences = Vec::new();
    if record.has_rates() {
        sentences.push(findings.limit.to_string());
    }
    if !findings.has_verdict() {
        sentences.push("no verdict: the load was the limit, not the server".to_owned());
    } else if !record.parlor().own_server {
        sentences.push("no verdict: the processor time of a server elsewhere is unknown".to_owned());
    } else {
        sentences.extend(findings.ratios.iter().map(|ratio| verdict(ratio, &record.operation)));
    }
    sentences.extend(record.notes.iter().cloned());
    sentences
}

/// The ratio of what an operation costs as a sentence.
#[must_use]
pub fn verdict(ratio: &Ratio, operation: &str) -> String {
    let name = against(&ratio.against);
    if ratio.client_limited {
        return format!("no verdict against {name}: the load was the limit");
    }
    let spread = ratio.spread;
    let how_sure = match ratio.rounds.len() {
        1 => "one round only".to_owned(),
        rounds => {
            format!("{:.2} to {:.2} in {rounds} rounds, {:.0} % sure", spread.low, spread.high, spread.coverage * 100.0)
        }
    };
    format!("server CPU per {operation}: {:.2} × {name} ({how_sure})", spread.median)
}

/// What the other side of a ratio is called.
#[must_use]
pub fn against(name: &str) -> &str {
    match name {
        "floor" => "the cheaper floor",
        ANSWERING_FLOOR => "the floor that answers",
        "redis" => "Redis",
        "nats" => "NATS",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_in_units_that_can_be_read() {
        let cases = [
            (1_830_399.0, "ns", "1.8 ms"),
            (12_312_576.0, "B", "12.31 MB"),
            (7168.0, "B", "7168 B"),
            (65_536.0, "B", "65.5 kB"),
            (301.0, "", "301"),
            (28.4, "", "28.4"),
            (0.293, "×", "0.29 ×"),
            (828.276, "MB/s", "828.3 MB/s"),
        ];
        for (value, unit, text) in cases {
            assert_eq!(in_units(value, unit), text);
        }
        assert_eq!([223.4, 99_930.0, 6_286_069.0].map(cost), ["0.223 µs", "99.9 µs", "6.29 ms"]);
    }
}
