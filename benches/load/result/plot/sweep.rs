//! The curve of a sweep: the 99th percentile against the rate.

use super::scale::Scale;
use super::style::{WIDTH, legend};
use super::svg::{Anchor, Svg};
use crate::result::record::{Step, Sweep};
use crate::result::stats;
use crate::result::sweep_text::verdict;
use crate::result::units::count;
use crate::result::units::time;

const HEIGHT: f64 = 330.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 74.0;
const BOTTOM: f64 = 44.0;

/// Draws it. `None`: nothing was tried.
#[must_use]
pub fn sweep(sweep: &Sweep) -> Option<Svg> {
    let mut steps: Vec<&Step> = sweep.steps.iter().filter(|step| step.error.is_none()).collect();
    steps.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    let (first, last) = (steps.first()?, steps.last()?);
    let limit = sweep.p99_max_ns as f64;
    let all = || steps.iter().flat_map(|step| step.p50_ns.iter().chain(&step.p99_ns)).map(|ns| (*ns).max(1) as f64);
    let least = all().fold(limit, f64::min);
    let most = all().fold(limit, f64::max);
    let x = Scale::logarithmic(first.rate * 0.95, last.rate * 1.05, LEFT, WIDTH - RIGHT);
    let y = Scale::logarithmic(least * 0.8, most * 1.2, HEIGHT - BOTTOM, TOP);
    let mut svg = Svg::new(WIDTH, HEIGHT, "Latency against the rate");
    svg.text((16.0, 24.0), "heading", Anchor::Start, verdict(sweep));
    legend(&mut svg, 44.0, [("99th percentile", "s0"), ("median", "s1")].into_iter());
    axes(&mut svg, &x, &y);
    svg.line((LEFT, y.at(limit)), (WIDTH - RIGHT, y.at(limit)), "mark");
    let middle = |values: &[u64]| stats::median(&values.iter().map(|ns| *ns as f64).collect::<Vec<_>>()).unwrap_or(0.0);
    let points = |of: fn(&Step) -> &[u64]| -> Vec<(f64, f64)> {
        steps.iter().map(|step| (x.at(step.rate), y.at(middle(of(step))))).collect()
    };
    svg.polyline(&points(|step| &step.p50_ns), "curve s1");
    let p99 = points(|step| &step.p99_ns);
    svg.polyline(&p99, "curve s0 thick");
    for (step, point) in steps.iter().zip(p99) {
        svg.dot(point, 4.0, if step.held { "s0" } else { "hollow s0" });
    }
    Some(svg)
}

fn axes(svg: &mut Svg, x: &Scale, y: &Scale) {
    for value in y.ticks(6) {
        let at = y.at(value);
        svg.line((LEFT, at), (WIDTH - RIGHT, at), "rule");
        svg.text((LEFT - 8.0, at + 4.0), "soft", Anchor::End, time(value as u64));
    }
    for value in x.ticks(6) {
        svg.text((x.at(value), HEIGHT - BOTTOM + 18.0), "soft", Anchor::Middle, count(value));
    }
    svg.line((LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, HEIGHT - BOTTOM), "axis");
    svg.text((WIDTH - RIGHT, HEIGHT - 8.0), "soft", Anchor::End, "messages a second");
}
