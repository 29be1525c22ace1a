//! `parlor serve`: the server.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};
use rand_core::Rng;
use rustix::process::{Signal as ProcessSignal, set_parent_process_death_signal};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tracing::level_filters::LevelFilter;
use tracing::{error, info};

use super::{check, random};
use crate::config::{Config, ConfigErrors, Cores, LogConfig, LogFormat, parse_cores, parse_duration, parse_size};
use crate::control::{self, ControlSettings, Order, SipSockets};
use crate::focus::{Focus, ShardAddress};
use crate::shard::{self, BoundShard, Io, ShardThread, mesh};
use crate::sip::Transport;

/// Orders that may wait for the control thread.
const ORDERS_MAX: usize = 64;

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
    /// What carries the shards: a loop on a ring of its own, or glommio's executor
    #[arg(long, value_enum, value_name = "SHELL")]
    io: Option<IoArgument>,
    /// How long a shard without work polls before it sleeps: 0us, 20us
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    spin_before_park: Option<Duration>,
    /// Entries that a shard's rings take at once
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(16..=4096))]
    ring_depth: Option<u16>,
    /// Connections in one submission of the send ring
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=4096))]
    send_batch: Option<u16>,
    /// Pieces smaller than this are copied into the send buffer, larger ones gathered: 1KiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    copy_below: Option<u64>,
    /// End at once when whoever started this ends
    #[arg(long, hide = true)]
    end_with_parent: bool,
}

/// Values of `--io`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum IoArgument {
    Ring,
    Glommio,
}

impl From<IoArgument> for Io {
    fn from(argument: IoArgument) -> Self {
        match argument {
            IoArgument::Ring => Self::Ring,
            IoArgument::Glommio => Self::Glommio,
        }
    }
}

impl ServeArguments {
    fn config(&self) -> Result<Config, ConfigErrors> {
        let mut config = self.config.as_deref().map_or_else(|| Ok(Config::default()), Config::load)?;
        let shards = &mut config.shards;
        if let Some(cores) = &self.cores {
            shards.cores = cores.clone();
        }
        shards.io = self.io.map_or(shards.io, Io::from);
        shards.spin_before_park = self.spin_before_park.unwrap_or(shards.spin_before_park);
        shards.ring_depth = self.ring_depth.map_or(shards.ring_depth, usize::from);
        shards.send_batch = self.send_batch.map_or(shards.send_batch, usize::from);
        let copy_below = self.copy_below.map(|octets| usize::try_from(octets).unwrap_or(usize::MAX));
        shards.copy_below = copy_below.unwrap_or(shards.copy_below);
        Ok(config)
    }
}

/// What `[shards]` has in force for a server that is started with these flags, by key; the cores aside. Nothing, where the
/// flags are none of `serve`.
pub(super) fn shards_in_force(flags: &[String]) -> BTreeMap<String, String> {
    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        serve: ServeArguments,
    }
    let flags = std::iter::once("serve").chain(flags.iter().map(String::as_str));
    let Some(config) = Flags::try_parse_from(flags).ok().and_then(|flags| flags.serve.config().ok()) else {
        return BTreeMap::new();
    };
    let shards = config.shards;
    let settings = [
        ("io", format!("{:?}", shards.io).to_lowercase()),
        ("spin_before_park", format!("{:?}", shards.spin_before_park)),
        ("ring_depth", shards.ring_depth.to_string()),
        ("send_batch", shards.send_batch.to_string()),
        ("copy_below", shards.copy_below.to_string()),
    ];
    settings.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Runs until a signal ends it.
