//! `compare`: whether two results differ by more than noise.
//!
//! What is compared is Parlor's figures as multiples of the floor's in the same round, where both results have one: absolute
//! figures of one machine move by a third from hour to hour, these do not. The test is that of [`super::stats::difference`], at
//! one in twenty for all figures together (each at its share of it, after Bonferroni).

use std::fmt::{self, Write as _};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::findings::{Faults, Findings, Limit, floor};
use super::record::{Record, Turn};
use super::stats::{self, Difference};

/// Arguments of `compare`.
#[derive(Debug, Args)]
#[command(after_help = "\
Ends with 0 where B is not worse beyond noise, 1 where it is, 2 where the two cannot be compared.

Examples:
  parlor bench fanout --rounds 20 --json before.json
  parlor bench fanout --rounds 20 --json after.json
  parlor bench compare before.json after.json")]
pub struct CompareArguments {
    /// The result that is compared with
    #[arg(value_name = "A.json")]
    first: PathBuf,
    /// The result that is judged
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
pub fn run(arguments: &CompareArguments) -> u8 {
    let outcome = Record::read(&arguments.first)
        .and_then(|first| Ok((first, Record::read(&arguments.second)?)))
        .map_err(|unreadable| unreadable.to_string())
        .and_then(|(first, second)| compare(&first, &second));
    match outcome {
        Ok(comparison) => {
            if arguments.json {
                println!("{}", serde_json::to_string_pretty(&comparison).unwrap_or_default());
            } else {
                print!("{comparison}");
            }
            comparison.exit_code()
        }
        Err(why) => {
            eprintln!("parlor: {why}");
            2
        }
    }
}

/// Compares two results.
///
/// # Errors
/// Where they are not of the same load.
pub fn compare(first: &Record, second: &Record) -> Result<Comparison, String> {
    same_load(first, second)?;
    let mut notes = Vec::new();
    let relative = [first, second].iter().all(|record| floor(record, &Turn::cost_ns).is_some());
    if !relative {
        notes.push("absolute figures: they move with the machine; results with a floor are compared by it".to_owned());
    }
    let limited = [first, second].iter().any(|record| Limit::of(record.parlor()) == Limit::Client);
    if limited {
        notes.push("no verdict on rates and latencies: the load could do no more".to_owned());
    }
    if first.stamp.cpu != second.stamp.cpu || first.stamp.kernel != second.stamp.kernel {
        notes.push("different machines or kernels".to_owned());
    }
    let pairs: Vec<(Values, Values)> =
        values(first, relative, limited).into_iter().zip(values(second, relative, limited)).collect();
    let alpha = ALPHA / pairs.len().max(1) as f64;
    let mut figures: Vec<Compared> = pairs.into_iter().map(|(a, b)| Compared::new(&a, &b, alpha)).collect();
    figures.extend(compare_faults(first, second));
    let verdict = figures.iter().map(|figure| figure.verdict).max().unwrap_or(Verdict::Unknown);
    Ok(Comparison { schema: "parlor-bench-compare", version: 1, title: second.title.clone(), verdict, figures, notes })
}

/// Says where two results are not of the same load.
fn same_load(first: &Record, second: &Record) -> Result<(), String> {
    if first.scenario != second.scenario {
        return Err(format!("one is of {}, the other of {}", first.scenario, second.scenario));
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

/// A figure of one result, round by round.
struct Values {
    name: String,
    lower_is_better: bool,
    rounds: Vec<f64>,
}

fn values(record: &Record, relative: bool, limited: bool) -> Vec<Values> {
    let parlor = record.parlor();
    let operation = &record.operation;
    let value = |name: String, of: fn(&Turn) -> f64| {
        let own = parlor.turns.iter().map(of);
        let (name, rounds) = match floor(record, &of).filter(|_| relative) {
            Some(floor) => (format!("{name}, × the floor's"), own.zip(floor).map(|(own, floor)| own / floor).collect()),
            None => (name, own.collect()),
        };
        Values { name, lower_is_better: true, rounds }
    };
    let mut values = Vec::new();
    if parlor.own_server {
        values.push(value(format!("server CPU per {operation}"), Turn::cost_ns));
    }
    if !limited {
        // Where a rate was asked for, the rate is what was asked for.
        if !record.parameters.contains_key("rate") {
            values.push(value(format!("time per {operation}"), |turn| 1e9 / turn.rate()));
        }
        values.push(value("99th percentile".to_owned(), |turn| turn.latency_ns.p99 as f64));
    }
    let figures = parlor.turns.first().map_or(&[][..], |turn| &turn.figures);
    values.extend(figures.iter().map(|figure| Values {
        name: figure.name.replace('_', " "),
        lower_is_better: figure.unit != "/s",
        rounds: parlor.figure(&figure.name),
    }));
    values
}

impl Compared {
    fn new(first: &Values, second: &Values, alpha: f64) -> Self {
        let difference = stats::difference(&first.rounds, &second.rounds, alpha);
        let verdict = match difference {
            None => Verdict::Unknown,
            Some(difference) if !difference.is_real() => Verdict::Same,
            Some(difference) if (difference.ratio > 1.0) == first.lower_is_better => Verdict::Worse,
            Some(_) => Verdict::Better,
        };
        let [a, b] = [first, second].map(|values| stats::median(&values.rounds).unwrap_or(0.0));
        Self { name: first.name.clone(), first: a, second: b, difference, verdict }
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
    let name = "lost, repeated, out of order, astray".to_owned();
    (first != second).then_some(Compared { name, first, second, difference: None, verdict })
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
            let [first, second] = [figure.first, figure.second].map(figures_of);
            writeln!(f, "  {:<44}{first:>12}{second:>12}   {apart:<24}{}", figure.name, figure.verdict)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "  {note}"))?;
        writeln!(
            f,
            "\n{}",
            match self.verdict {
                Verdict::Same => "no difference beyond noise",
                Verdict::Better => "B is better, beyond noise",
                Verdict::Worse => "B is worse, beyond noise",
                Verdict::Unknown => "nothing can be said: each result needs five rounds at least, and no zeros",
            }
        )
    }
}

/// A value with four figures.
fn figures_of(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
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
