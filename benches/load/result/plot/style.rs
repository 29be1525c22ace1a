//! What all drawings have in common: their width, the colours of subjects, the legend.

use super::svg::{Anchor, Svg};
use crate::result::findings::is_floor;

/// Pixels of every drawing.
pub const WIDTH: f64 = 620.0;

/// The class that gives a subject its colour everywhere.
#[must_use]
pub fn class_of(subject: &str) -> &'static str {
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
pub fn legend<'a>(svg: &mut Svg, y: f64, entries: impl Iterator<Item = (&'a str, &'static str)>) {
    let mut x = 16.0;
    for (name, class) in entries {
        svg.rect((x, y), (12.0, 12.0), class);
        svg.text((x + 17.0, y + 10.0), "soft", Anchor::Start, name);
        x += 34.0 + 6.2 * name.chars().count() as f64;
    }
}
