//! The end of a bench: an outcome becomes a record, is shown, and goes into files; and a record from a file does so again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use crate::arguments::RunArguments;
use crate::host::Host;
use crate::machine::stamp;
use crate::result::findings::Findings;
use crate::result::latency::{Latency, Percentiles};
use crate::result::outcome::{ANSWERING_FLOOR, FLOOR_COPIED, FLOOR_GATHERED, Measured, Outcome, PARLOR, Pace};
use crate::result::output::OutputArguments;
use crate::result::plot;
use crate::result::record::{self, Record, Subject, Turn};
use crate::result::summary::Summary;
use crate::result::tables;
use crate::result::units::plural;
use crate::subject::peers;

/// Arguments of `report`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  parlor bench report result.json                      print the summary again
  parlor bench report result.json --html result.html
  parlor bench report w1.json w64.json --html all.html --svg plots")]
pub struct ReportArguments {
    /// Results that --json wrote
    #[arg(required = true, value_name = "RESULT.json")]
    results: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputArguments,
}

/// How a result turned out.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    /// Whether nothing was lost, duplicated, reordered or misdelivered.
    pub is_clean: bool,
    /// Whether the summary was written to standard output.
    pub is_shown: bool,
}

/// Shows a result, and writes it to the files that were asked for.
///
/// # Errors
/// Returns an error if a file cannot be written.
pub fn finish(record: Record, output: &OutputArguments, host: &Host) -> io::Result<Finished> {
    let findings = Findings::of(&record);
    let is_clean = findings.faults.none();
    let results = [(record, findings)];
    let is_shown = (host.print)(&Summary { record: &results[0].0, findings: &results[0].1 }.to_string());
    write(&results, &[String::new()], output)?;
    Ok(Finished { is_clean, is_shown })
}

/// Reads results and shows them again. Answers whether they were shown.
///
/// # Errors
/// Returns the reason, in words, if a file is no result or cannot be written.
pub fn again(arguments: &ReportArguments, host: &Host) -> Result<bool, String> {
    let read = |path: &PathBuf| -> Result<(Record, Findings), String> {
        let record = Record::read(path).map_err(|unreadable| unreadable.to_string())?;
        let findings = Findings::of(&record);
        Ok((record, findings))
    };
    let results = arguments.results.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let mut shown = true;
    for (record, findings) in &results {
        shown &= (host.print)(&format!("{}\n", Summary { record, findings }));
    }
    let stem = |path: &PathBuf| format!("{}-", path.file_stem().unwrap_or_default().to_string_lossy());
    let prefixes: Vec<String> = if results.len() == 1 && arguments.output.svg.is_none() {
        vec![String::new()]
    } else {
        arguments.results.iter().map(stem).collect()
    };
    write(&results, &prefixes, &arguments.output).map_err(|error| error.to_string())?;
    Ok(shown)
}

/// Writes results where they are wanted; the drawings of each with its prefix before their names. What has room for one result
/// only gets the first.
fn write(results: &[(Record, Findings)], prefixes: &[String], output: &OutputArguments) -> io::Result<()> {
    let (record, findings) = &results[0];
    write_to(output.json.as_deref(), || json(record, findings))?;
    write_to(output.csv.as_deref(), || tables::csv(record))?;
    write_to(output.hgrm.as_deref(), || tables::hgrm(&record.parlor().latency))?;
    write_to(output.html.as_deref(), || plot::page(results))?;
    let Some(folder) = &output.svg else { return Ok(()) };
    std::fs::create_dir_all(folder)?;
    for ((record, findings), prefix) in results.iter().zip(prefixes) {
        for (name, drawing) in plot::files(record, findings) {
            write_to(Some(&folder.join(format!("{prefix}{name}.svg"))), || drawing)?;
        }
    }
    Ok(())
}

fn write_to(path: Option<&Path>, text: impl FnOnce() -> String) -> io::Result<()> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, text()).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}

/// The record with what follows from it beside.
fn json(record: &Record, findings: &Findings) -> String {
    let mut value = json!(record);
    value["findings"] = json!(findings);
    format!("{value:#}\n")
}

