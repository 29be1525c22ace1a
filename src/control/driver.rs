//! The event loop of the control thread: up to [`INPUTS_PER_TURN_MAX`] inputs to the focus, then all of its outputs.

use std::collections::HashMap;
use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio::time::sleep_until;
use tracing::{debug, warn};

use super::command_queue::{CommandQueue, CommandRefused};
use super::descriptor_limit::DescriptorMonitor;
use super::inbound::{Inbound, InboundEvent};
use super::message::{ControlMessage, ExitReason};
use super::resolver::{Resolved, resolve};
use super::sockets::SipSockets;
use super::transport::TransportLayer;
use crate::facts::{Command, EndReason, Event};
use crate::focus::{Awaited, Focus, Output};
use crate::ids::ShardId;
use crate::limits::LOOKUPS_MAX;
use crate::shard::mesh::ShardHandle;
use crate::tls::TlsSetup;
use parlor_proto::sip::{Message, Method};

/// Settings of the control thread.
#[derive(Debug, Clone)]
pub struct ControlSettings {
    /// The longest time from [`ControlMessage::Drain`] to the return of [`run`].
    pub drain_timeout: Duration,
    /// TLS for SIP; `None` turns it off.
    pub tls: Option<TlsSetup>,
}

/// The time between two attempts to send commands that wait for a full channel.
const RETRY_INTERVAL: Duration = Duration::from_millis(2);
/// Inputs that are handled before the outputs of all of them are carried out.
const INPUTS_PER_TURN_MAX: usize = 64;

struct Driver {
    focus: Focus,
    transport: TransportLayer,
    descriptors: DescriptorMonitor,
    shards: HashMap<ShardId, CommandQueue>,
    shards_ended: usize,
    /// When a drain ends at the latest; `None`: the server does not drain.
    drain_deadline: Option<Instant>,
    resolved: mpsc::Sender<Resolved>,
    exit: Option<ExitReason>,
    failure: Option<String>,
}

