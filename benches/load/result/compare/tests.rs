//! The comparison tests itself on rounds that were really measured (`tests/bench-samples/`): no clock, no chance.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;
use crate::result::latency::{Latency, Percentiles};
use crate::result::record::{self, Stamp, Subject};

const SAMPLES: &str = include_str!("../../../../tests/bench-samples/fanout-100.csv");
const SETS: [&str; 3] = ["window-1", "window-1-later", "window-64"];
const RUNS: usize = 8;

/// A turn of every subject: Parlor, and the floor both ways.
type Round = [Turn; 3];

/// The runs of a set, each with its rounds.
fn recorded(set: &str) -> Vec<Vec<Round>> {
    let mut runs: Vec<Vec<Round>> = vec![Vec::new(); RUNS];
    for line in SAMPLES.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        if fields[0] != set {
            continue;
        }
        let number = |at: usize| fields[at].parse::<u64>().unwrap();
        let turn = Turn {
            deliveries: number(4),
            elapsed_ns: number(5),
            system_ns: number(6),
            client_ns: number(7),
            latency_ns: Percentiles { p50: number(8), p90: number(9), p99: number(10), ..Percentiles::default() },
            ..Turn::default()
        };
        let run = &mut runs[fields[1].parse::<usize>().unwrap() - 1];
        let subject = SUBJECTS.iter().position(|name| *name == fields[3]).unwrap();
        if subject == 0 {
            run.push(Round::default());
        }
        run.last_mut().unwrap()[subject] = turn;
    }
    assert!(runs.iter().all(|run| run.len() == 10), "{set}");
    runs
}

const SUBJECTS: [&str; 3] = ["parlor", "floor copied", "floor gathered"];

fn result(rounds: &[Round]) -> Record {
    let subject = |(at, name): (usize, &&str)| Subject {
        name: (*name).into(),
        label: (*name).into(),
        copy_bytes: None,
        own_server: true,
        turns: rounds.iter().map(|round| round[at].clone()).collect(),
        latency: Latency::default(),
    };
    Record {
        schema: record::SCHEMA.into(),
        version: record::VERSION,
        scenario: "fanout".into(),
        title: "fanout to 100 receivers".into(),
        operation: "delivery".into(),
        parameters: BTreeMap::from([("window".into(), 1.into())]),
        stamp: Stamp::default(),
        subjects: SUBJECTS.iter().enumerate().map(subject).collect(),
        sweep: None,
        interrupted: false,
        notes: Vec::new(),
    }
}

/// Parlor made so much dearer.
fn dearer(rounds: &[Round], by: f64) -> Vec<Round> {
    let mut rounds = rounds.to_vec();
    for [parlor, ..] in &mut rounds {
        parlor.system_ns = (parlor.system_ns as f64 * by) as u64;
    }
    rounds
}

fn verdict(first: &[Round], second: &[Round]) -> Verdict {
    compare(&result(first), &result(second)).unwrap().verdict
}

/// Two long runs out of the recorded ones of a set: no recorded run is in both.
fn two_long_runs(runs: &[Vec<Round>], random: &mut ChaCha8Rng) -> (Vec<Round>, Vec<Round>) {
    let mut order: Vec<usize> = (0..RUNS).collect();
    for at in (1..RUNS).rev() {
        order.swap(at, random.next_u64() as usize % (at + 1));
    }
    let join = |chosen: &[usize]| chosen.iter().flat_map(|run| runs[*run].clone()).collect();
    (join(&order[..3]), join(&order[3..6]))
}

#[test]
fn two_runs_of_the_same_thing_differ_by_no_more_than_noise() {
    let (mut differ, mut all) = (0, 0);
    for runs in SETS.map(recorded) {
        for (at, first) in runs.iter().enumerate() {
            for second in &runs[at + 1..] {
                all += 1;
                differ += usize::from(verdict(first, second) != Verdict::Same);
            }
        }
    }
    assert!(all == 84 && differ * 20 <= all, "{differ} of {all}, at most one in twenty");
}

#[test]
fn long_runs_of_the_same_thing_are_the_same_and_a_tenth_is_found() {
    let mut random = ChaCha8Rng::seed_from_u64(7701);
    for set in SETS {
        let runs = recorded(set);
        let (mut differ, mut found) = (0, 0);
        for _ in 0..20 {
            let (first, second) = two_long_runs(&runs, &mut random);
            differ += usize::from(verdict(&first, &second) != Verdict::Same);
            found += usize::from(verdict(&first, &dearer(&second, 1.1)) == Verdict::Worse);
        }
        assert!(differ <= 1, "{set}: {differ} of 20 runs of the same thing differ");
        assert!(found >= 18, "{set}: a tenth more is found in {found} of 20");
    }
}

