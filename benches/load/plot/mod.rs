//! A result as pictures: SVG drawings, and a page that has all of them.

mod bars;
mod latency;
mod page;
mod ratios;
mod scale;
mod svg;
mod sweep;

use crate::findings::{Findings, is_floor};
use crate::record::Record;
use svg::{Anchor, Svg};

pub use page::page;

/// Pixels of every drawing.
const WIDTH: f64 = 620.0;

/// The drawings of a result with their names: those that it has something for.
#[must_use]
pub fn charts(record: &Record, findings: &Findings) -> Vec<(&'static str, Svg)> {
    let drawings = [
        ("sweep", record.sweep.as_ref().and_then(sweep::sweep)),
        ("cpu", bars::cost(record, findings).filter(|_| record.has_rates())),
        ("ratios", ratios::ratios(findings)),
        ("latency", latency::curve(record)),
        ("throughput", (record.sweep.is_none() && record.has_rates()).then(|| bars::throughput(record, findings))),
    ];
    drawings.into_iter().filter_map(|(name, svg)| Some((name, svg?))).collect()
}

/// The drawings as files: name and content.
#[must_use]
pub fn files(record: &Record, findings: &Findings) -> Vec<(&'static str, String)> {
    charts(record, findings).into_iter().map(|(name, svg)| (name, svg.standalone())).collect()
}

/// The class that gives a subject its colour everywhere.
fn class_of(subject: &str) -> &'static str {
    match subject {
        "parlor" => "s0",
        "floor gathered" => "s2",
        "redis" => "s3",
        "nats" => "s4",
        floor if is_floor(floor) => "s1",
        _ => "s5",
    }
}

/// Writes names with their colours in a line.
fn legend<'a>(svg: &mut Svg, y: f64, entries: impl Iterator<Item = (&'a str, &'static str)>) {
    let mut x = 16.0;
    for (name, class) in entries {
        svg.rect((x, y), (12.0, 12.0), class);
        svg.text((x + 17.0, y + 10.0), "soft", Anchor::Start, name);
        x += 34.0 + 6.2 * name.chars().count() as f64;
    }
}

/// Nanoseconds as microseconds.
fn micro(ns: f64) -> String {
    if ns < 1e4 { format!("{:.2} µs", ns / 1e3) } else { format!("{:.1} µs", ns / 1e3) }
}

/// A count with three figures.
pub fn count(value: f64) -> String {
    match value {
        _ if value >= 1e7 => format!("{:.1} M", value / 1e6),
        _ if value >= 1e6 => format!("{:.2} M", value / 1e6),
        _ if value >= 1e4 => format!("{:.0} k", value / 1e3),
        _ if value >= 1e3 => format!("{:.1} k", value / 1e3),
        _ => format!("{value:.0}"),
    }
}
