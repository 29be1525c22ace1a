//! `compare`: tests whether two results differ significantly.
//!
//! What is compared is Parlor's figures as multiples of the floor's in the same round, where both results have one: absolute
//! figures of one machine move by a third from hour to hour, these do not. The test is that of [`crate::result::stats::difference`], at
//! one in twenty for all figures together (each at its share of it, after Bonferroni).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::host::Host;
use crate::result::findings::{Faults, Findings, Limit, floor, is_floor};
use crate::result::record::{Record, Stamp, Subject, Turn};
use crate::result::stats::{self, Difference};
use crate::result::units;

/// Arguments of `compare`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  parlor bench fanout --rounds 20 --json before.json
  parlor bench fanout --rounds 20 --json after.json
  parlor bench compare before.json after.json

Exit codes: 0 B is not significantly worse, 1 it is, 2 the two cannot be compared.")]
pub struct CompareArguments {
    /// The baseline
    #[arg(value_name = "A.json")]
    first: PathBuf,
    /// The result to judge
    #[arg(value_name = "B.json")]
    second: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    schema: &'static str,
    version: u32,
    /// What was run.
    title: String,
    /// Of the figures together.
    verdict: Verdict,
    /// Each of them.
    figures: Vec<Compared>,
    /// What the reader should know.
    notes: Vec<String>,
}

/// One figure of both.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Compared {
    /// What it is.
    name: String,
    /// What it is counted in: `ns`, `B`, `×`, or nothing where it is a number of things.
    unit: String,
    /// The median of the first result's rounds.
    first: f64,
    /// The median of the second's.
    second: f64,
    /// How far they are apart.
    difference: Option<Difference>,
    /// What that means.
    verdict: Verdict,
}

/// How the second result stands to the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Too few rounds to say anything.
    Unknown,
    /// No difference beyond noise.
    Same,
    /// Better beyond noise.
    Better,
    /// Worse beyond noise.
    Worse,
}

/// One in so many comparisons of the same thing may show a difference.
const ALPHA: f64 = 0.05;
/// Parameters that may differ: they say how long was measured, not what.
const FREE_PARAMETERS: [&str; 4] = ["seconds", "rounds", "copy_bytes", "against"];

/// Compares and prints. Answers the exit code.
pub fn run(arguments: &CompareArguments, host: &Host) -> u8 {
    let outcome = Record::read(&arguments.first)
        .and_then(|first| Ok((first, Record::read(&arguments.second)?)))
        .map_err(|unreadable| unreadable.to_string())
        .and_then(|(first, second)| compare(&first, &second));
    match outcome {
        Ok(comparison) => {
            let text = if arguments.json {
                format!("{}\n", serde_json::to_string_pretty(&comparison).unwrap_or_default())
            } else {
                comparison.to_string()
            };
            if (host.print)(&text) { comparison.exit_code() } else { 2 }
        }
        Err(why) => {
            (host.complain)(&why);
            2
        }
    }
}

/// Compares two results.
///
/// # Errors
/// Returns the difference, in words, if the two are not of the same load.
pub fn compare(first: &Record, second: &Record) -> Result<Comparison, String> {
    same_load(first, second)?;
    let mut notes = Vec::new();
    let relative = [first, second].iter().all(|record| floor(record, &Turn::cost_ns).is_some());
    if !relative {
        notes.push("absolute figures: they move with the machine; results with a floor are compared by it".to_owned());
    }
    notes.extend(differences(first, second));
    let limited = [first, second].into_iter().any(|record| limited(record, relative));
    if limited {
        notes.push("no verdict: the load was the limit, so the figures are its own".to_owned());
    }
    let mut others: BTreeMap<String, Values> =
        values(second, relative).into_iter().map(|values| (values.name.clone(), values)).collect();
    let in_both = |a: Values| others.remove(&a.name).map(|b| (a, b));
    let pairs: Vec<(Values, Values)> =
        if limited { Vec::new() } else { values(first, relative) }.into_iter().filter_map(in_both).collect();
    let alpha = ALPHA / pairs.len().max(1) as f64;
    let mut figures: Vec<Compared> = pairs.into_iter().map(|(a, b)| Compared::new(&a, &b, alpha)).collect();
    figures.extend(compare_faults(first, second));
    let verdict = figures.iter().map(|figure| figure.verdict).max().unwrap_or(Verdict::Unknown);
    Ok(Comparison { schema: "parlor-bench-compare", version: 1, title: second.title.clone(), verdict, figures, notes })
}

