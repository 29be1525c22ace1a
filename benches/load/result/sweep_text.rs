//! What a sweep has found, in words and as a curve of text.

use std::fmt::Write as _;

use crate::result::record::{Step, Sweep};
use crate::result::stats;
use crate::result::units::time;

/// What a sweep has found, in words. Where it was the load that could do no more, or the search was ended early, the highest rate that
/// held is no verdict on the server.
#[must_use]
pub fn verdict(sweep: &Sweep) -> String {
    let bound = time(sweep.p99_max_ns);
    let Some(rate) = sweep.highest else { return format!("no rate that was tried sustains a p99 under {bound}") };
    let limited = sweep.steps.iter().any(|step| step.rate >= rate && step.client_limited);
    let failed =
        sweep.steps.iter().filter(|step| !step.held && step.rate > rate).min_by(|a, b| a.rate.total_cmp(&b.rate));
    let rate = if rate < 100.0 { format!("{rate:.1}") } else { format!("{rate:.0}") };
    match failed {
        _ if limited => {
            format!("{rate} messages per second sustain a p99 under {bound}; no verdict above: the load was the limit")
        }
        Some(_) => format!("{rate} messages per second is the highest rate with p99 under {bound}"),
        None => {
            format!(
                "at least {rate} messages per second sustain a p99 under {bound}: no higher rate was tried to its end"
            )
        }
    }
}

/// Characters of the longest bar.
const BAR: f64 = 40.0;

/// The curve as text: a line per rate, the bar as long as the logarithm of the 99th percentile.
#[must_use]
pub fn text(sweep: &Sweep) -> String {
    let mut steps: Vec<&Step> = sweep.steps.iter().collect();
    steps.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    let middle =
        |ns: &[u64]| stats::median(&ns.iter().map(|ns| *ns as f64).collect::<Vec<_>>()).unwrap_or(0.0).max(1.0);
    let bound = sweep.p99_max_ns.max(1) as f64;
    let all = || steps.iter().map(|step| middle(&step.p99_ns)).chain([bound]);
    let (least, most) = (all().fold(f64::MAX, f64::min) / 1.5, all().fold(1.0, f64::max));
    let length = |ns: f64| ((ns / least).ln() / (most / least).ln() * BAR).round() as usize;
    let mut out = format!("  {:>10}{:>10}{:>10}\n", "messages/s", "p50", "p99");
    for step in steps {
        let mut bar: Vec<char> = "▇".repeat(length(middle(&step.p99_ns))).chars().collect();
        bar.resize(bar.len().max(length(bound) + 1), ' ');
        bar[length(bound)] = '│';
        let bar: String = bar.into_iter().collect();
        let bar = bar.trim_end();
        let [p50, p99] = [&step.p50_ns, &step.p99_ns].map(|ns| time(middle(ns) as u64));
        let why = match step {
            Step { error: Some(error), .. } => error.as_str(),
            Step { held: true, .. } => "",
            Step { client_limited: true, .. } => "the load was the limit",
            _ => "not sustained",
        };
        let _ = writeln!(out, "  {:>10.0}{p50:>10}{p99:>10}  {bar}  {why}", step.rate);
    }
    let _ = writeln!(out, "  {}", verdict(sweep));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(rate: f64, us: u64, held: bool) -> Step {
        Step { rate, p50_ns: vec![us * 500], p99_ns: vec![us * 1000], held, client_limited: false, error: None }
    }

    #[test]
    fn a_load_that_can_do_no_more_and_a_search_cut_short_give_no_verdict() {
        let step = |rate, held, client_limited| Step { client_limited, ..tried(rate, 1, held) };
        let found = |steps| verdict(&Sweep { p99_max_ns: 1_000_000, highest: Some(100.0), steps });
        let (low, high) = (step(100.0, true, false), step(200.0, false, false));
        assert_eq!(
            found(vec![low.clone(), high.clone()]),
            "100 messages per second is the highest rate with p99 under 1.0 ms"
        );
        assert!(found(vec![low.clone(), step(150.0, false, true), high]).contains("no verdict above"));
        assert!(found(vec![step(100.0, true, true), step(200.0, false, false)]).contains("no verdict above"));
        assert!(found(vec![low]).contains("at least"));
    }

    #[test]
    fn the_curve_is_drawn() {
        let sweep = Sweep {
            p99_max_ns: 1_000_000,
            highest: Some(200.0),
            steps: vec![tried(400.0, 9000, false), tried(200.0, 300, true)],
        };
        let text = text(&sweep);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].trim_start().starts_with("200") && lines[1].contains('│'), "{text}");
        assert!(lines[2].ends_with("not sustained"), "{text}");
        assert!(lines[3].contains("200 messages per second is the highest rate with p99 under 1.0 ms"), "{text}");
    }
}
