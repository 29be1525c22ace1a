//! Handling of received messages, responses, and events of the call.

use std::io;
use std::time::Instant;

use super::call::CallEvent;
use super::file::Progress;
use super::inbox::Received;
use super::participant::Participant;
use super::roster::RosterChange;
use super::session::{SendError, Sent, SessionEvent};
use super::terminal::error_text;
use parlor_proto::sip::Message;
use parlor_proto::uri::Aor;

/// The nickname is in use or in quarantine (RFC 7701 §7.3).
const RESERVED: u16 = 425;

impl Participant {
    /// Handles received SIP messages, or the failure of their socket.
    pub fn handle_sip(&mut self, messages: io::Result<Vec<Message>>) {
        match messages {
            Ok(messages) => {
                for message in messages {
                    let event = self.call.handle_message(message, Instant::now());
                    self.handle_call_event(event);
                }
            }
            Err(error) => {
                self.over = true;
                self.terminal.error(&format!("the call is lost: {error}"));
            }
        }
    }

    /// Handles expired timers.
    pub fn handle_timeout(&mut self) {
        let now = Instant::now();
        let event = self.call.handle_timeout(now);
        self.handle_call_event(event);
        for event in self.session.handle_timeout(now) {
            self.handle_session_event(event);
        }
        if let Some((_, why)) = self.lost.take_if(|(until, _)| *until <= now) {
            self.over = true;
            self.terminal.error(&why);
        }
    }

    fn handle_call_event(&mut self, event: Option<CallEvent>) {
        self.show_roster_changes();
        if let Some(CallEvent::Ended(why)) = event {
            self.over = true;
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            self.terminal.error(&format!("the room has ended the call{why}"));
        }
    }

    fn show_roster_changes(&mut self) {
        let Some(subscription) = self.call.subscription() else { return };
        for change in subscription.roster().take_changes() {
            let (who, what) = match change {
                RosterChange::Joined(who) => (who.label(), "has joined".to_owned()),
                RosterChange::Left(who) => (who.label(), "has left".to_owned()),
                RosterChange::Renamed(before, who) => (before, format!("is now {}", who.label())),
            };
            self.terminal.info(&format!("{who} {what}"));
        }
    }

    /// Handles octets read from the MSRP connection, or its failure.
    pub fn handle_read(&mut self, read: io::Result<&[u8]>) {
        let lost = match read {
            Ok([]) => "the room has closed the connection".to_owned(),
            Ok(octets) => match self.session.handle_bytes(octets) {
                Ok(all) => {
                    self.last_receipt = Instant::now();
                    return all.into_iter().for_each(|event| self.handle_session_event(event));
                }
                Err(error) => format!("invalid MSRP from the room: {error}"),
            },
            Err(error) => format!("the connection is lost: {error}"),
        };
        self.lose_connection(lost);
    }

    /// Handles the outcome of a write to the MSRP connection.
    pub fn handle_write(&mut self, written: io::Result<usize>) {
        match written {
            Ok(len) => drop(self.session.outgoing.drain(..len)),
            Err(error) => self.lose_connection(format!("the connection is lost: {error}")),
        }
    }

    fn handle_session_event(&mut self, event: SessionEvent) {
        self.ready |= self.session.unanswered() == 0;
        match event {
            SessionEvent::Received(received) => self.show(&received),
            SessionEvent::Answered(Sent::FileChunk(octets), outcome) => self.handle_file_response(octets, outcome),
            SessionEvent::Answered(Sent::Nickname(nick), Ok(())) => {
                self.terminal.info(&if nick.is_empty() {
                    "you have no nickname".into()
                } else {
                    format!("you are {nick}")
                });
                self.nick = (!nick.is_empty()).then_some(nick);
            }
            SessionEvent::Answered(Sent::Nickname(nick), Err(error)) => self.handle_nickname_refusal(&nick, &error),
            SessionEvent::Answered(Sent::Message, Err(error)) => {
                self.terminal.error(&format!("a message was not delivered: {}", error_text(&error)));
            }
            SessionEvent::Answered(Sent::Binding, Err(error)) => {
                self.over = true;
                self.terminal.error(&format!("the room does not know this session: {}", error_text(&error)));
            }
            SessionEvent::Answered(Sent::Message | Sent::Binding, Ok(())) => {}
        }
    }

    /// A guest continues without the nickname, which may be in quarantine for its own previous run (RFC 7701 §7.1).
    fn handle_nickname_refusal(&mut self, nick: &str, error: &SendError) {
        let why = format!("the nickname {nick} is refused: {}", error_text(error));
        match error {
            SendError::Status(RESERVED, _) if self.guest => {
                self.terminal.warn(&format!("{why}; continuing without it. With --as it is kept from run to run"));
            }
            _ => self.terminal.error(&why),
        }
    }

    fn show(&mut self, received: &Received) {
        let to = Aor::parse(received.to.as_bytes()).ok();
        let private = to != self.room_aor && to == Aor::parse(self.me.as_bytes()).ok();
        self.book.insert(&received.from, received.name.as_deref());
        self.terminal.message(received, private);
    }

    fn handle_file_response(&mut self, octets: u64, outcome: Result<(), SendError>) {
        // The chunks of an aborted file are still answered.
        let Some(mut file) = self.file.take() else { return };
        match outcome {
            Ok(()) if file.answered(octets) == Progress::Done => self.terminal.info(&format!("{} was sent", file.name)),
            Ok(()) => self.file = Some(file),
            Err(error) => {
                file.abort(&mut self.session, Instant::now());
                self.terminal.error(&format!("{} was not delivered: {}", file.name, error_text(&error)));
            }
        }
    }
}
