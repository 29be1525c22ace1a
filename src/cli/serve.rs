//! `parlor serve`: starts the server and runs it until a signal ends it.

mod signals;

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use rand_core::Rng;
use rustix::process::{Signal as ProcessSignal, set_parent_process_death_signal};
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tracing::{error, info, warn};

use self::signals::{Reload, Signals};
use super::log::Log;
use super::output::{complain, note, try_print};
use super::{check, random};
use crate::config::{
    COPY_BELOW_BYTES_MAX, Config, ConfigErrors, Cores, SPIN_MAX, parse_cores, parse_duration, parse_size,
};
use crate::control::{self, ControlMessage, ControlSettings, ExitReason, SipSockets};
use crate::focus::{Focus, ShardAddress};
use crate::shard::{self, BoundShard, Io, Listeners, ShardThread, mesh};
use crate::tls::{Identity, TlsSetup, Trust};
use parlor_proto::sip::Transport;

/// Messages that wait for the control thread.
const MESSAGES_MAX: usize = 64;

/// Arguments of `serve`. Every key of `[shards]` has a flag of its name, which overrides the file.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  parlor serve                                  loopback, rooms created on demand
  parlor serve --config /etc/parlor/parlor.toml
  parlor serve --cores 2-3                      rooms on two cores only

TERM and INT drain: new calls are refused, calls are ended, queued messages are sent. A second
signal exits at once. HUP reloads rooms, policies, users, the certificate and the log level.")]
pub struct ServeArguments {
    /// The config file. Without it, every key has its default
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Cores for rooms: all, 0, 0-3,8
    #[arg(long, value_name = "CORES", value_parser = parse_cores)]
    cores: Option<Cores>,
    /// The I/O back end of the shards: an io_uring event loop (epoll if that is
    /// refused), glommio, or epoll
    #[arg(long, value_enum, value_name = "BACKEND")]
    io: Option<IoArgument>,
    /// How long an idle shard polls before it sleeps: 0us, 20us
    #[arg(long, value_name = "TIME", value_parser = parse_spin)]
    spin_before_park: Option<Duration>,
    /// Entries of a shard's rings; more helps only if very many participants send at once
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(16..=4096))]
    ring_depth: Option<u16>,
    /// Connections in one submission; fewer cost up to a third more, above 64 nothing is gained
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=4096))]
    send_batch: Option<u16>,
    /// Smaller pieces are copied into the send buffer, larger ones are gathered: 1KiB, at most 64KiB.
    /// Copying large messages costs 10 to 20 %
    #[arg(long, value_name = "SIZE", value_parser = parse_copy_below)]
    copy_below: Option<u64>,
    /// Exit when the parent process exits
    #[arg(long, hide = true)]
    end_with_parent: bool,
}

/// Values of `--io`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum IoArgument {
    Ring,
    Glommio,
    Epoll,
}

impl From<IoArgument> for Io {
    fn from(argument: IoArgument) -> Self {
        match argument {
            IoArgument::Ring => Self::Ring,
            IoArgument::Glommio => Self::Glommio,
            IoArgument::Epoll => Self::Epoll,
        }
    }
}

/// Parses `--spin-before-park`, within the bounds of the config key.
fn parse_spin(text: &str) -> Result<Duration, String> {
    Some(parse_duration(text)?).filter(|time| *time <= SPIN_MAX).ok_or_else(|| "0us to 1s".into())
}

/// Parses `--copy-below`, within the bounds of the config key.
fn parse_copy_below(text: &str) -> Result<u64, String> {
    Some(parse_size(text)?).filter(|octets| *octets <= COPY_BELOW_BYTES_MAX).ok_or_else(|| "0 to 64KiB".into())
}

