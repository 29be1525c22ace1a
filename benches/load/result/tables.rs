//! A result as tables: CSV with a line per turn, and the percentile table of HdrHistogram.

use std::fmt::Write as _;

use crate::result::latency::Latency;
use crate::result::record::{Record, Turn};

/// A column: its name, and its value of a turn.
type Column = (&'static str, fn(&Turn) -> u64);

/// Columns of a turn, in their order.
const COLUMNS: [Column; 16] = [
    ("deliveries", |turn| turn.deliveries),
    ("elapsed_ns", |turn| turn.elapsed_ns),
    ("server_user_ns", |turn| turn.user_ns),
    ("server_system_ns", |turn| turn.system_ns),
    ("server_softirq_ns", |turn| turn.softirq_ns),
    ("server_busiest_ns", |turn| turn.busiest_ns),
    ("client_ns", |turn| turn.client_ns),
    ("p50_ns", |turn| turn.latency_ns.p50),
    ("p90_ns", |turn| turn.latency_ns.p90),
    ("p99_ns", |turn| turn.latency_ns.p99),
    ("p999_ns", |turn| turn.latency_ns.p999),
    ("max_ns", |turn| turn.latency_ns.max),
    ("lost", |turn| turn.lost),
    ("repeated", |turn| turn.repeated),
    ("reordered", |turn| turn.reordered),
    ("strayed", |turn| turn.strayed),
];

/// Every turn of every subject as a line (RFC 4180), the scenario's own figures in columns at the end.
#[must_use]
pub fn csv(record: &Record) -> String {
    let figures: Vec<&str> =
        record.parlor().turns.first().map_or(&[][..], |turn| &turn.figures).iter().map(|f| f.name.as_str()).collect();
    let mut out = String::from("scenario,subject,round");
    COLUMNS.iter().map(|(name, _)| *name).chain(figures.iter().copied()).for_each(|name| {
        out.push(',');
        out.push_str(name);
    });
    out.push_str("\r\n");
    for subject in &record.subjects {
        for (round, turn) in subject.turns.iter().enumerate() {
            let _ = write!(out, "{},{},{}", field(&record.scenario), field(&subject.name), round + 1);
            COLUMNS.iter().for_each(|(_, of)| out.push_str(&format!(",{}", of(turn))));
            for name in &figures {
                let value = turn.figures.iter().find(|figure| figure.name == *name).map(|figure| figure.value);
                let _ = write!(out, ",{}", value.map(|value| value.to_string()).unwrap_or_default());
            }
            out.push_str("\r\n");
        }
    }
    out
}

fn field(text: &str) -> String {
    if text.contains([',', '"', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// Latencies in the percentile format of HdrHistogram, in microseconds.
#[must_use]
pub fn hgrm(latency: &Latency) -> String {
    let mut out = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
    for (quantile, ns, count) in &latency.steps {
        let value = *ns as f64 / 1000.0;
        let _ = writeln!(out, "{value:12.3} {quantile:2.12} {count:10} {:14.2}", 1.0 / (1.0 - quantile));
    }
    let _ = writeln!(
        out,
        "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]\n#[Max     = {:12.3}, Total count    = {:12}]",
        latency.mean_ns / 1000.0,
        latency.deviation_ns / 1000.0,
        latency.max_ns as f64 / 1000.0,
        latency.count
    );
    out
}
