//! One page with everything: no script, nothing fetched, light and dark.

use std::fmt::Write as _;

use super::charts::charts;
use super::svg::{STYLE, escape};
use crate::result::findings::{Figures, Findings, is_floor};
use crate::result::record::{Figure, Record, Subject};
use crate::result::stats;
use crate::result::summary;
use crate::result::sweep_text;
use crate::result::units::{count, micro};
use crate::result::units::{in_units, plural, time};

const PAGE_STYLE: &str = include_str!("page.css");

/// The page of one or more results.
#[must_use]
pub fn page(results: &[(Record, Findings)]) -> String {
    let title = match results {
        [(record, _)] => record.title.clone(),
        _ => format!("{} results", results.len()),
    };
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>parlor bench: {}</title>\n\
         <style>\n{STYLE}{PAGE_STYLE}</style>\n</head>\n<body>\n<main>\n",
        escape(&title)
    );
    results.iter().for_each(|(record, findings)| section(&mut out, record, findings));
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn section(out: &mut String, record: &Record, findings: &Findings) {
    let _ = write!(
        out,
        "<section>\n<header>\n<p class=\"kind\">parlor bench {}</p>\n<h1>{}</h1>\n<p class=\"soft\">{}</p>\n</header>\n",
        escape(&record.scenario),
        escape(&record.title),
        escape(&format!("{} · {} · {}", record.stamp.parlor, record.stamp.cpu, record.stamp.kernel))
    );
    cards(out, record, findings);
    verdict(out, record, findings);
    out.push_str("<div class=\"charts\">\n");
    for (name, svg) in charts(record, findings) {
        let _ = write!(out, "<figure id=\"{name}\">\n{}</figure>\n", svg.inline());
    }
    out.push_str("</div>\n");
    if record.has_rates() {
        table(out, record, findings);
    }
    own_figures(out, record);
    stamp(out, record);
    out.push_str("</section>\n");
}

/// The headline figures.
fn cards(out: &mut String, record: &Record, findings: &Findings) {
    let figures = &findings.subjects[0];
    let mut cards = Vec::new();
    if record.has_rates() {
        cards.push((format!("{}/s", plural(&record.operation)), count(figures.deliveries_per_second)));
    }
    if let Some(spread) = figures.server_ns_per_delivery.filter(|_| record.has_rates()) {
        cards.push((format!("server CPU per {}", record.operation), micro(spread.median)));
    }
    for ratio in findings.ratios.iter().filter(|ratio| !ratio.client_limited) {
        cards.push((format!("of {}", summary::against(&ratio.against)), format!("{:.2} ×", ratio.spread.median)));
    }
    if record.parlor().latency.count > 0 {
        cards.push(("99th percentile".to_owned(), time(record.parlor().latency.at(0.99))));
    }
    if !record.has_rates() {
        let figures = record.parlor().turns.first().map_or(&[][..], |turn| &turn.figures);
        cards.extend(
            figures.iter().take(CARDS_MAX).map(|it| (it.name.replace('_', " "), format_figure(record.parlor(), it))),
        );
    }
    out.push_str("<ul class=\"cards\">\n");
    for (label, value) in cards {
        let _ = writeln!(out, "<li><strong>{}</strong><span>{}</span></li>", escape(&value), escape(&label));
    }
    out.push_str("</ul>\n");
}

fn verdict(out: &mut String, record: &Record, findings: &Findings) {
    let faults = findings.faults;
    let mut sentences: Vec<String> = record.sweep.iter().map(sweep_text::verdict).collect();
    sentences.extend(summary::conclusions(record, findings));
    sentences.push(if faults.none() {
        "nothing was lost, duplicated, out of order or misdelivered".to_owned()
    } else {
        faults.to_string()
    });
    let class =
        if faults.none() && findings.has_verdict() && record.notes.is_empty() { "verdict" } else { "verdict warning" };
    let items: Vec<String> = sentences.iter().map(|sentence| format!("<li>{}</li>", escape(sentence))).collect();
    let _ = writeln!(out, "<ul class=\"{class}\">{}</ul>", items.join(""));
}

