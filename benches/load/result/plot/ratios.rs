//! The ratios: Parlor's cost as a multiple of each other's, every round a dot, the median and its interval.

use super::scale::Scale;
use super::style::{WIDTH, class_of};
use super::svg::{Anchor, Svg};
use crate::result::findings::Findings;
use crate::result::summary::against;

const LEFT: f64 = 150.0;
const RIGHT: f64 = 76.0;
const TOP: f64 = 66.0;
const ROW: f64 = 38.0;

/// Draws them. `None`: there are none.
#[must_use]
pub fn ratios(findings: &Findings) -> Option<Svg> {
    let ratios = &findings.ratios;
    let rounds = || ratios.iter().flat_map(|ratio| ratio.rounds.iter().copied()).filter(|value| *value > 0.0);
    let least = rounds().reduce(f64::min)?.min(0.95) * 0.97;
    let most = rounds().reduce(f64::max)?.max(1.05) * 1.03;
    let bottom = TOP + ROW * ratios.len() as f64;
    let mut svg = Svg::new(WIDTH, bottom + 34.0, "Parlor's CPU per delivery as a multiple of others'");
    svg.text((16.0, 24.0), "heading", Anchor::Start, "Parlor's server CPU as a multiple of …");
    let remark = "left of 1: Parlor takes less; a dot is a round, the bar holds the median";
    svg.text((16.0, 42.0), "soft", Anchor::Start, remark);
    let x = Scale::logarithmic(least, most, LEFT, WIDTH - RIGHT);
    axis(&mut svg, &x, bottom);
    for (at, ratio) in ratios.iter().enumerate() {
        let y = TOP + ROW * (at as f64 + 0.5);
        let class = class_of(&ratio.against);
        let name = if ratio.client_limited {
            format!("{} *", against(&ratio.against))
        } else {
            against(&ratio.against).to_owned()
        };
        svg.text((LEFT - 10.0, y + 4.0), "label", Anchor::End, name);
        let (low, high) = (x.at(ratio.spread.low), x.at(ratio.spread.high));
        svg.rect((low, y - 7.0), ((high - low).max(2.0), 14.0), &format!("{class} light"));
        ratio.rounds.iter().for_each(|round| svg.dot((x.at(*round), y), 2.5, class));
        let middle = x.at(ratio.spread.median);
        svg.line((middle, y - 10.0), (middle, y + 10.0), "whisker");
        svg.text((WIDTH - RIGHT + 12.0, y + 4.0), "strong", Anchor::Start, format!("{:.2} ×", ratio.spread.median));
    }
    if ratios.iter().any(|ratio| ratio.client_limited) {
        svg.text((WIDTH - 16.0, 24.0), "soft", Anchor::End, "* the load was the limit: no verdict");
    }
    Some(svg)
}

fn axis(svg: &mut Svg, x: &Scale, bottom: f64) {
    for value in x.ticks(5) {
        let at = x.at(value);
        svg.line((at, TOP), (at, bottom), "rule");
        svg.text((at, bottom + 18.0), "soft", Anchor::Middle, trimmed(value));
    }
    svg.line((x.at(1.0), TOP - 4.0), (x.at(1.0), bottom), "mark");
}

/// At most three decimals, and no zeros at the end.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
