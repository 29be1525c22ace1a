//! What the driver has to do after an input, one thing after the other.

use super::dial::Dial;
use crate::facts::Event;
use crate::ids::{ConnectionId, SessionKey};

/// What the driver has to do.
#[derive(Debug)]
pub enum Output {
    /// To close a connection, and then to call [`super::Switch::closed`].
    Close(ConnectionId),
    /// To make a connection, and then to call [`super::Switch::connected`] or [`super::Switch::unconnected`].
    Connect(Dial),
    /// To read a connection again that was paused.
    Resume(ConnectionId),
    /// To send an event to the focus.
    Event(Event),
}

/// An event that the driver has not taken. Of what may change again only the place is kept.
#[derive(Debug)]
pub enum PendingEvent {
    /// This one.
    Event(Event),
    /// The nickname that a session has when the event is taken.
    Nickname(SessionKey),
}
