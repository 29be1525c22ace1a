//! The state of the user in the room.

use std::time::{Duration, Instant};

use super::address_book::AddressBook;
use super::call::Call;
use super::file::OutgoingFile;
use super::session::Session;
use super::terminal::Terminal;
use parlor_proto::uri::Aor;

/// Requests without response above which no line is read.
const UNANSWERED_MAX: usize = 32;
/// Octets that wait for the connection above which nothing is added.
pub const OUTGOING_BYTES_MAX: usize = 256 * 1024;
/// How long nothing must be received after the end of a script.
const QUIET_TIME: Duration = Duration::from_millis(400);
/// The longest time from the end of the input to the end of the chat.
const ENDING_TIMEOUT: Duration = Duration::from_secs(35);
/// How long the BYE of the room is waited for after its connection has closed, because it has the reason.
const BYE_DELAY: Duration = Duration::from_millis(500);

/// The user in one room.
pub struct Participant {
    /// The user's URI.
    pub me: String,
    /// The room's URI.
    pub room: String,
    /// The same, for comparison.
    pub room_aor: Option<Aor>,
    /// The room's subject.
    pub subject: Option<String>,
    /// The user gave no URI. Its nickname may still be in quarantine for an earlier guest.
    pub guest: bool,
    /// The nickname that the room has granted.
    pub nick: Option<String>,
    /// The MSRP session.
    pub session: Session,
    /// The SIP call.
    pub call: Call,
    /// The file that is being sent.
    pub file: Option<OutgoingFile>,
    /// The known participants.
    pub book: AddressBook,
    /// Standard output and standard error.
    pub terminal: Terminal,
    /// The binding and the first NICKNAME are answered: input is read from now on.
    pub ready: bool,
    /// When the input ended or the user quit.
    pub ending_since: Option<Instant>,
    /// When octets were received last.
    pub last_receipt: Instant,
    /// The connection is lost: until when a BYE is waited for, and the error to show without one.
    pub lost: Option<(Instant, String)>,
    /// The chat is over.
    pub over: bool,
}

impl Participant {
    /// Binds the session, and requests a nickname.
    pub fn begin(&mut self, nick: Option<&str>) {
        let now = Instant::now();
        self.session.bind(now);
        if let Some(nick) = nick {
            self.session.nickname(nick, now);
        }
        self.terminal.info(&format!("you are in {} as {}; /help lists the commands", self.room, self.me));
        if let Some(subject) = &self.subject {
            self.terminal.info(subject);
        }
    }

    /// Whether octets wait for the connection.
    pub fn has_outgoing(&self) -> bool {
        self.lost.is_none() && !self.session.outgoing.is_empty()
    }

    /// Whether the next line of input may be read. A script waits for its file and for the roster, which `/who` shows.
    pub fn accepts_input(&self) -> bool {
        let has_room = self.session.unanswered() < UNANSWERED_MAX && self.session.outgoing.len() < OUTGOING_BYTES_MAX;
        self.ending_since.is_none()
            && self.ready
            && !self.call.awaits_roster(Instant::now())
            && has_room
            && (self.terminal.interactive || self.file.is_none())
    }

    /// Whether the input has ended and everything sent is answered, or that has timed out.
    pub fn has_ended(&self) -> bool {
        let Some(since) = self.ending_since else { return false };
        let quiet = !self.session.is_receiving() && self.last_receipt.elapsed() >= QUIET_TIME;
        let done = self.session.unanswered() == 0
            && self.session.outgoing.is_empty()
            && self.file.is_none()
            && (self.terminal.interactive || quiet);
        done || since.elapsed() >= ENDING_TIMEOUT
    }

    /// When timers have to be handled.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let now = Instant::now();
        let quiet =
            self.ending_since.map(|since| (self.last_receipt + QUIET_TIME).max(since).max(now + QUIET_TIME / 8));
        let lost = self.lost.as_ref().map(|(until, _)| *until);
        let call = self.call.poll_timeout(now);
        call.into_iter().chain(self.session.poll_timeout()).chain(quiet).chain(lost).min()
    }

    /// Records that the connection is lost. `why` is shown if no BYE follows.
    pub fn lose_connection(&mut self, why: String) {
        self.lost.get_or_insert((Instant::now() + BYE_DELAY, why));
    }
}
