//! The latency curve: how long so many in a hundred took, both axes logarithmic, so that the rare long ones are seen.

use super::scale::Scale;
use super::style::{WIDTH, class_of, legend};
use super::svg::{Anchor, Svg};
use crate::result::record::{Record, Subject};
use crate::result::units::time;

const HEIGHT: f64 = 330.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 74.0;
const BOTTOM: f64 = 40.0;
/// Percentiles that are written on the axis, with one in how many is beyond them.
const PERCENTILES: [(&str, f64); 7] = [
    ("50 %", 2.0),
    ("90 %", 1e1),
    ("99 %", 1e2),
    ("99.9 %", 1e3),
    ("99.99 %", 1e4),
    ("99.999 %", 1e5),
    ("99.9999 %", 1e6),
];

/// Draws the distributions of all subjects. `None`: nobody has one.
#[must_use]
pub fn curve(record: &Record) -> Option<Svg> {
    let subjects: Vec<&Subject> = record.subjects.iter().filter(|subject| subject.latency.count > 0).collect();
    let least = subjects.iter().map(|subject| subject.latency.at(0.0).max(1)).min()? as f64;
    let most = subjects.iter().map(|subject| subject.latency.max_ns).max()? as f64;
    let count = subjects.iter().map(|subject| subject.latency.count).max()? as f64;
    let mut svg = Svg::new(WIDTH, HEIGHT, "Latency by percentile");
    svg.text((16.0, 24.0), "heading", Anchor::Start, "Latency by percentile, from the intended send time");
    legend(&mut svg, 44.0, subjects.iter().map(|subject| (subject.label.as_str(), class_of(&subject.name))));
    let x = Scale::logarithmic(1.0, count.clamp(100.0, 1e6), LEFT, WIDTH - RIGHT);
    let y = Scale::logarithmic(least, most, HEIGHT - BOTTOM, TOP);
    axes(&mut svg, &x, &y, count);
    for subject in subjects.iter().rev() {
        let class =
            format!("curve {}{}", class_of(&subject.name), if subject.name == "parlor" { " thick" } else { "" });
        svg.polyline(&points(subject, &x, &y), &class);
    }
    Some(svg)
}

fn axes(svg: &mut Svg, x: &Scale, y: &Scale, count: f64) {
    for value in y.ticks(6) {
        let at = y.at(value);
        svg.line((LEFT, at), (WIDTH - RIGHT, at), "rule");
        svg.text((LEFT - 8.0, at + 4.0), "soft", Anchor::End, time(value as u64));
    }
    for (name, beyond) in PERCENTILES.into_iter().filter(|(_, beyond)| *beyond <= count.max(100.0)) {
        let at = x.at(beyond);
        svg.line((at, TOP), (at, HEIGHT - BOTTOM), "rule");
        svg.text((at, HEIGHT - BOTTOM + 18.0), "soft", Anchor::Middle, name);
    }
    svg.line((LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, HEIGHT - BOTTOM), "axis");
}

fn points(subject: &Subject, x: &Scale, y: &Scale) -> Vec<(f64, f64)> {
    let beyond = |quantile: f64| if quantile < 1.0 { 1.0 / (1.0 - quantile) } else { f64::INFINITY };
    let steps = subject.latency.steps.iter();
    let mut points: Vec<(f64, f64)> =
        steps.map(|(quantile, ns, _)| (x.at(beyond(*quantile)), y.at(*ns as f64))).collect();
    points.dedup();
    points
}
