//! What a timer of the switch is about. The handler of a timer checks whether there is still something to do, and sets the timer
//! again where it was too early.

use std::hash::BuildHasherDefault;

use crate::ids::{ConnectionId, KeyHasher, RoomKey, SessionKey};
use crate::timers::Timers;

/// The subject of a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Timer {
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

/// The timers that are set, one for each subject: however often a peer makes us set one, there are no more than there are subjects.
pub type SwitchTimers = Timers<Timer, BuildHasherDefault<KeyHasher>>;
