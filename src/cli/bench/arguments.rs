//! Arguments that every scenario has.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use super::outcome::Pace;

/// How long, and on what server.
#[derive(Debug, Clone, Args)]
pub struct RunArguments {
    /// Seconds of load on each subject, in rounds
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Rounds; in each every subject has its turn
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub rounds: u32,
    /// A running server's SIP over TCP, instead of one on another core; its processor time is then not known
    #[arg(long, value_name = "HOST:PORT")]
    pub server: Option<SocketAddr>,
    /// Shards of the server that is started, each on a core; with two or more it is compared with one shard
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub shards: usize,
    /// A flag for the server that is started, as in --serve=--send-batch=16
    #[arg(long, value_name = "FLAG")]
    pub serve: Vec<String>,
}

impl RunArguments {
    /// How long load is on each subject.
    #[must_use]
    pub fn time(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds).unwrap_or_default()
    }
}

/// When messages are sent.
#[derive(Debug, Clone, Args)]
pub struct PaceArguments {
    /// Messages a second of each sender, sent when they are due
    #[arg(long, conflicts_with = "window")]
    pub rate: Option<f64>,
    /// Messages of each sender in flight: the next is sent when all have the one that many before it
    #[arg(long, default_value_t = 1)]
    pub window: usize,
}

impl PaceArguments {
    /// As a pace.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.rate.map_or(Pace::Window(self.window.max(1)), Pace::Rate)
    }
}
