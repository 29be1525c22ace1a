//! `parlor bench`: runs the load generator, with what it needs of the server.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Parser;
use parlor_bench::{BenchArguments, Host};

use super::output;
use super::serve::ServeArguments;
use crate::shard::{self, Io};

/// Runs a scenario.
pub fn run(arguments: &BenchArguments) -> ExitCode {
    let host = Host {
        server_version: concat!("Parlor ", env!("CARGO_PKG_VERSION")),
        shard_settings,
        print: output::print,
        complain: |text| output::complain(text),
    };
    parlor_bench::run(arguments, &host)
}

/// The values of `[shards]`, except `cores`, of a server started with these flags, by key; `io` is the back end that such a server
/// uses on this machine. Empty if the flags are invalid.
fn shard_settings(flags: &[String]) -> BTreeMap<String, String> {
    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        serve: ServeArguments,
    }
    let flags = std::iter::once("serve").chain(flags.iter().map(String::as_str));
    let Some(config) = Flags::try_parse_from(flags).ok().and_then(|flags| flags.serve.config().ok()) else {
        return BTreeMap::new();
    };
    let shards = config.shards;
    let io = if shards.io == Io::Ring && shard::probe_ring().is_err() { Io::Epoll } else { shards.io };
    let settings = [
        ("io", format!("{io:?}").to_lowercase()),
        ("spin_before_park", format!("{:?}", shards.spin_before_park)),
        ("ring_depth", shards.ring_depth.to_string()),
        ("send_batch", shards.send_batch.to_string()),
        ("copy_below", shards.copy_below.to_string()),
    ];
    settings.map(|(name, value)| (name.to_owned(), value)).into()
}