pub(super) fn run(arguments: &ServeArguments) -> ExitCode {
    if arguments.end_with_parent
        && let Err(error) = set_parent_process_death_signal(Some(ProcessSignal::KILL))
    {
        eprintln!("parlor: {error}");
        return ExitCode::FAILURE;
    }
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
    start_log(&config.log);
    match serve(&config, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("parlor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start_log(log: &LogConfig) {
    let level = LevelFilter::from_str(log.level.name()).unwrap_or(LevelFilter::INFO);
    let builder = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(false);
    match log.format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().init(),
    }
}

/// Binds everything, starts the shards, says that it is ready, and runs the focus on this thread.
fn serve(config: &Config, arguments: &ServeArguments) -> Result<(), Box<dyn Error>> {
    let shard_settings = config.shard_settings(&check::allowed_cores());
    let bound = shard::bind(&shard_settings)?;
    let mut sockets = SipSockets::default();
    for listen in &config.sip.listen {
        sockets.listen(listen.transport.into(), listen.address)?;
    }
    let shards: Vec<_> = bound.iter().map(|shard| ShardAddress { id: shard.id, port: shard.port }).collect();
    let addresses = sockets.addresses();
    let ready = ready_line(config, &addresses, &bound);
    let (sender, events) = mesh::events();
    let mut rng = random::generator()?;
    let started = shard::start(&shard_settings, bound, &sender, || seed(&mut rng))?;
    drop(sender);
    let (handles, threads): (Vec<_>, Vec<_>) = started.into_iter().unzip();
    let listen = addresses.iter().map(|(_, address)| *address).collect();
    let focus = Focus::new(config.focus_settings(listen, shards), seed(&mut rng));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (orders, received) = mpsc::channel(ORDERS_MAX);
    watch_shards(threads, &orders);
    let settings = ControlSettings { drain_timeout: config.sip.drain_timeout };
    let path = arguments.config.clone();
    LocalSet::new().block_on(&runtime, async move {
        let signals = Signals::new()?;
        tokio::task::spawn_local(signals.run(orders, path));
        println!("{ready}");
        control::run(settings, focus, sockets, handles, events, received).await
    })?;
    Ok(())
}

fn seed(rng: &mut impl Rng) -> [u8; 32] {
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    seed
}

fn ready_line(config: &Config, sip: &[(Transport, SocketAddr)], shards: &[BoundShard]) -> String {
    let sip = sip.iter().map(|(transport, address)| format!("{}:{address}", transport.name().to_ascii_lowercase()));
    let msrp = shards.iter().map(|shard| format!("msrp:{}", SocketAddr::new(config.msrp.listen, shard.port)));
    format!("parlor is ready: {}", sip.chain(msrp).collect::<Vec<_>>().join(" "))
}

/// Tells the control thread when a shard ends.
fn watch_shards(threads: Vec<ShardThread>, orders: &mpsc::Sender<Order>) {
    for thread in threads {
        let orders = orders.clone();
        std::thread::spawn(move || {
            let id = thread.id;
            let outcome = thread.join();
            let _ = orders.blocking_send(Order::ShardEnded(id, outcome));
        });
    }
}

/// Signals that an operator sends.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Makes orders of them: the first TERM or INT drains, the second ends, HUP reads the config again.
    async fn run(mut self, orders: mpsc::Sender<Order>, config: Option<PathBuf>) {
        let mut draining = false;
        loop {
            let wanted = tokio::select! {
                _ = self.terminate.recv() => vec![end_or_drain(&mut draining)],
                _ = self.interrupt.recv() => vec![end_or_drain(&mut draining)],
                _ = self.hang_up.recv() => reload(config.as_deref()),
            };
            for order in wanted {
                if orders.send(order).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn end_or_drain(draining: &mut bool) -> Order {
    if std::mem::replace(draining, true) {
        return Order::End;
    }
    info!("draining: nobody joins any more; a second signal ends at once");
    Order::Drain
}

/// Rooms, their policies and the users can change while the server runs. A config that is wrong leaves the old one in force.
fn reload(config: Option<&Path>) -> Vec<Order> {
    let Some(path) = config else { return Vec::new() };
    match Config::load(path) {
        Ok(config) => {
            info!(config = %path.display(), "rooms, policies and users read again; other settings need a restart");
            vec![Order::ReplaceRooms(Box::new(config.room_settings())), Order::ReplaceUsers(config.users())]
        }
        Err(errors) => {
            error!(config = %path.display(), "the config is wrong, the old one stays in force\n{}", errors.render());
            Vec::new()
        }
    }
}
