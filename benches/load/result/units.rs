//! Numbers with their units, as people read them.

/// A figure for people.
#[must_use]
pub fn in_units(value: f64, unit: &str) -> String {
    match unit {
        "ns" => time(value.max(0.0) as u64),
        "B" if value >= 1e6 => format!("{:.2} MB", value / 1e6),
        "B" if value >= 1e4 => format!("{:.1} kB", value / 1e3),
        "B" => format!("{value:.0} B"),
        "" if value.fract() == 0.0 => format!("{value:.0}"),
        "" => format!("{value:.1}"),
        "×" => format!("{value:.2} ×"),
        unit => format!("{value:.1} {unit}"),
    }
}

/// Nanoseconds of processor time for people, to three figures at least.
#[must_use]
pub fn cost(ns: f64) -> String {
    match ns {
        _ if ns < 1e4 => format!("{:.3} µs", ns / 1e3),
        _ if ns < 1e6 => format!("{:.1} µs", ns / 1e3),
        _ => format!("{:.2} ms", ns / 1e6),
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

/// A share as a percentage.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// `deliveries` of `delivery`.
#[must_use]
pub fn plural(operation: &str) -> String {
    operation.strip_suffix('y').map_or_else(|| format!("{operation}s"), |stem| format!("{stem}ies"))
}

/// Nanoseconds as microseconds.
#[must_use]
pub fn micro(ns: f64) -> String {
    if ns < 1e4 { format!("{:.2} µs", ns / 1e3) } else { format!("{:.1} µs", ns / 1e3) }
}

#[must_use]
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