/// Every figure again, for whoever reads numbers.
fn table(out: &mut String, record: &Record, findings: &Findings) {
    let heads = [
        "",
        "per second",
        "CPU each",
        "user",
        "kernel",
        "server busy",
        "load busy",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "max",
    ];
    let heads: Vec<String> = heads.iter().map(|head| format!("<th>{head}</th>")).collect();
    let _ = write!(out, "<div class=\"wide\"><table>\n<tr>{}</tr>\n", heads.join(""));
    for (subject, figures) in record.subjects.iter().zip(&findings.subjects) {
        let cells: Vec<String> = cells(subject, figures).iter().map(|cell| format!("<td>{cell}</td>")).collect();
        let class = if is_floor(&subject.name) { " class=\"floor\"" } else { "" };
        let _ = writeln!(out, "<tr{class}><th>{}</th>{}</tr>", escape(&subject.label), cells.join(""));
    }
    out.push_str("</table></div>\n");
}

/// What only this scenario tells: medians of the rounds, a column for each subject that tells anything.
fn own_figures(out: &mut String, record: &Record) {
    let telling: Vec<(&Subject, &[Figure])> = record
        .subjects
        .iter()
        .filter_map(|subject| Some((subject, subject.turns.first()?.figures.as_slice())))
        .filter(|(_, figures)| !figures.is_empty())
        .collect();
    let mut names: Vec<&str> = Vec::new();
    for figure in telling.iter().flat_map(|(_, figures)| *figures) {
        if !names.contains(&figure.name.as_str()) {
            names.push(&figure.name);
        }
    }
    if names.is_empty() {
        return;
    }
    let heads: Vec<String> =
        telling.iter().map(|(subject, _)| format!("<th>{}</th>", escape(&subject.label))).collect();
    let _ = write!(out, "<div class=\"wide\"><table>\n<tr><th></th>{}</tr>\n", heads.join(""));
    for name in names {
        let cell = |(subject, figures): &(&Subject, &[Figure])| {
            let figure = figures.iter().find(|figure| figure.name == name);
            format!(
                "<td>{}</td>",
                figure.map_or_else(|| "–".to_owned(), |figure| escape(&format_figure(subject, figure)))
            )
        };
        let cells: Vec<String> = telling.iter().map(cell).collect();
        let _ = writeln!(out, "<tr><th>{}</th>{}</tr>", escape(&name.replace('_', " ")), cells.join(""));
    }
    out.push_str("</table></div>\n");
}

/// The median of a figure in its unit.
fn format_figure(subject: &Subject, figure: &Figure) -> String {
    let median = stats::median(&subject.figure(&figure.name)).unwrap_or(figure.value);
    in_units(median, &figure.unit)
}

/// Headline figures of a scenario that has neither rates nor latencies.
const CARDS_MAX: usize = 4;

fn cells(subject: &Subject, figures: &Figures) -> Vec<String> {
    let known = |ns: Option<f64>| ns.map_or_else(|| "–".to_owned(), micro);
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let latency = &subject.latency;
    let mut cells = vec![
        count(figures.deliveries_per_second),
        known(figures.server_ns_per_delivery.map(|spread| spread.median)),
        known(figures.user_ns_per_delivery),
        known(figures.kernel_ns_per_delivery),
        if subject.own_server { percent(figures.server_busy) } else { "–".to_owned() },
        percent(figures.client_busy),
    ];
    cells.extend([0.5, 0.9, 0.99, 0.999].map(|quantile| time(latency.at(quantile))));
    cells.push(time(latency.max_ns));
    cells
}

/// Where it ran and how.
fn stamp(out: &mut String, record: &Record) {
    let stamp = &record.stamp;
    let mut rows: Vec<(String, String)> = vec![
        ("Parlor".into(), format!("{}, {}", stamp.parlor, stamp.build)),
        ("kernel".into(), stamp.kernel.clone()),
        ("processor".into(), format!("{}, {} cores", stamp.cpu, stamp.cores)),
        ("cores".into(), format!("servers on {}, load on {}", stamp.server_core, stamp.client_core)),
        ("rounds".into(), record.parlor().turns.len().to_string()),
    ];
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    rows.extend(record.parameters.iter().map(|(name, value)| (name.replace('_', " "), text(value))));
    rows.extend(stamp.shards.iter().map(|(name, value)| (format!("[shards] {name}"), value.clone())));
    rows.extend(stamp.tuning.iter().map(|(name, value)| (name.clone(), value.clone())));
    out.push_str("<h2>How and where</h2>\n<dl>\n");
    for (name, value) in rows {
        let _ = writeln!(out, "<div><dt>{}</dt><dd>{}</dd></div>", escape(&name), escape(&value));
    }
    out.push_str("</dl>\n");
}
