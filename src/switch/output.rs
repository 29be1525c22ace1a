//! What the driver has to do after an input, one thing after the other.

use super::{Dial, Switch};
use crate::facts::Event;
use crate::ids::{ConnectionId, SessionKey};

/// What the driver has to do.
#[derive(Debug)]
pub enum Output {
    /// To close a connection, and then to call [`Switch::closed`].
    Close(ConnectionId),
    /// To make a connection, and then to call [`Switch::connected`] or [`Switch::unconnected`].
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

impl Switch {
    /// What is to be done next: first connections to be closed, then those to be made, then those to be read again, then events.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(id) = self.outlets.closing.pop() {
            return Some(Output::Close(id));
        }
        if let Some(dial) = self.next_dial() {
            return Some(Output::Connect(dial));
        }
        if let Some(id) = self.outlets.resumed.pop() {
            return Some(Output::Resume(id));
        }
        self.next_event().map(Output::Event)
    }

    pub(super) fn push_event(&mut self, event: Event) {
        self.events.push_back(PendingEvent::Event(event));
    }

    fn next_event(&mut self) -> Option<Event> {
        loop {
            match self.events.pop_front()? {
                PendingEvent::Event(event) => return Some(event),
                PendingEvent::Nickname(key) => {
                    let Some(entry) = self.sessions.get_mut(key) else { continue };
                    entry.nickname_pending = false;
                    return Some(Event::Nickname { session: entry.session.id, nickname: entry.nickname.clone() });
                }
            }
        }
    }
}
