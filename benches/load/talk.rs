//! Loads of talk: members of rooms who send messages that others get.

use std::io;
use std::ops::Range;
use std::time::Duration;

use serde_json::json;

use crate::arguments::RunArguments;
use crate::calls::{Calls, Manner};
use crate::certificate::Certificate;
use crate::cores::{Cores, pin};
use crate::descriptors;
use crate::engine::{Engine, Samples};
use crate::floor::{Floor, Way};
use crate::layout;
use crate::outcome::{self, Measured, Outcome, PARLOR, Pace, Subject, Watch};
use crate::peers::AgainstArguments;
use crate::server::Subjected;
use crate::sip::Transport;
use crate::stream::Stream;
use crate::wire::{Member, Script, Seat};

/// What is said by whom to whom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Rooms, all alike.
    pub rooms: usize,
    /// Members of each that are only sent to.
    pub receivers: usize,
    /// Members of each that send; each gets what the others of the room send.
    pub senders: usize,
    /// Whether a message goes to one member only: the sender after the one that sends it.
    pub privately: bool,
    /// Octets of text.
    pub size: usize,
    /// Whether MSRP goes over TLS.
    pub tls: bool,
    /// How long the server stands still in the middle of each turn.
    pub freeze: Option<Duration>,
}

/// Everything joined and warm, ready for its turns.
pub struct Talk {
    /// Parlor first, then the floors where the server is the bench's own.
    pub subjects: Vec<Box<dyn Subject>>,
    /// What Parlor has sent.
    pub samples: Samples,
}

/// Senders have four digits on the wire.
const SENDERS_MAX: usize = 10_000;
const ONE_SHARD: &str = "one shard";
const WITHOUT_TLS: &str = "without TLS";

impl Load {
    /// Says what is wrong with a load that cannot be.
    ///
    /// # Errors
    /// So.
    pub fn check(&self) -> Result<(), String> {
        if self.rooms.saturating_mul(self.senders) > SENDERS_MAX {
            return Err(format!("{SENDERS_MAX} senders at most"));
        }
        if self.senders == 0 || self.receivers + self.senders < 2 {
            return Err("nobody would get anything: a room needs a sender and somebody else".into());
        }
        Ok(())
    }

    /// Connections of all rooms.
    #[must_use]
    pub fn members(&self) -> usize {
        self.rooms.saturating_mul(self.receivers + self.senders)
    }

    /// Members that one message goes to.
    #[must_use]
    pub fn recipients(&self) -> usize {
        if self.privately { 1 } else { self.receivers + self.senders - 1 }
    }

    /// The room of a connection.
    fn room_of(&self, member: usize) -> usize {
        member / (self.receivers + self.senders)
    }

    /// The senders whose copies the member at `seat` of a room gets.
    fn hears(&self, room: usize, seat: usize) -> Range<usize> {
        let first = room * self.senders;
        match seat.checked_sub(self.receivers) {
            Some(sender) if self.privately => {
                let before = first + (sender + self.senders - 1) % self.senders;
                before..before + 1
            }
            _ => first..first + self.senders,
        }
    }

    /// Seats for connections: of each room the receivers, then the senders. `script` is told the sender's place and that of
    /// the sender after it in the same room.
    pub fn seats<T>(
        &self,
        members: Vec<T>,
        stream: impl Fn(T) -> Stream,
        script: impl Fn(&T, &T) -> Script,
    ) -> Vec<Seat> {
        let width = self.receivers + self.senders;
        let scripts: Vec<Option<Script>> = (0..members.len())
            .map(|at| {
                let (room, sender) = (at / width, (at % width).checked_sub(self.receivers)?);
                let next = room * width + self.receivers + (sender + 1) % self.senders;
                Some(script(&members[at], &members[next]))
            })
            .collect();
        let seat = |(at, (member, script)): (usize, (T, Option<Script>))| {
            let hears = self.hears(at / width, at % width);
            match script {
                Some(script) => Seat::sender(stream(member), hears, script, self.recipients()),
                None => Seat::receiver(stream(member), hears),
            }
        };
        members.into_iter().zip(scripts).enumerate().map(seat).collect()
    }