impl ServeArguments {
    /// The config file, overridden by the flags.
    pub fn config(&self) -> Result<Config, ConfigErrors> {
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

/// Runs the server until a signal ends it.
pub fn run(arguments: &ServeArguments) -> ExitCode {
    if arguments.end_with_parent
        && let Err(error) = set_parent_process_death_signal(Some(ProcessSignal::KILL))
    {
        complain(error);
        return ExitCode::FAILURE;
    }
    let config = match arguments.config() {
        Ok(config) => config,
        Err(errors) => {
            note(errors.render());
            return ExitCode::from(2);
        }
    };
    // If the kernel refuses, the checks below report the limit.
    let _ = control::raise_limit();
    if let Some(error) = check::startup_errors(&config).first() {
        complain(error.line());
        return ExitCode::FAILURE;
    }
    let tls = match Tls::load(&config) {
        Ok(tls) => tls,
        Err(error) => {
            complain(error);
            return ExitCode::from(2);
        }
    };
    let log = match Log::start(config.log) {
        Ok(log) => log,
        Err(error) => {
            complain(format_args!("the log cannot be started: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let mut listeners = Listeners::default();
    let code = log_end(serve(&config, tls, arguments, &log, &mut listeners));
    log.close();
    // After the last line: a shard that still runs would log that it cannot accept.
    drop(listeners);
    code
}

/// Writes the last line of the log: why the server has ended.
fn log_end(end: Result<io::Result<ExitReason>, Box<dyn Error>>) -> ExitCode {
    match &end {
        Ok(Ok(ExitReason::Drained)) => info!(why = "drained after a signal", "the server has ended"),
        Ok(Ok(ExitReason::Stopped)) => info!(why = "a second signal", "the server has ended"),
        Ok(Ok(ExitReason::DrainTimeout { calls })) => {
            warn!(why = "the time to drain is over", calls, "the server has ended")
        }
        Ok(Err(error)) => error!(why = %error, "the server has ended"),
        Err(error) => error!(why = %error, "the server has not started"),
    }
    if matches!(end, Ok(Ok(_))) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Binds the sockets, starts the shards, prints the ready line, and runs the control thread. The outer error is one before the ready
/// line, the inner result is the end of a server that was ready.
fn serve(
    config: &Config,
    tls: Option<Tls>,
    arguments: &ServeArguments,
    log: &Log,
    listeners: &mut Listeners,
) -> Result<io::Result<ExitReason>, Box<dyn Error>> {
    if let Some(why) = tls.as_ref().and_then(|tls| check::validity_error(&tls.identity)) {
        warn!("clients that verify dates will not connect over TLS: the certificate {why}");
    }
    let mut shard_settings = config.shard_settings(&check::allowed_cores());
    shard_settings.tls = tls.as_ref().map(|tls| tls.setup.clone());
    let bound = shard::bind(&shard_settings)?;
    *listeners = Listeners::of(&bound)?;
    let mut sockets = SipSockets::default();
    for listen in &config.sip.listen {
        sockets.listen(listen.transport.into(), listen.address)?;
    }
    let shards: Vec<_> = bound.iter().map(address_of).collect();
    let addresses = sockets.addresses();
    let ready = ready_line(config, &addresses, &bound);
    let (sender, events) = mesh::events();
    let mut rng = random::generator()?;
    let started = shard::start(&shard_settings, bound, &sender, || seed(&mut rng))?;
    drop(sender);
    let (handles, threads): (Vec<_>, Vec<_>) = started.into_iter().unzip();
    let mut focus_settings = config.focus_settings(addresses, shards);
    focus_settings.fingerprints = tls.as_ref().map(|tls| tls.identity.fingerprints.clone()).unwrap_or_default();
    let focus = Focus::new(focus_settings, seed(&mut rng));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (messages, received) = mpsc::channel(MESSAGES_MAX);
    watch_shards(threads, &messages);
    let setup = tls.map(|tls| tls.setup);
    let settings = ControlSettings { drain_timeout: config.sip.drain_timeout, tls: setup.clone() };
    let reload = reload(config, arguments, setup, log);
    let signals = {
        let _entered = runtime.enter();
        Signals::new()?
    };
    Ok(LocalSet::new().block_on(&runtime, async move {
        tokio::task::spawn_local(signals.run(messages, reload));
        print_ready(ready);
        control::run(settings, focus, sockets, handles, events, received).await
    }))
}

/// The reload for HUP.
fn reload(config: &Config, arguments: &ServeArguments, tls: Option<TlsSetup>, log: &Log) -> Reload {
    let (arguments, log) = (arguments.clone(), log.clone());
    Reload {
        path: arguments.config.clone(),
        read: Box::new(move || arguments.config()),
        started_with: config.clone(),
        set_level: Box::new(move |level| log.set_level(level)),
        tls,
    }
}

/// Prints the ready line in a thread of its own, because a full pipe may block it.
fn print_ready(ready: String) {
    let print = move || {
        if let Err(error) = try_print(&format!("{ready}\n")) {
            warn!(%error, "standard output cannot be written");
        }
    };
    if let Err(error) = std::thread::Builder::new().name("ready".into()).spawn(print) {
        warn!(%error, "the ready line cannot be printed");
    }
}

fn seed(rng: &mut impl Rng) -> [u8; 32] {
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    seed
}

fn ready_line(config: &Config, sip: &[(Transport, SocketAddr)], shards: &[BoundShard]) -> String {
    let sip = sip.iter().map(|(transport, address)| format!("{}:{address}", transport.name().to_ascii_lowercase()));
    let at = |port| SocketAddr::new(config.msrp.listen, port);
    let msrp = shards.iter().map(|shard| format!("msrp:{}", at(shard.port)));
    let msrps = shards.iter().filter_map(|shard| Some(format!("msrps:{}", at(shard.tls_port?))));
    format!("parlor is ready: {}", sip.chain(msrp).chain(msrps).collect::<Vec<_>>().join(" "))
}

fn address_of(shard: &BoundShard) -> ShardAddress {
    ShardAddress { id: shard.id, port: shard.port, tls_port: shard.tls_port }
}

/// The certificate and the TLS configs made from it.
struct Tls {
    setup: TlsSetup,
    identity: Identity,
}

impl Tls {
    fn load(config: &Config) -> Result<Option<Self>, Box<dyn Error>> {
        let Some(files) = &config.tls else { return Ok(None) };
        let identity = Identity::load(&files.certificate, &files.private_key)?;
        let setup = TlsSetup::new(&identity, &Trust::load(files.authorities.as_deref())?)?;
        Ok(Some(Self { setup, identity }))
    }
}

/// Reports the end of each shard thread to the control thread.
fn watch_shards(threads: Vec<ShardThread>, messages: &mpsc::Sender<ControlMessage>) {
    for thread in threads {
        let messages = messages.clone();
        std::thread::spawn(move || {
            let id = thread.id;
            let outcome = thread.join();
            let _ = messages.blocking_send(ControlMessage::ShardEnded(id, outcome));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_have_the_bounds_of_their_config_keys() {
        assert_eq!(parse_copy_below("64KiB"), Ok(65536));
        assert!(parse_copy_below("65537").is_err() && parse_copy_below("much").is_err());
        assert_eq!(parse_spin("1s"), Ok(Duration::from_secs(1)));
        assert!(parse_spin("1001ms").is_err());
    }
}
