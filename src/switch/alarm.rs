//! What the switch looks at when its time has come. Who has set an alarm checks then whether it is still meant, and sets it again
//! where it has come too early.

use std::hash::BuildHasherDefault;

use crate::ids::{ConnectionId, KeyHasher, RoomKey, SessionKey};
use crate::timers::Timers;

/// What an alarm is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Alarm {
    /// A connection that may have bound no session.
    Connection(ConnectionId),
    /// A session that may not have been bound.
    Session(SessionKey),
    /// Messages of a session whose rest may not have come.
    Streams(SessionKey),
    /// A recipient whose patience may be used up.
    Patience(ConnectionId),
    /// A connection that may have been congested for too long.
    Congestion(ConnectionId),
    /// Nicknames of a room whose quarantine may have ended.
    Room(RoomKey),
    /// Responses that may be missing.
    Responses,
    /// The load is to be reported.
    Load,
}

/// The alarms that are set, each once: however often a peer makes us set one, there are no more than there is to look at.
pub type Alarms = Timers<Alarm, BuildHasherDefault<KeyHasher>>;
