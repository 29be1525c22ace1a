//! `parlor serve`: the server.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::check;
use crate::config::{Config, ConfigErrors, Cores, parse_cores, parse_duration, parse_size};

/// Arguments of `serve`. Every key of `[shards]` has a flag of its name, which wins over the file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  parlor serve                                  on loopback, rooms made on demand
  parlor serve --config /etc/parlor/parlor.toml
  parlor serve --cores 2-3                      rooms on these two cores only

TERM and INT drain: nobody joins any more, calls are ended, and what waits is still sent. A second one ends at once.")]
pub(super) struct ServeArguments {
    /// The config file; without it everything has its default
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Cores that carry rooms: all, 0, 0-3,8
    #[arg(long, value_name = "CORES", value_parser = parse_cores)]
    cores: Option<Cores>,
    /// How long a shard without work polls before it sleeps: 0us, 20us
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    spin_before_park: Option<Duration>,
    /// Entries in each of the executor's rings
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(16..=4096))]
    ring_depth: Option<u16>,
    /// Connections in one submission of the send ring
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=4096))]
    send_batch: Option<u16>,
    /// Pieces smaller than this are copied into the send buffer, larger ones gathered: 1KiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    copy_below: Option<u64>,
}

impl ServeArguments {
    fn config(&self) -> Result<Config, ConfigErrors> {
        let mut config = self.config.as_deref().map_or_else(|| Ok(Config::default()), Config::load)?;
        let shards = &mut config.shards;
        if let Some(cores) = &self.cores {
            shards.cores = cores.clone();
        }
        shards.spin_before_park = self.spin_before_park.unwrap_or(shards.spin_before_park);
        shards.ring_depth = self.ring_depth.map_or(shards.ring_depth, usize::from);
        shards.send_batch = self.send_batch.map_or(shards.send_batch, usize::from);
        let copy_below = self.copy_below.map(|octets| usize::try_from(octets).unwrap_or(usize::MAX));
        shards.copy_below = copy_below.unwrap_or(shards.copy_below);
        Ok(config)
    }
}

/// Runs until a signal ends it.
pub(super) fn run(arguments: &ServeArguments) -> ExitCode {
    let config = match arguments.config() {
        Ok(config) => config,
        Err(errors) => {
            eprint!("{}", errors.render());
            return ExitCode::from(2);
        }
    };
    if let Some(obstacle) = check::obstacles(&config).first() {
        eprintln!("parlor: {}", obstacle.line());
        return ExitCode::FAILURE;
    }
    eprintln!("parlor: nothing to run yet");
    ExitCode::FAILURE
}
