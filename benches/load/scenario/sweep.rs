//! `sweep`: the highest sustainable rate, whose 99th percentile stays under a bound.

use std::io;
use std::time::Duration;

use clap::Args;

use crate::arguments::{RunArguments, rate};
use crate::interrupt::interrupted;
use crate::machine::cores::Cores;
use crate::result::findings::Limit;
use crate::result::outcome::{Measured, Outcome, Pace, Round, Turn, Watch};
use crate::result::output::OutputArguments;
use crate::result::record::{Step, Sweep};
use crate::result::stats;
use crate::scenario::fanout::FanoutLoad;
use crate::scenario::talk::{self, Talk};

/// Arguments of `sweep`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each rate is tried several times, and is sustained if most trials are. Rates are doubled until one
is not sustained; then the geometric middle is tried.

Examples:
  parlor bench sweep --receivers 100 --p99 10ms
  parlor bench sweep --receivers 9 --p99 1ms --from 1000 --html sweep.html")]
pub struct SweepArguments {
    #[command(flatten)]
    load: FanoutLoad,
    /// Bound on the 99th percentile of the latency, from the intended send time
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = bound)]
    p99: Duration,
    /// Messages per second to begin with
    #[arg(long, default_value_t = 100.0, value_parser = rate)]
    from: f64,
    /// Precision of the highest rate, in percent
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    within: u8,
    #[command(flatten)]
    pub run: RunArguments,
    #[command(flatten)]
    pub output: OutputArguments,
}

impl SweepArguments {
    /// Says what is wrong where this makes no sense.
    ///
    /// # Errors
    /// Returns what is wrong with the arguments, in words.
    pub fn check(&self) -> Result<(), String> {
        self.load.load().check()
    }
}

fn bound(text: &str) -> Result<Duration, String> {
    let bound = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if bound.is_zero() { Err("expected a duration above 0".to_owned()) } else { Ok(bound) }
}

/// Searches. Answers the turns at the highest rate that held (or the lowest that was tried), and the way there.
///
/// # Errors
/// Returns an error if a socket fails.
pub fn run(arguments: &SweepArguments, cores: Cores, watch: &mut dyn Watch) -> io::Result<(Outcome, Sweep)> {
    let run = &arguments.run;
    let mut talk = talk::prepare(&arguments.load.load(), run, cores, watch)?;
    let share = run.time() / run.rounds.max(1);
    let mut search = Search::new(arguments.from, f64::from(arguments.within) / 100.0);
    let mut steps: Vec<Step> = Vec::new();
    let mut best: Option<(f64, bool, Vec<Round>)> = None;
    while let Some(rate) = search.next() {
        watch.stage(&format!("{rate:.0} messages a second"));
        let tried: io::Result<Vec<Round>> =
            (0..run.rounds.max(1)).map(|_| one_round(&mut talk, rate, share, watch)).collect();
        if watch.is_interrupted() {
            break;
        }
        let (rounds, error) = match tried {
            Ok(rounds) => (rounds, None),
            // Far above what it bears, a server hangs up on whoever does not read or cannot be read from: begin anew.
            Err(error) => {
                drop(talk);
                talk = talk::prepare(&arguments.load.load(), run, cores, watch)?;
                (Vec::new(), Some(error.to_string()))
            }
        };
        let step = Step { error, ..step(rate, arguments.p99, &rounds) };
        let held = step.held;
        search.report(rate, held);
        steps.push(step);
        let better =
            best.as_ref().is_none_or(|(of, did, _)| if held { !did || rate > *of } else { !did && rate < *of });
        if better {
            best = Some((rate, held, rounds));
        }
    }
    let (rate, _, rounds) = best.ok_or_else(interrupted)?;
    let copy_bytes = talk.samples.copy.len();
    let outcome = talk::outcome("sweep", &arguments.load.load(), Pace::Rate(rate), run, cores, copy_bytes, rounds);
    let p99_max_ns = u64::try_from(arguments.p99.as_nanos()).unwrap_or(u64::MAX);
    Ok((outcome, Sweep { p99_max_ns, highest: search.highest(), steps }))
}

fn one_round(talk: &mut Talk, rate: f64, time: Duration, watch: &mut dyn Watch) -> io::Result<Round> {
    let parlor = &mut talk.subjects[0];
    let measured = parlor.run(Pace::Rate(rate), time, watch)?;
    Ok(Round { turns: vec![Turn { subject: parlor.name().to_owned(), measured }] })
}

