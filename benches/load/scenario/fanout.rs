//! `fanout`: few senders, many receivers. `nxn`: everybody sends to everybody. `private`: each to one other.

use std::io;
use std::time::Duration;

use clap::Args;

use crate::arguments::{PaceArguments, RunArguments, at_least, text_size};
use crate::client::load::Load;
use crate::machine::cores::Cores;
use crate::result::outcome::{Outcome, Watch};
use crate::result::output::OutputArguments;
use crate::scenario::talk;
use crate::subject::peers::AgainstArguments;

/// Arguments of `fanout`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  parlor bench fanout --receivers 100 --size 500 --window 1 --seconds 5
  parlor bench fanout --receivers 100 --window 64 --json result.json
  parlor bench fanout --receivers 9 --rate 1000            a small room, a message each millisecond
  parlor bench fanout --rooms 100 --receivers 10 --shards 2   many rooms, 2 shards compared with 1
  parlor bench fanout --receivers 100 --window 64 --tls    the cost of TLS
  parlor bench fanout --receivers 50 --server 127.0.0.1:5060")]
pub struct FanoutArguments {
    #[command(flatten)]
    pub load: FanoutLoad,
    #[command(flatten)]
    pub pace: PaceArguments,
    #[command(flatten)]
    pub against: AgainstArguments,
    #[command(flatten)]
    pub run: RunArguments,
    #[command(flatten)]
    pub output: OutputArguments,
}

/// What a fan-out is of.
#[derive(Debug, Clone, Args)]
pub struct FanoutLoad {
    /// Receivers of each room
    #[arg(long, default_value_t = 100, value_parser = at_least(0))]
    pub receivers: usize,
    /// Senders of each room
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=9999))]
    pub senders: u16,
    /// Octets of text in a message
    #[arg(long, default_value_t = 500, value_parser = text_size())]
    pub size: usize,
    /// Rooms, all alike
    #[arg(long, default_value_t = 1, value_parser = at_least(1))]
    pub rooms: usize,
    /// Use MSRP over TLS; compared with plain TCP
    #[arg(long)]
    pub tls: bool,
    /// Milliseconds for which the server is stopped in the middle of each round: a test of the bench itself
    #[arg(long, value_name = "MS", hide = true)]
    pub freeze: Option<u64>,
}

impl FanoutArguments {
    /// Says what is wrong where this makes no sense.
    ///
    /// # Errors
    /// Returns what is wrong with the arguments, in words.
    pub fn check(&self) -> Result<(), String> {
        check(&self.load.load(), &self.run, &self.against)
    }
}

fn check(load: &Load, run: &RunArguments, against: &AgainstArguments) -> Result<(), String> {
    load.check()?;
    against.check(load, talk::reference(load, run).map(|(name, ..)| name))
}

impl FanoutLoad {
    /// As a load.
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            rooms: self.rooms,
            receivers: self.receivers,
            senders: usize::from(self.senders),
            privately: false,
            size: self.size,
            tls: self.tls,
            freeze: self.freeze.map(Duration::from_millis),
        }
    }
}

/// Measures.
///
/// # Errors
/// Returns an error if a socket fails.
pub fn run(arguments: &FanoutArguments, cores: Cores, watch: &mut dyn Watch) -> io::Result<Outcome> {
    talk::run(
        "fanout",
        &arguments.load.load(),
        (arguments.pace.pace(), &arguments.against),
        &arguments.run,
        cores,
        watch,
    )
}

/// Arguments of `nxn` and `private`.
#[derive(Debug, Args)]
pub struct MembersArguments {
    #[command(flatten)]
    pub load: MembersLoad,
    #[command(flatten)]
    pub pace: PaceArguments,
    #[command(flatten)]
    pub against: AgainstArguments,
    #[command(flatten)]
    pub run: RunArguments,
    #[command(flatten)]
    pub output: OutputArguments,
}

impl MembersArguments {
    /// As [`FanoutArguments::check`]; `privately`: for `private`.
    ///
    /// # Errors
    /// Returns what is wrong with the arguments, in words.
    pub fn check(&self, privately: bool) -> Result<(), String> {
        check(&self.load.load(privately), &self.run, &self.against)
    }
}

/// Rooms in which everybody sends.
#[derive(Debug, Clone, Args)]
pub struct MembersLoad {
    /// Members of each room
    #[arg(long, default_value_t = 20, value_parser = at_least(2))]
    members: usize,
    /// Octets of text in a message
    #[arg(long, default_value_t = 500, value_parser = text_size())]
    size: usize,
    /// Rooms, all alike
    #[arg(long, default_value_t = 1, value_parser = at_least(1))]
    rooms: usize,
}

impl MembersLoad {
    fn load(&self, privately: bool) -> Load {
        Load {
            rooms: self.rooms,
            receivers: 0,
            senders: self.members,
            privately,
            size: self.size,
            tls: false,
            freeze: None,
        }
    }
}

/// Measures members who all send: to everyone in their room, or with `privately` to one other.
///
/// # Errors
/// Returns an error if a socket fails.
pub fn members(
    arguments: &MembersArguments,
    privately: bool,
    cores: Cores,
    watch: &mut dyn Watch,
) -> io::Result<Outcome> {
    talk::run(
        if privately { "private" } else { "nxn" },
        &arguments.load.load(privately),
        (arguments.pace.pace(), &arguments.against),
        &arguments.run,
        cores,
        watch,
    )
}
