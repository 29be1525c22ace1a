//! The control thread's loop: one input at a time to the focus, and everything it wants done after each.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_channel::TrySendError;
use tokio::sync::mpsc;
use tokio::time::sleep_until;
use tracing::{debug, info, warn};

use super::SipSockets;
use super::descriptors::Descriptors;
use super::flows::{Arrived, Flows, Inbound};
use crate::call::Users;
use crate::facts::{Command, EndReason, Event, Fingerprint};
use crate::focus::{Awaited, Focus, Output, RoomSettings};
use crate::ids::ShardId;
use crate::limits::LOOKUPS_MAX;
use crate::shard::mesh::ShardHandle;
use crate::tls::TlsSetup;
use parlor_proto::sip::{Message, Method};

/// What an operator sets about the control thread.
#[derive(Debug, Clone)]
pub struct ControlSettings {
    /// How long a drain may take.
    pub drain_timeout: Duration,
    /// What SIP over TLS needs; without it there is none.
    pub tls: Option<TlsSetup>,
}

/// What the operator wants of a running server.
#[derive(Debug)]
pub enum Order {
    /// Let nobody in any more, end every call, and stop when all are gone.
    Drain,
    /// Stop now.
    End,
    /// Put these rooms and policies in force.
    ReplaceRooms(Box<RoomSettings>),
    /// Put these users in force; `None` asks nobody for a password.
    ReplaceUsers(Option<Arc<Users>>),
    /// The server shows another certificate from now on: these are its fingerprints.
    ReplaceFingerprints(Vec<Fingerprint>),
    /// A shard's thread has ended, with this error or as it should.
    ShardEnded(ShardId, Result<(), String>),
}

/// How the server has come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every call has ended, and every shard.
    Drained,
    /// The time to drain was over, with so many calls left.
    DrainTimeout {
        /// Calls that were still there.
        calls: usize,
    },
    /// It was told to stop at once.
    Stopped,
}

/// How soon commands for which a shard had no room are tried again.
const RETRY_AFTER: Duration = Duration::from_millis(2);
/// Inputs that are taken before the outputs of all of them are carried out.
const INPUTS_PER_TURN_MAX: usize = 64;

struct Driver {
    focus: Focus,
    flows: Flows,
    descriptors: Descriptors,
    shards: HashMap<ShardId, Shard>,
    shards_ended: usize,
    /// When a drain ends, whoever is still there.
    ends_by: Option<Instant>,
    lookups: mpsc::Sender<Found>,
    ended: Option<Ended>,
    failure: Option<String>,
}

/// Addresses of a name, with the number of who asks.
type Found = (u64, Vec<IpAddr>);

struct Shard {
    handle: ShardHandle,
    /// Commands that had no room, in order. Only what ends or changes something waits here; a new session is refused.
    waiting: VecDeque<Command>,
}