    /// Members' seats in their rooms.
    #[must_use]
    pub fn seats_of(&self, members: Vec<Member>) -> Vec<Seat> {
        let script = |member: &Member, next: &Member| match self.privately {
            true => Script::to(member, &next.from, self.size),
            false => Script::to_room(member, self.size),
        };
        self.seats(members, |member| member.stream, script)
    }
}

/// Measures a load of talk.
///
/// # Errors
/// As the sockets, and where there are more members than descriptors.
pub fn run(
    scenario: &'static str,
    load: &Load,
    (pace, against): (Pace, &AgainstArguments),
    run: &RunArguments,
    cores: Cores,
    watch: &mut dyn Watch,
) -> io::Result<Outcome> {
    let mut talk = prepare(load, run, cores, watch)?;
    if run.server.is_none() && reference(load, run).is_none() {
        against.apply(&mut talk.subjects, load, cores, watch)?;
    }
    let rounds = outcome::in_turns(&mut talk.subjects, pace, run.time(), run.rounds, watch)?;
    let mut outcome = outcome(scenario, load, pace, run, cores, talk.samples.copy.len(), rounds);
    outcome.parameters.push(match load.tls {
        // Results of before have no such parameter.
        true => ("tls", json!(true)),
        false => ("against", json!(against.names().join(","))),
    });
    Ok(outcome)
}

/// What came of a load of talk.
#[allow(clippy::too_many_arguments, reason = "an outcome has as many parts")]
pub fn outcome(
    scenario: &'static str,
    load: &Load,
    pace: Pace,
    run: &RunArguments,
    cores: Cores,
    copy_bytes: usize,
    rounds: Vec<outcome::Round>,
) -> Outcome {
    let Load { rooms, receivers, senders, size, .. } = *load;
    let who = match (load.privately, receivers) {
        (true, _) => format!("{senders} members, each to another one"),
        (false, 0) => format!("{senders} members, each to all others"),
        (false, _) => format!("{senders} to {receivers} receivers"),
    };
    let many = if rooms == 1 { String::new() } else { format!("in each of {rooms} rooms ") };
    Outcome {
        scenario,
        title: format!("{scenario} {many}{who}, {size} octets of text ({copy_bytes} on the wire)"),
        parameters: vec![
            ("rooms", json!(rooms)),
            ("receivers", json!(receivers)),
            ("senders", json!(senders)),
            ("members", json!(load.members())),
            ("size", json!(size)),
            ("shards", json!(run.shards)),
            ("copy_bytes", json!(copy_bytes)),
        ],
        operation: "delivery",
        pace: Some(pace),
        cores,
        own_server: run.server.is_none(),
        rounds,
    }
}

/// Starts what is to be measured. This thread stays bound to the client's core.
///
/// # Errors
/// As the sockets, and where there are more members than descriptors.
pub fn prepare(load: &Load, run: &RunArguments, cores: Cores, watch: &mut dyn Watch) -> io::Result<Talk> {
    let reference = reference(load, run);
    // The subjects one by one: Parlor, and the floors or Parlor otherwise beside it.
    let subjects = if reference.is_some() || run.server.is_some() { 2 } else { 4 };
    descriptors::reserve(load.members().saturating_mul(subjects))?;
    let server = start(load, run, run.shards)?;
    let reference = reference.map(|(name, load, shards)| Ok::<_, io::Error>((name, load, start(&load, run, shards)?)));
    let reference = reference.transpose()?;
    pin(cores.client);
    let own = server.own.is_some();
    let mut parlor = Parlor::join(load, server, PARLOR, watch)?;
    watch.stage("warming up");
    parlor.warm_up()?;
    let samples = parlor.engine.samples().clone();
    let mut subjects: Vec<Box<dyn Subject>> = vec![Box::new(parlor)];
    if let Some((name, load, server)) = reference {
        let mut parlor = Parlor::join(&load, server, name, watch)?;
        parlor.warm_up()?;
        subjects.push(Box::new(parlor));
    } else if own {
        for way in [Way::Copied, Way::Gathered, Way::Answering] {
            let floor = Floor::start(load, &samples, cores, way)?;
            subjects.extend(floor.map(|floor| Box::new(floor) as Box<dyn Subject>));
        }
    }
    Ok(Talk { subjects, samples })
}