/// What the repetitions at one rate say.
fn step(rate: f64, p99_max: Duration, rounds: &[Round]) -> Step {
    let measured: Vec<&Measured> = rounds.iter().flat_map(|round| &round.turns).map(|turn| &turn.measured).collect();
    let at = |quantile: f64| measured.iter().map(|m| m.latency.value_at_quantile(quantile)).collect::<Vec<u64>>();
    let p99_ns = at(0.99);
    let bound = u64::try_from(p99_max.as_nanos()).unwrap_or(u64::MAX);
    let holds = p99_ns.iter().zip(&measured).filter(|(p99, m)| **p99 <= bound && m.lost == 0).count();
    let share = |of: &dyn Fn(&Measured) -> Duration| {
        let shares = measured.iter().map(|m| of(m).as_secs_f64() / m.elapsed.as_secs_f64().max(f64::MIN_POSITIVE));
        stats::median(&shares.collect::<Vec<_>>()).unwrap_or(0.0)
    };
    let limit = Limit::from_shares(share(&|m| m.client), share(&|m| m.server.busiest), 0.0);
    let held = 2 * holds > measured.len();
    Step { rate, p50_ns: at(0.5), p99_ns, held, client_limited: limit == Limit::Client, error: None }
}

/// The search itself: which rate is tried next.
#[derive(Debug)]
struct Search {
    next: f64,
    /// The highest that held, and the lowest that did not.
    held: Option<f64>,
    failed: Option<f64>,
    within: f64,
    steps: u32,
}

/// Steps at the most: doublings and halvings from any rate to any other.
const STEPS_MAX: u32 = 40;
/// Where even so few messages a second do not hold, none do.
const RATE_MIN: f64 = 0.5;

impl Search {
    fn new(from: f64, within: f64) -> Self {
        Self { next: from, held: None, failed: None, within, steps: 0 }
    }

    /// The rate to try. `None`: it is found.
    fn next(&self) -> Option<f64> {
        let close = match (self.held, self.failed) {
            (Some(held), Some(failed)) => failed / held <= 1.0 + self.within,
            (None, Some(failed)) => failed < RATE_MIN,
            _ => false,
        };
        (!close && self.steps < STEPS_MAX).then_some(self.next)
    }

    /// Takes the result of a rate.
    fn report(&mut self, rate: f64, held: bool) {
        self.steps += 1;
        if held {
            self.held = Some(rate);
        } else {
            self.failed = Some(rate);
        }
        self.next = match (self.held, self.failed) {
            (Some(held), Some(failed)) => (held * failed).sqrt(),
            (Some(held), None) => held * 2.0,
            (None, Some(failed)) => failed / 2.0,
            (None, None) => self.next,
        };
    }

    fn highest(&self) -> Option<f64> {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches where everything up to `bound` holds. Answers what was found and in how many steps.
    fn search(from: f64, bound: f64) -> (Option<f64>, u32) {
        let mut search = Search::new(from, 0.05);
        while let Some(rate) = search.next() {
            search.report(rate, rate <= bound);
        }
        (search.highest(), search.steps)
    }

    #[test]
    fn the_highest_rate_is_found_from_below_and_from_above() {
        for (from, bound) in [(100.0, 12_345.0), (100_000.0, 12_345.0), (100.0, 100.0), (64.0, 1.0)] {
            let (found, steps) = search(from, bound);
            let found = found.unwrap();
            assert!(found <= bound && found * 1.06 > bound, "{from} {bound}: {found}");
            assert!(steps < 20, "{steps}");
        }
    }

    #[test]
    fn where_nothing_holds_or_everything_does_it_ends() {
        assert_eq!(search(100.0, 0.0).0, None);
        assert_eq!(search(100.0, f64::INFINITY).1, STEPS_MAX);
    }

    #[test]
    fn most_repetitions_decide() {
        let round = |us: u64| {
            let mut measured = Measured { elapsed: Duration::from_secs(1), ..Measured::nothing() };
            measured.record(Duration::from_micros(us));
            Round { turns: vec![Turn { subject: "parlor".into(), measured }] }
        };
        let bound = Duration::from_millis(1);
        assert!(step(1.0, bound, &[round(10), round(5000), round(20)]).held, "one bad one of three");
        assert!(!step(1.0, bound, &[round(10), round(5000), round(5000)]).held);
        let mut lossy = round(10);
        lossy.turns[0].measured.lost = 1;
        assert!(!step(1.0, bound, &[lossy]).held, "what is lost has no latency");
    }
}