/// An outcome as it is kept, of a bench that was asked to `run` so and ended early where it was `interrupted`.
#[must_use]
pub fn record(outcome: &Outcome, run: &RunArguments, host: &Host, interrupted: bool) -> Record {
    let mut parameters: BTreeMap<String, serde_json::Value> =
        outcome.parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let pace = match outcome.pace {
        Some(Pace::Window(window)) => {
            parameters.insert("window".into(), json!(window));
            format!(", {window} in flight")
        }
        Some(Pace::Rate(rate)) => {
            parameters.insert("rate".into(), json!(rate));
            let things = if outcome.operation == "delivery" { "messages".into() } else { plural(outcome.operation) };
            let each =
                if parameters.get("senders").is_some_and(|senders| *senders != json!(1)) { " of each" } else { "" };
            format!(", {} {things} a second{each}", (rate * 100.0).round() / 100.0)
        }
        None => String::new(),
    };
    // The first round has the subjects in their order; those after it have them in turn.
    let mut names: Vec<&str> = vec![PARLOR];
    let turns = outcome.rounds.first().map_or(&[][..], |round| &round.turns);
    names.extend(turns.iter().map(|turn| turn.subject.as_str()).filter(|name| *name != PARLOR));
    let shards = if outcome.own_server { (host.shard_settings)(&run.serve) } else { BTreeMap::new() };
    let mut notes = missing(outcome, &names);
    notes.extend(caveats(outcome, run));
    notes.extend(interrupted.then(|| cut_short(outcome, run.rounds)));
    Record {
        schema: record::SCHEMA.into(),
        version: record::VERSION,
        scenario: outcome.scenario.into(),
        title: format!("{}{pace}", outcome.title),
        operation: outcome.operation.into(),
        parameters,
        stamp: stamp::stamp(outcome.cores, host.server_version, shards),
        subjects: names.into_iter().map(|name| subject(outcome, name, host)).collect(),
        sweep: None,
        interrupted,
        notes,
    }
}

/// The peers that were asked for and are not among those who were measured.
fn missing(outcome: &Outcome, names: &[&str]) -> Vec<String> {
    let asked = outcome.parameters.iter().find(|(name, _)| *name == "against");
    let asked = asked.and_then(|(_, value)| value.as_str()).unwrap_or_default();
    let peers = asked.split(',').filter(|name| ["redis", "nats"].contains(name) && !names.contains(name));
    peers.map(|name| format!("{name}-server is not installed here, so it was not measured")).collect()
}

/// What makes figures worth less than they seem.
fn caveats(outcome: &Outcome, run: &RunArguments) -> Vec<String> {
    let unoptimised =
        cfg!(debug_assertions).then_some("this build is not optimised: its figures do not apply to one that is");
    let shared = outcome.own_server && run.shards >= outcome.cores.allowed;
    let shared =
        shared.then_some("the load shares a core with a shard: processor time counts here, rates and latencies do not");
    unoptimised.into_iter().chain(shared).map(str::to_owned).collect()
}

/// What an interrupted bench is worth.
fn cut_short(outcome: &Outcome, asked: u32) -> String {
    match outcome.rounds.len() {
        1 => "interrupted: this is the first round, or a part of it".into(),
        rounds => format!("interrupted: these are {rounds} of {asked} rounds"),
    }
}

fn subject(outcome: &Outcome, name: &str, host: &Host) -> Subject {
    let rounds: Vec<&Measured> = outcome.rounds.iter().filter_map(|round| round.of(name)).collect();
    let mut latency = Measured::nothing().latency;
    for measured in &rounds {
        // The same bounds everywhere, so it always fits.
        let _ = latency.add(&measured.latency);
    }
    let label = match name {
        PARLOR => host.server_version.into(),
        FLOOR_COPIED => "floor, copied".into(),
        FLOOR_GATHERED => "floor, gathered".into(),
        ANSWERING_FLOOR => "floor that answers".into(),
        other => peers::version(other).unwrap_or_else(|| other.to_owned()),
    };
    Subject {
        name: name.into(),
        label,
        copy_bytes: None,
        own_server: outcome.own_server,
        turns: rounds.into_iter().map(turn).collect(),
        latency: Latency::of(&latency),
    }
}

fn turn(measured: &Measured) -> Turn {
    let ns = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let figure = |figure: &crate::result::outcome::Figure| record::Figure {
        name: figure.name.into(),
        value: figure.value,
        unit: figure.unit.into(),
    };
    Turn {
        deliveries: measured.deliveries,
        elapsed_ns: ns(measured.elapsed),
        user_ns: ns(measured.server.user),
        system_ns: ns(measured.server.system),
        softirq_ns: ns(measured.server.softirq),
        busiest_ns: ns(measured.server.busiest),
        client_ns: ns(measured.client),
        lost: measured.lost,
        repeated: measured.repeated,
        reordered: measured.reordered,
        strayed: measured.strayed,
        latency_ns: Percentiles::of(&measured.latency),
        figures: measured.figures.iter().map(figure).collect(),
    }
}
