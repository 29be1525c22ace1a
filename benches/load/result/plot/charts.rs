//! Which drawings a result has.

use super::bars;
use super::latency;
use super::ratios;
use super::svg::Svg;
use super::sweep;
use crate::result::findings::Findings;
use crate::result::record::Record;

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