#[test]
fn a_change_is_told_in_both_ways_and_by_the_exit_code() {
    let runs = recorded("window-1");
    let (first, second) = (&runs[0], &dearer(&runs[1], 1.5));
    let worse = compare(&result(first), &result(second)).unwrap();
    assert_eq!((worse.verdict, worse.exit_code()), (Verdict::Worse, 1));
    assert!(worse.to_string().contains("B is significantly worse"), "{worse}");
    let better = compare(&result(second), &result(first)).unwrap();
    assert_eq!((better.verdict, better.exit_code()), (Verdict::Better, 0));
    assert_eq!(compare(&result(first), &result(&runs[1])).unwrap().exit_code(), 0);
}

#[test]
fn few_rounds_say_nothing() {
    let runs = recorded("window-1");
    let few = compare(&result(&runs[0][..4]), &result(&runs[1])).unwrap();
    assert_eq!((few.verdict, few.exit_code()), (Verdict::Unknown, 2));
}

#[test]
fn what_is_lost_is_worse_whatever_it_costs() {
    let runs = recorded("window-1");
    let mut second = runs[1].clone();
    second[3][0].lost = 1;
    assert_eq!(verdict(&runs[0], &second), Verdict::Worse);
    assert_eq!(verdict(&second, &runs[0]), Verdict::Better);
}

#[test]
fn other_loads_are_not_compared() {
    let rounds = &recorded("window-1")[0];
    let mut other = result(rounds);
    other.parameters.insert("window".into(), 64.into());
    assert_eq!(
        compare(&result(rounds), &other).unwrap_err(),
        "not the same load: window is 1 in one and 64 in the other"
    );
    other.scenario = "private".into();
    assert!(compare(&result(rounds), &other).unwrap_err().contains("private"));
    let mut longer = result(rounds);
    longer.parameters.insert("seconds".into(), 9.into());
    assert!(compare(&result(rounds), &longer).is_ok(), "how long was measured is no matter of the load");
}

#[test]
fn where_the_load_was_the_limit_nothing_is_judged() {
    let mut rounds = recorded("window-1")[0].clone();
    for [parlor, ..] in &mut rounds {
        (parlor.client_ns, parlor.system_ns) = (parlor.elapsed_ns, parlor.elapsed_ns / 2);
    }
    let compared = compare(&result(&rounds), &result(&rounds)).unwrap();
    assert_eq!((compared.figures.len(), compared.exit_code()), (0, 2), "{compared}");
    assert!(compared.notes.iter().any(|note| note.contains("no verdict")), "{compared}");
}

#[test]
fn a_floor_that_the_load_could_not_drive_is_no_measure() {
    let mut rounds = recorded("window-64")[0].clone();
    for [_, copied, _] in &mut rounds {
        (copied.client_ns, copied.system_ns) = (copied.elapsed_ns, copied.elapsed_ns / 2);
    }
    assert_eq!(compare(&result(&rounds), &result(&rounds)).unwrap().exit_code(), 2);
}

/// A result with a figure in each of its rounds.
fn telling(rounds: &[Round], name: &str, value: f64, unit: &str) -> Record {
    let mut record = result(rounds);
    for (at, turn) in record.subjects[0].turns.iter_mut().enumerate() {
        let value = value * (1.0 + at as f64 / 1000.0);
        turn.figures = vec![record::Figure { name: name.into(), value, unit: unit.into() }];
    }
    record
}

#[test]
fn of_a_scenarios_own_figures_those_count_of_which_less_is_better() {
    let rounds = &recorded("window-1")[0];
    let verdict =
        |name, a, b, unit| compare(&telling(rounds, name, a, unit), &telling(rounds, name, b, unit)).unwrap().verdict;
    assert_eq!(verdict("wakes", 10.0, 20.0, "/s"), Verdict::Worse, "however it is counted");
    assert_eq!(verdict("wakes", 20.0, 10.0, "/s"), Verdict::Better);
    assert_eq!(verdict("throughput", 10.0, 20.0, "MB/s"), Verdict::Same, "the time for a file says it already");
    let (one, other) = (telling(rounds, "wakes", 1.0, "/s"), telling(rounds, "resent", 2.0, ""));
    assert!(compare(&one, &other).unwrap().figures.iter().all(|figure| figure.name != "wakes"), "what only one tells");
}

#[test]
fn what_else_tells_two_results_apart_is_said() {
    let (mut first, mut second) = (result(&recorded("window-1")[0]), result(&recorded("window-1")[1]));
    first.stamp.tuning.insert("load average".into(), "1".into());
    first.stamp.shards.insert("send_batch".into(), "16".into());
    second.stamp.shards.insert("send_batch".into(), "64".into());
    second.interrupted = true;
    let notes = compare(&first, &second).unwrap().notes;
    assert_eq!(notes, ["send_batch is 16 in A and 64 in B", "B was interrupted after 10 rounds"]);
}

#[test]
fn figures_have_their_units() {
    let figures =
        [(1013.4, "ns"), (2_345_678.0, "ns"), (1.0129, "×"), (12_345.0, "B"), (7.0, ""), (0.5, ""), (12.0, "µs/s")];
    let told: Vec<String> = figures.iter().map(|(value, unit)| figures_of(*value, unit)).collect();
    assert_eq!(told, ["1.013 µs", "2.35 ms", "1.013 ×", "12.3 kB", "7", "0.5", "12.0 µs/s"]);
}