/// Runs the focus until it is drained or told to end, and answers which it was. To be called within a `LocalSet`; the shards have ended when it returns,
/// unless time ran out.
///
/// # Errors
/// Where the runtime does not take a socket, and where a shard has ended that should not.
pub async fn run(
    settings: ControlSettings,
    focus: Focus,
    sockets: SipSockets,
    shards: Vec<ShardHandle>,
    mut events: mpsc::Receiver<(ShardId, Event)>,
    mut orders: mpsc::Receiver<Order>,
) -> io::Result<Ended> {
    let (flows, mut inbound) = Flows::start(sockets, settings.tls.clone())?;
    let shards = shards.into_iter().map(|handle| (handle.id, Shard { handle, waiting: VecDeque::new() })).collect();
    let (lookups, mut found) = mpsc::channel(LOOKUPS_MAX);
    let mut driver = Driver {
        focus,
        flows,
        descriptors: Descriptors::default(),
        shards,
        shards_ended: 0,
        ends_by: None,
        lookups,
        ended: None,
        failure: None,
    };
    let ended = loop {
        if let Some(ended) = driver.ended {
            break ended;
        }
        driver.tell_time();
        driver.carry_out();
        if driver.is_drained() {
            break Ended::Drained;
        }
        let next = driver.next_wake();
        let asleep = async {
            match next {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(arrived) = inbound.recv() => {
                driver.arrived(arrived);
                for _ in 1..INPUTS_PER_TURN_MAX {
                    let Ok(arrived) = inbound.try_recv() else { break };
                    driver.arrived(arrived);
                }
            }
            Some((shard, event)) = events.recv() => {
                driver.event(shard, event);
                for _ in 1..INPUTS_PER_TURN_MAX {
                    let Ok((shard, event)) = events.try_recv() else { break };
                    driver.event(shard, event);
                }
            }
            Some((query, addresses)) = found.recv() => driver.focus.handle_looked_up(query, &addresses, Instant::now()),
            Some(order) = orders.recv() => driver.order(order, settings.drain_timeout),
            () = asleep => driver.time_has_passed(),
        }
    };
    driver.failure.map_or(Ok(ended), |failure| Err(io::Error::other(failure)))
}

impl Driver {
    /// Whether a drain is over: no call is left, and no shard.
    fn is_drained(&self) -> bool {
        self.ends_by.is_some() && self.shards_ended == self.shards.len() && self.focus.is_drained()
    }

    /// The roster tells when people came; clocks are set now and then.
    fn tell_time(&mut self) {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.focus.set_wall_clock(Instant::now(), since_1970);
    }

    fn arrived(&mut self, arrived: Inbound) {
        let Inbound { hop, what } = arrived;
        match what {
            Arrived::Message(message) => {
                self.flows.heard(hop);
                if matches!(&*message, Message::Request(request) if request.method == Method::Invite) {
                    self.focus.set_descriptors_short(self.descriptors.are_short(Instant::now()));
                }
                self.focus.handle_message(*message, hop, Instant::now());
            }
            Arrived::Malformed(broken) => self.focus.handle_malformed(*broken, hop),
            Arrived::Accepted(stream) => self.flows.accepted(stream, hop, || self.focus.connections_in_use()),
            Arrived::Unreachable(message) => self.focus.handle_unsent(&message, Instant::now()),
            Arrived::Ended(connection) => {
                self.flows.ended(connection);
                self.focus.handle_closed(connection, Instant::now());
            }
            Arrived::Closed(connection) => {
                if self.flows.forget(connection) {
                    self.focus.handle_closed(connection, Instant::now());
                }
            }
        }
        while let Some(connection) = self.flows.poll_closed() {
            self.focus.handle_closed(connection, Instant::now());
        }
    }

    fn event(&mut self, shard: ShardId, event: Event) {
        if let Event::SessionEnded { session, why } = &event {
            match why {
                EndReason::ConnectionLost => debug!(session = session.short(), "MSRP connection lost"),
                why => info!(session = session.short(), why = why.text(), "MSRP session ended"),
            }
        }
        self.focus.handle_event(shard, event, Instant::now());
    }

    fn order(&mut self, order: Order, drain_timeout: Duration) {
        match order {
            Order::End => self.ended = Some(Ended::Stopped),
            Order::ReplaceRooms(rooms) => self.focus.replace_rooms(*rooms, Instant::now()),
            Order::ReplaceUsers(users) => self.focus.replace_users(users),
            Order::ReplaceFingerprints(fingerprints) => self.focus.replace_fingerprints(fingerprints),
            // A server that has lost a shard is half a server: better none, and at once.
            Order::ShardEnded(shard, outcome) if self.ends_by.is_none() => {
                let why = outcome.err().unwrap_or_else(|| "it stopped".into());
                self.failure = Some(format!("shard {shard} has ended: {why}"));
                self.ended = Some(Ended::Stopped);
            }
            Order::ShardEnded(..) => self.shards_ended += 1,
            Order::Drain if self.ends_by.is_some() => {}
            Order::Drain => {
                let now = Instant::now();
                self.ends_by = Some(now + drain_timeout);
                self.focus.drain(now);
                self.carry_out();
                for shard in self.shards.values_mut() {
                    shard.waiting.push_back(Command::Drain);
                }
            }
        }
    }

    fn time_has_passed(&mut self) {
        let now = Instant::now();
        self.focus.handle_timeout(now);
        if self.ends_by.is_some_and(|at| at <= now) {
            let Awaited { calls, invitations, byes, subscriptions } = self.focus.awaited();
            let shards = self.shards.len() - self.shards_ended;
            warn!(
                calls,
                invitations, byes, subscriptions, shards, "the time to drain is over, and these were waited for"
            );
            self.ended = Some(Ended::DrainTimeout { calls });
        }
    }

    fn next_wake(&self) -> Option<Instant> {
        let retry = self.shards.values().any(|shard| !shard.waiting.is_empty()).then(|| Instant::now() + RETRY_AFTER);
        [self.focus.poll_timeout(), self.ends_by, retry].into_iter().flatten().min()
    }

    /// Does everything that the focus wants done.
    fn carry_out(&mut self) {
        for shard in self.shards.values_mut() {
            shard.retry();
        }
        while let Some(output) = self.focus.poll_output() {
            match output {
                Output::Send { hop, message } => {
                    if let Err(unsent) = self.flows.send(hop, message) {
                        self.focus.handle_unsent(&unsent, Instant::now());
                    }
                    while let Some(connection) = self.flows.poll_closed() {
                        self.focus.handle_closed(connection, Instant::now());
                    }
                }
                Output::Command { shard, command } => self.command(shard, command),
                Output::LookUp { query, name } => {
                    if !look_up(query, name, &self.lookups) {
                        self.focus.handle_looked_up(query, &[], Instant::now());
                    }
                }
            }
        }
    }

    fn command(&mut self, id: ShardId, command: Command) {
        let Some(shard) = self.shards.get_mut(&id) else { return };
        if let Some(Command::OpenSession(open)) = shard.give(command) {
            self.focus.handle_full(open.session, Instant::now());
        }
    }
}

/// Looks a name up beside everything else. Answers whether it does: calls of ours are given up sooner than names are found.
fn look_up(query: u64, name: String, found: &mpsc::Sender<Found>) -> bool {
    let Ok(place) = found.clone().try_reserve_owned() else { return false };
    tokio::task::spawn_local(async move {
        let addresses = tokio::net::lookup_host((name, 0)).await;
        let addresses = addresses.map(|all| all.map(|address| address.ip()).collect()).unwrap_or_default();
        place.send((query, addresses));
    });
    true
}

impl Shard {
    /// Gives the shard a command, behind those that wait. A new session that has no room is given back.
    fn give(&mut self, command: Command) -> Option<Command> {
        self.retry();
        let is_new = matches!(command, Command::OpenSession(_));
        if !self.waiting.is_empty() {
            if is_new {
                return Some(command);
            }
            self.waiting.push_back(command);
            return None;
        }
        match self.handle.commands.try_send(command) {
            Err(TrySendError::Full(command)) if is_new => Some(command),
            Err(TrySendError::Full(command)) => {
                self.waiting.push_back(command);
                None
            }
            Ok(()) | Err(TrySendError::Closed(_)) => None,
        }
    }

    fn retry(&mut self) {
        while let Some(command) = self.waiting.pop_front() {
            if let Err(TrySendError::Full(command)) = self.handle.commands.try_send(command) {
                self.waiting.push_front(command);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_names_are_looked_up_at_a_time() {
        let (found, mut answers) = mpsc::channel(LOOKUPS_MAX);
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                // Nothing of it begins before this task waits.
                for query in 0..LOOKUPS_MAX as u64 {
                    assert!(look_up(query, "127.0.0.1".to_owned(), &found));
                }
                assert!(!look_up(0, "127.0.0.1".to_owned(), &found));
                assert!(answers.recv().await.is_some());
                assert!(look_up(0, "127.0.0.1".to_owned(), &found), "one has its answer");
            })
            .await;
    }
}
