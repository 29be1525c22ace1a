//! What the driver has to do after an input, one output after the other.

use super::dial::Dial;
use crate::facts::Event;
use crate::ids::{ConnectionId, SessionKey};

/// What the driver has to do.
#[derive(Debug)]
pub enum Output {
    /// Close this connection, then call [`super::Switch::closed`].
    Close(ConnectionId),
    /// Make this connection, then call [`super::Switch::connected`] or [`super::Switch::connect_failed`].
    Connect(Dial),
    /// Read this connection again, which was paused.
    Resume(ConnectionId),
    /// Send this event to the focus.
    Event(Event),
}

/// An event that the driver has not taken. A nickname may change again until then, so only its place is kept.
#[derive(Debug)]
pub enum PendingEvent {
    /// An event as it is.
    Event(Event),
    /// The nickname that a session has when the event is taken.
    Nickname(SessionKey),
}
