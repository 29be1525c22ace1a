//! Bars: processor time per delivery and throughput, one bar per subject.

use super::scale::Scale;
use super::style::{WIDTH, class_of};
use super::svg::{Anchor, Svg};
use crate::result::findings::Findings;
use crate::result::record::Record;
use crate::result::units::plural;
use crate::result::units::{count, micro};

const LEFT: f64 = 150.0;
const RIGHT: f64 = 96.0;
const TOP: f64 = 58.0;
const ROW: f64 = 34.0;
const BAR: f64 = 20.0;

/// One bar.
struct Bar {
    label: String,
    class: &'static str,
    /// Parts from the left, the later ones lighter.
    parts: [f64; 2],
    interval: Option<(f64, f64)>,
    value: String,
}

/// Server CPU per delivery, user and kernel apart, with the interval of the median. `None`: it is not known.
#[must_use]
pub fn cost(record: &Record, findings: &Findings) -> Option<Svg> {
    let bars: Vec<Bar> = record
        .subjects
        .iter()
        .zip(&findings.subjects)
        .filter_map(|(subject, figures)| {
            let spread = figures.server_ns_per_delivery?;
            // What is not told apart is drawn light, most of it being the kernel's everywhere.
            let user = figures.user_ns_per_delivery.unwrap_or(0.0);
            Some(Bar {
                label: subject.label.clone(),
                class: class_of(&subject.name),
                parts: [user, spread.median - user],
                interval: Some((spread.low, spread.high)),
                value: micro(spread.median),
            })
        })
        .collect();
    let heading = format!("Server CPU per {}", record.operation);
    (!bars.is_empty()).then(|| draw(&heading, "solid: user space, light: kernel; line: interval of the median", &bars))
}

/// Deliveries a second.
#[must_use]
pub fn throughput(record: &Record, findings: &Findings) -> Svg {
    let bars: Vec<Bar> = record
        .subjects
        .iter()
        .zip(&findings.subjects)
        .map(|(subject, figures)| Bar {
            label: subject.label.clone(),
            class: class_of(&subject.name),
            parts: [figures.deliveries_per_second, 0.0],
            interval: None,
            value: format!("{}/s", count(figures.deliveries_per_second)),
        })
        .collect();
    let operations = plural(&record.operation);
    draw(&format!("Throughput, {operations} a second"), "the load's pace and its core limit it too", &bars)
}

fn draw(heading: &str, remark: &str, bars: &[Bar]) -> Svg {
    let bottom = TOP + ROW * bars.len() as f64;
    let mut svg = Svg::new(WIDTH, bottom + 14.0, heading);
    svg.text((16.0, 24.0), "heading", Anchor::Start, heading);
    svg.text((16.0, 42.0), "soft", Anchor::Start, remark);
    let end = |bar: &Bar| bar.interval.map_or(0.0, |(_, high)| high).max(bar.parts.iter().sum());
    // One wild round must not press the bars together.
    let longest = bars.iter().map(|bar| bar.parts.iter().sum()).fold(0.0, f64::max);
    let most = bars.iter().map(end).fold(0.0, f64::max).min(longest * 1.35);
    let scale = Scale::linear(most, LEFT, WIDTH - RIGHT);
    for (at, bar) in bars.iter().enumerate() {
        let y = TOP + ROW * at as f64;
        draw_bar(&mut svg, &scale, bar, y);
    }
    svg
}

fn draw_bar(svg: &mut Svg, scale: &Scale, bar: &Bar, y: f64) {
    let middle = y + BAR / 2.0;
    svg.text((LEFT - 10.0, middle + 4.0), "label", Anchor::End, &bar.label);
    let [first, second] = bar.parts;
    let (start, split, end) = (scale.at(0.0), scale.at(first), scale.at(first + second));
    svg.rect((start, y), (split - start, BAR), bar.class);
    svg.rect((split, y), (end - split, BAR), &format!("{} light", bar.class));
    let mut text_at = end;
    if let Some((low, high)) = bar.interval {
        let (low, high) = (scale.at(low), scale.at(high));
        svg.line((low, middle), (high, middle), "whisker");
        svg.line((low, middle - 4.0), (low, middle + 4.0), "whisker");
        svg.line((high, middle - 4.0), (high, middle + 4.0), "whisker");
        text_at = text_at.max(high);
    }
    svg.text((text_at + 8.0, middle + 4.0), "strong", Anchor::Start, &bar.value);
}