/// What a server of the bench's own is compared with where that is not the floors: the same on one shard, or without TLS.
#[must_use]
pub fn reference(load: &Load, run: &RunArguments) -> Option<(&'static str, Load, usize)> {
    match run.server {
        Some(_) => None,
        None if load.tls => Some((WITHOUT_TLS, Load { tls: false, ..*load }, run.shards)),
        None => (run.shards > 1).then_some((ONE_SHARD, *load, 1)),
    }
}

/// Starts a server that can take a load.
fn start(load: &Load, run: &RunArguments, shards: usize) -> io::Result<Subjected> {
    if !load.tls || run.server.is_some() {
        return Subjected::start(run, shards, "");
    }
    // The server has read it when it is ready.
    let certificate = Certificate::new()?;
    Subjected::start(run, shards, &certificate.config()?)
}

/// Rooms of Parlor's, with their members.
struct Parlor {
    name: &'static str,
    engine: Engine,
    _calls: Calls,
    _server: Subjected,
}

impl Parlor {
    fn join(load: &Load, server: Subjected, name: &'static str, watch: &mut dyn Watch) -> io::Result<Self> {
        let manner = Manner { tls: load.tls, ..Manner::talking(Transport::Tcp) };
        let mut calls = Calls::new(server.addresses, manner, u64::from(std::process::id()))?;
        let rooms: Vec<_> = (0..load.rooms).map(|room| calls.room(&room.to_string())).collect();
        let members = calls.gather(load.members(), |member| rooms[load.room_of(member)].clone(), watch)?;
        let mut engine = Engine::new(load.seats_of(members), layout::msrp, server.target())?;
        if let Some(time) = load.freeze {
            engine.freeze(time);
        }
        Ok(Self { name, engine, _calls: calls, _server: server })
    }

    fn warm_up(&mut self) -> io::Result<()> {
        self.engine.warm_up(Duration::from_millis(300))
    }
}

impl Subject for Parlor {
    fn name(&self) -> &str {
        self.name
    }

    fn run(&mut self, pace: Pace, time: Duration, watch: &mut dyn Watch) -> io::Result<Measured> {
        self.engine.run(pace, time, self.name, watch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(rooms: usize, receivers: usize, senders: usize, privately: bool) -> Load {
        Load { rooms, receivers, senders, privately, size: 10, tls: false, freeze: None }
    }

    #[test]
    fn members_hear_their_own_room() {
        let load = load(3, 2, 2, false);
        assert_eq!((load.members(), load.recipients()), (12, 3));
        assert_eq!((load.room_of(3), load.room_of(4)), (0, 1));
        assert_eq!((load.hears(0, 0), load.hears(1, 3)), (0..2, 2..4));
    }

    #[test]
    fn privately_each_hears_the_one_before() {
        let load = load(2, 0, 3, true);
        assert_eq!(load.recipients(), 1);
        let heard: Vec<_> = (0..2).flat_map(|room| (0..3).map(move |seat| (room, seat))).collect();
        let heard: Vec<_> = heard.into_iter().map(|(room, seat)| load.hears(room, seat).start).collect();
        assert_eq!(heard, [2, 0, 1, 5, 3, 4]);
    }
}
