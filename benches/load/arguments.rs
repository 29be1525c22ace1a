//! Arguments that every scenario has, and what a value of one may be.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;

use crate::result::outcome::Pace;

/// The duration of a run and the server that it measures.
#[derive(Debug, Clone, Args)]
pub struct RunArguments {
    /// Seconds of load on each subject, divided among the rounds
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    pub seconds: f64,
    /// Rounds; in each every subject has its turn
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub rounds: u32,
    /// Measure a running server, at its address for SIP over TCP; its processor time is then unknown
    #[arg(long, value_name = "HOST:PORT", value_parser = address, conflicts_with_all = ["shards", "serve"])]
    pub server: Option<SocketAddr>,
    /// Shards of the server, each on a core; two or more are compared with one
    #[arg(long, default_value_t = 1, value_name = "NUMBER", value_parser = at_least(1))]
    pub shards: usize,
    /// A flag for the server, as in --serve=--send-batch=16
    #[arg(long, value_name = "FLAG")]
    pub serve: Vec<String>,
}

impl RunArguments {
    /// The time of load on each subject, over all rounds.
    #[must_use]
    pub fn time(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds).unwrap_or_default()
    }
}

/// When messages are sent.
#[derive(Debug, Clone, Args)]
pub struct PaceArguments {
    /// Messages per second of each sender, sent on schedule (open loop)
    #[arg(long, conflicts_with = "window", value_parser = rate)]
    pub rate: Option<f64>,
    /// Messages in flight of each sender (closed loop)
    #[arg(long, default_value_t = 1, value_parser = at_least(1))]
    pub window: usize,
}

impl PaceArguments {
    /// As a pace.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.rate.map_or(Pace::Window(self.window), Pace::Rate)
    }
}

/// The highest number of anything that is asked for: more than a machine has descriptors.
const COUNT_MAX: u64 = 10_000_000;
/// Octets of text in a message that leaves a server as one chunk (`forward_whole_up_to`), its wrapper included.
const TEXT_BYTES_MAX: u64 = 60_000;
/// Things a second: more than one thread can begin.
const RATE_MAX: f64 = 1e6;
const RATE_MIN: f64 = 1e-3;
/// A day.
const SECONDS_MAX: f64 = 86_400.0;

/// A number of things.
#[must_use]
pub fn at_least(least: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(least..=COUNT_MAX)
}

/// Octets of text in a message.
#[must_use]
pub fn text_size() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(0..=TEXT_BYTES_MAX)
}

/// Parses a rate per second.
///
/// # Errors
/// Returns what is expected, in words, if the text is no rate in range.
pub fn rate(text: &str) -> Result<f64, String> {
    between(text, RATE_MIN, RATE_MAX, "a number a second")
}

/// So many seconds.
///
/// # Errors
/// Returns what is expected, in words, if the text is no number of seconds in range.
fn seconds(text: &str) -> Result<f64, String> {
    between(text, 0.001, SECONDS_MAX, "a number of seconds")
}

fn between(text: &str, least: f64, most: f64, what: &str) -> Result<f64, String> {
    let value = text.parse().ok().filter(|value| (least..=most).contains(value));
    value.ok_or_else(|| format!("expected {what} from {least} to {most}"))
}

/// Where a server is: an address or a name, and a port.
fn address(text: &str) -> Result<SocketAddr, String> {
    let mut addresses = text.to_socket_addrs().map_err(|error| format!("expected HOST:PORT: {error}"))?;
    addresses.next().ok_or_else(|| "this host has no address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_rate_and_no_time_is_refused() {
        assert_eq!((rate("0.5"), rate("1e6"), seconds("2.5")), (Ok(0.5), Ok(1e6), Ok(2.5)));
        for wrong in ["0", "-5", "nan", "inf", "1e13", "1e-13", "", "x"] {
            assert!(rate(wrong).is_err() && seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_server_is_an_address_or_a_name() {
        assert_eq!(address("127.0.0.1:5060"), Ok(([127, 0, 0, 1], 5060).into()));
        assert!(address("[::1]:5060").is_ok_and(|address| address.is_ipv6()));
        assert!(address("foo").is_err() && address("127.0.0.1").is_err());
    }
}