/// Runs the focus until it is drained or stopped. Must be called within a `LocalSet`. When it returns, all shards have ended, unless
/// the drain timed out or the server was stopped.
///
/// # Errors
/// Returns an error if a socket cannot be registered with the runtime, if a shard ends unexpectedly, or if a shard takes no commands.
pub async fn run(
    settings: ControlSettings,
    focus: Focus,
    sockets: SipSockets,
    shards: Vec<ShardHandle>,
    mut events: mpsc::Receiver<(ShardId, Event)>,
    mut messages: mpsc::Receiver<ControlMessage>,
) -> io::Result<ExitReason> {
    let (transport, mut inbound) = TransportLayer::start(sockets, settings.tls.clone())?;
    let (sender, mut resolved) = mpsc::channel(LOOKUPS_MAX);
    let mut driver = Driver {
        focus,
        transport,
        descriptors: DescriptorMonitor::default(),
        shards: shards.into_iter().map(|shard| (shard.id, CommandQueue::new(shard))).collect(),
        shards_ended: 0,
        drain_deadline: None,
        resolved: sender,
        exit: None,
        failure: None,
    };
    let exit = loop {
        if let Some(exit) = driver.exit {
            break exit;
        }
        driver.set_clock();
        driver.drain_outputs();
        if driver.is_drained() {
            driver.exit.get_or_insert(ExitReason::Drained);
        }
        if driver.exit.is_some() {
            continue;
        }
        let timeout = driver.poll_timeout();
        let timer = async {
            match timeout {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(input) = inbound.recv() => {
                driver.handle_inbound(input);
                for _ in 1..INPUTS_PER_TURN_MAX {
                    let Ok(input) = inbound.try_recv() else { break };
                    driver.handle_inbound(input);
                }
            }
            Some((shard, event)) = events.recv() => {
                driver.handle_event(shard, event);
                for _ in 1..INPUTS_PER_TURN_MAX {
                    let Ok((shard, event)) = events.try_recv() else { break };
                    driver.handle_event(shard, event);
                }
            }
            Some((query, addresses)) = resolved.recv() => driver.focus.handle_looked_up(query, &addresses, Instant::now()),
            Some(message) = messages.recv() => driver.handle_message(message, settings.drain_timeout),
            () = timer => driver.handle_timeout(),
        }
    };
    driver.failure.map_or(Ok(exit), |failure| Err(io::Error::other(failure)))
}

impl Driver {
    /// Whether a drain is complete: no call and no shard is left.
    fn is_drained(&self) -> bool {
        self.drain_deadline.is_some() && self.shards_ended == self.shards.len() && self.focus.is_drained()
    }

    /// Rosters carry joining times. The wall clock may be adjusted while the server runs.
    fn set_clock(&mut self) {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.focus.set_wall_clock(Instant::now(), since_1970);
    }

    fn handle_inbound(&mut self, Inbound { hop, event }: Inbound) {
        match event {
            InboundEvent::Message(message) => {
                self.transport.record_receipt(hop);
                if matches!(&*message, Message::Request(request) if request.method == Method::Invite) {
                    self.focus.set_descriptors_short(self.descriptors.is_short(Instant::now()));
                }
                self.focus.handle_message(*message, hop, Instant::now());
            }
            InboundEvent::Malformed(request) => self.focus.handle_malformed(*request, hop),
            InboundEvent::Accepted(stream) => self.transport.accept(stream, hop, || self.focus.connections_in_use()),
            InboundEvent::Unsent(message) => self.focus.handle_unsent(&message, Instant::now()),
            InboundEvent::HalfClosed(connection) => {
                self.transport.half_close(connection);
                self.focus.handle_closed(connection, Instant::now());
            }
            InboundEvent::Closed(connection) => {
                if self.transport.remove(connection) {
                    self.focus.handle_closed(connection, Instant::now());
                }
            }
        }
        self.report_closed();
    }

    fn report_closed(&mut self) {
        while let Some(connection) = self.transport.poll_closed() {
            self.focus.handle_closed(connection, Instant::now());
        }
    }

    fn handle_event(&mut self, shard: ShardId, event: Event) {
        if let Event::SessionEnded { session, why } = &event {
            match why {
                EndReason::ConnectionLost => debug!(session = session.short(), "MSRP connection lost"),
                why => debug!(session = session.short(), why = why.text(), "MSRP session ended"),
            }
        }
        self.focus.handle_event(shard, event, Instant::now());
    }

    fn handle_message(&mut self, message: ControlMessage, drain_timeout: Duration) {
        match message {
            ControlMessage::Stop => self.exit = Some(ExitReason::Stopped),
            ControlMessage::ReplaceRooms(rooms) => self.focus.replace_rooms(*rooms, Instant::now()),
            ControlMessage::ReplaceUsers(users) => self.focus.replace_users(users),
            ControlMessage::ReplaceFingerprints(fingerprints) => self.focus.replace_fingerprints(fingerprints),
            ControlMessage::ShardEnded(shard, outcome) if self.drain_deadline.is_none() => {
                let why = outcome.err().unwrap_or_else(|| "it stopped".into());
                self.fail(format!("shard {shard} has ended: {why}"));
            }
            ControlMessage::ShardEnded(..) => self.shards_ended += 1,
            ControlMessage::Drain if self.drain_deadline.is_some() => {}
            ControlMessage::Drain => self.drain(drain_timeout),
        }
    }

    fn drain(&mut self, timeout: Duration) {
        let now = Instant::now();
        self.drain_deadline = Some(now + timeout);
        self.focus.drain(now);
        self.drain_outputs();
        let shards: Vec<ShardId> = self.shards.keys().copied().collect();
        for shard in shards {
            self.send_command(shard, Command::Drain);
        }
    }

    /// A server that has lost a shard has lost its rooms: it stops rather than serve a part of them.
    fn fail(&mut self, failure: String) {
        self.failure.get_or_insert(failure);
        self.exit = Some(ExitReason::Stopped);
    }

    fn handle_timeout(&mut self) {
        let now = Instant::now();
        self.focus.handle_timeout(now);
        if self.drain_deadline.is_some_and(|at| at <= now) {
            let Awaited { calls, invitations, byes, subscriptions } = self.focus.awaited();
            let shards = self.shards.len() - self.shards_ended;
            warn!(calls, invitations, byes, subscriptions, shards, "the time to drain is over: these have not ended");
            self.exit = Some(ExitReason::DrainTimeout { calls });
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.shards.values().any(CommandQueue::is_waiting);
        let retry = waiting.then(|| Instant::now() + RETRY_INTERVAL);
        [self.focus.poll_timeout(), self.drain_deadline, retry].into_iter().flatten().min()
    }

    /// Carries out every output of the focus.
    fn drain_outputs(&mut self) {
        self.shards.values_mut().for_each(CommandQueue::flush);
        while let Some(output) = self.focus.poll_output() {
            match output {
                Output::Send { hop, message } => {
                    if let Err(unsent) = self.transport.send(hop, message) {
                        self.focus.handle_unsent(&unsent, Instant::now());
                    }
                    self.report_closed();
                }
                Output::Command { shard, command } => self.send_command(shard, command),
                Output::LookUp { query, name } => {
                    if !resolve(query, name, &self.resolved) {
                        self.focus.handle_looked_up(query, &[], Instant::now());
                    }
                }
            }
        }
    }

    fn send_command(&mut self, id: ShardId, command: Command) {
        let Some(shard) = self.shards.get_mut(&id) else { return };
        match shard.send(command) {
            Ok(()) => {}
            Err(CommandRefused::Session(open)) => self.focus.handle_full(open.session, Instant::now()),
            Err(CommandRefused::ShardFailed) => self.fail(format!("shard {id} takes no commands any more")),
        }
    }
}