/// Whether the load was the limit of one that is compared.
fn limited(record: &Record, relative: bool) -> bool {
    let of = |subject: &Subject| relative && is_floor(&subject.name) && Limit::of(subject) == Limit::Client;
    Limit::of(record.parlor()) == Limit::Client || record.subjects.iter().any(of)
}

/// What else tells the two apart, which may be what was to be compared or not.
fn differences(first: &Record, second: &Record) -> Vec<String> {
    let (a, b) = (&first.stamp, &second.stamp);
    let mut notes = Vec::new();
    if a.cpu != b.cpu || a.kernel != b.kernel {
        notes.push("different machines or kernels".to_owned());
    }
    // How busy the machine was before is no setting.
    let is_set = |(name, _): &(&String, &String)| *name != "load average";
    let settings = |stamp: &Stamp| -> BTreeMap<String, String> {
        let all = stamp.tuning.iter().chain(&stamp.shards).filter(is_set);
        all.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let (of_a, of_b) = (settings(a), settings(b));
    let names: BTreeSet<&String> = of_a.keys().chain(of_b.keys()).collect();
    for name in names {
        let [a, b] = [&of_a, &of_b].map(|of| of.get(name).map_or("unknown", String::as_str));
        if a != b {
            notes.push(format!("{name} is {a} in A and {b} in B"));
        }
    }
    let interrupted = [("A", first), ("B", second)].into_iter().filter(|(_, record)| record.interrupted);
    notes.extend(
        interrupted
            .map(|(name, record)| format!("{name} was interrupted after {} rounds", record.parlor().turns.len())),
    );
    notes
}

/// Says where two results are not of the same load.
fn same_load(first: &Record, second: &Record) -> Result<(), String> {
    if first.scenario != second.scenario {
        return Err(format!("one is of {}, the other of {}", first.scenario, second.scenario));
    }
    if first.sweep.is_some() || second.sweep.is_some() {
        return Err("a sweep has many loads: compare two runs of fanout at one rate".into());
    }
    let names = first.parameters.keys().chain(second.parameters.keys());
    for name in names.filter(|name| !FREE_PARAMETERS.contains(&name.as_str())) {
        let [a, b] = [first, second].map(|record| record.parameters.get(name));
        if a != b {
            let say = |value: Option<&serde_json::Value>| value.map_or_else(|| "none".to_owned(), ToString::to_string);
            return Err(format!("not the same load: {name} is {} in one and {} in the other", say(a), say(b)));
        }
    }
    let [a, b] = [first, second].map(|record| record.parlor().own_server);
    if a != b {
        return Err("one is of a server of the bench's own, the other is not".into());
    }
    Ok(())
}

/// A figure of one result, round by round; the less of it, the better.
struct Values {
    name: String,
    unit: String,
    rounds: Vec<f64>,
}

/// What is compared of what a scenario tells besides: what is better when there is less of it, and is not said already by what every
/// scenario tells.
const COMPARED: [&str; 9] = [
    "anonymous_bytes_per_session",
    "control_thread_ns_per_call",
    "idle_cpu",
    "invite_to_200_p99",
    "memory_peak",
    "notifies_per_join",
    "p99_ratio",
    "resent",
    "wakes",
];

fn values(record: &Record, relative: bool) -> Vec<Values> {
    let parlor = record.parlor();
    let operation = &record.operation;
    let value = |name: String, of: fn(&Turn) -> f64| {
        let own = parlor.turns.iter().map(of);
        match floor(record, &of).filter(|_| relative) {
            Some(floor) => {
                let rounds = own.zip(floor).map(|(own, floor)| own / floor).collect();
                Values { name: format!("{name}, × the floor's"), unit: "×".into(), rounds }
            }
            None => Values { name, unit: "ns".into(), rounds: own.collect() },
        }
    };
    let mut values = Vec::new();
    if parlor.own_server && record.has_rates() {
        values.push(value(format!("server CPU per {operation}"), Turn::cost_ns));
    }
    // Where a rate was asked for, the rate is what was asked for.
    if record.has_rates() && !record.parameters.contains_key("rate") {
        values.push(value(format!("time per {operation}"), |turn| 1e9 / turn.rate()));
    }
    if parlor.turns.iter().any(|turn| turn.latency_ns.max > 0 || turn.latency_ns.p99 > 0) {
        values.push(value("99th percentile".to_owned(), |turn| turn.latency_ns.p99 as f64));
    }
    let compared = COMPARED.iter().map(|name| Values {
        name: name.replace('_', " "),
        unit: parlor.unit_of(name).to_owned(),
        rounds: parlor.figure(name),
    });
    // What never happens does not differ.
    values.extend(compared.filter(|values| values.rounds.iter().any(|value| *value > 0.0)));
    values
}

impl Compared {
    fn new(first: &Values, second: &Values, alpha: f64) -> Self {
        let difference = stats::difference(&first.rounds, &second.rounds, alpha);
        let verdict = match difference {
            None => Verdict::Unknown,
            Some(difference) if !difference.is_real() => Verdict::Same,
            Some(difference) if difference.ratio > 1.0 => Verdict::Worse,
            Some(_) => Verdict::Better,
        };
        let [a, b] = [first, second].map(|values| stats::median(&values.rounds).unwrap_or(0.0));
        Self { name: first.name.clone(), unit: first.unit.clone(), first: a, second: b, difference, verdict }
    }
}

/// What is lost or comes twice is no matter of noise.
fn compare_faults(first: &Record, second: &Record) -> Option<Compared> {
    let count = |record| {
        let Faults { lost, repeated, reordered, strayed } = Findings::of(record).faults;
        (lost + repeated + reordered + strayed) as f64
    };
    let (first, second) = (count(first), count(second));
    let verdict = if second > first { Verdict::Worse } else { Verdict::Better };
    let name = "lost, duplicated, out of order, misdelivered".to_owned();
    (first != second).then_some(Compared { name, unit: String::new(), first, second, difference: None, verdict })
}

impl Comparison {
    /// 0: not worse; 1: worse; 2: nothing can be said.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Same | Verdict::Better => 0,
            Verdict::Worse => 1,
            Verdict::Unknown => 2,
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.title)?;
        writeln!(f, "  {:<44}{:>12}{:>12}   {:<24}", "", "A", "B", "B / A")?;
        for figure in &self.figures {
            let mut apart = String::new();
            if let Some(Difference { ratio, low, high }) = figure.difference {
                write!(apart, "{ratio:.3} ({low:.3} to {high:.3})")?;
            }
            let [first, second] = [figure.first, figure.second].map(|value| figures_of(value, &figure.unit));
            writeln!(f, "  {:<44}{first:>12}{second:>12}   {apart:<24}{}", figure.name, figure.verdict)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "  {note}"))?;
        writeln!(
            f,
            "\n{}",
            match self.verdict {
                Verdict::Same => "no significant difference",
                Verdict::Better => "B is significantly better",
                Verdict::Worse => "B is significantly worse",
                Verdict::Unknown =>
                    "no verdict: it takes at least five rounds of each, no zeros, and a load that is not the limit",
            }
        )
    }
}

/// A value with its unit, and four figures where it is small.
fn figures_of(value: f64, unit: &str) -> String {
    match unit {
        "ns" => units::cost(value),
        "B" => units::in_units(value, unit),
        "×" => format!("{value:.3} ×"),
        "" if value.fract() == 0.0 => format!("{value:.0}"),
        "" => format!("{value:.1}"),
        unit => format!("{value:.1} {unit}"),
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "?",
            Self::Same => "same",
            Self::Better => "better",
            Self::Worse => "worse",
        })
    }
}

#[cfg(test)]
mod tests;
