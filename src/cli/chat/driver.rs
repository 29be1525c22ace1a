//! The loop of a participant: what arrives and what is typed goes to the call and the session, and what they want sent
//! goes out.

mod arrived;
mod typed;

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use super::Plan;
use super::book::Book;
use super::call::Call;
use super::file::Outgoing;
use super::join::{Joined, join, leave, send_waiting, sleep_until};
use super::network::{SipSocket, Trouble};
use super::screen::Screen;
use super::session::Session;
use crate::tls::Stream;
use parlor_proto::sip::address_text;
use parlor_proto::uri::Aor;

/// Messages that may be unanswered before the next line is read.
const UNANSWERED_MAX: usize = 32;
/// Octets that may wait for the connection before more are made.
const OUTGOING_BYTES_MAX: usize = 256 * 1024;
/// How long it has to be quiet after the end of a piped input.
const QUIET: Duration = Duration::from_millis(400);
/// How long the end may take.
const ENDING_MAX: Duration = Duration::from_secs(35);
/// How soon after a connection the call that it belongs to has to end, so that its reason can be told.
const CALL_ENDS_WITHIN: Duration = Duration::from_millis(500);
/// Octets of one read.
const READ_BYTES: usize = 64 * 1024;

/// One participant in one room.
struct Chat {
    me: String,
    room: String,
    room_aor: Option<Aor>,
    subject: Option<String>,
    /// Nobody has said who this is: its nickname may still be that of the guest before it.
    guest: bool,
    /// The nickname that the room has granted.
    nick: Option<String>,
    session: Session,
    call: Call,
    file: Option<Outgoing>,
    book: Book,
    screen: Screen,
    /// The room knows us, by our nickname if we asked for one: lines are taken from here on.
    settled_in: bool,
    /// When the end was asked for.
    ending: Option<Instant>,
    last_arrival: Instant,
    /// The connection is lost, and this is why; until then the call may still say it better.
    lost: Option<(Instant, String)>,
    /// It is over.
    gone: bool,
}

/// What a participant hears from and speaks over.
struct Wires {
    socket: SipSocket,
    reader: ReadHalf<Stream>,
    writer: WriteHalf<Stream>,
    lines: mpsc::Receiver<String>,
}

/// Joins, chats and leaves. The answer is whether everything went well.
pub(super) async fn chat(plan: Plan) -> Result<bool, Trouble> {
    let lines = read_lines();
    let joined = join(&plan).await?;
    let (mut chat, socket, stream) = Chat::of(joined);
    chat.guest = plan.identity.is_none();
    chat.begin(plan.nick.as_deref());
    let (reader, writer) = tokio::io::split(stream);
    let mut wires = Wires { socket, reader, writer, lines };
    chat.run(&mut wires).await;
    // The connection stays until the room has heard the BYE: one that ends before it would look lost.
    leave(&mut wires.socket, &mut chat.call).await;
    Ok(!chat.screen.trouble)
}

/// Standard input, line by line, from a thread of its own: it may block for ever, and must not keep the end waiting.
fn read_lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut line = Vec::new();
        let mut input = io::stdin().lock();
        while matches!(io::BufRead::read_until(&mut input, b'\n', &mut line), Ok(1..)) {
            if sender.blocking_send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
            line.clear();
        }
    });
    receiver
}

/// Writes what there is, or, where there is nothing, sees what was written on its way.
async fn push(writer: &mut WriteHalf<Stream>, octets: &[u8]) -> io::Result<usize> {
    if octets.is_empty() {
        return writer.flush().await.map(|()| 0);
    }
    writer.write(octets).await
}

impl Chat {
    /// One that has just joined, and what carries it.
    fn of(joined: Joined) -> (Self, SipSocket, Stream) {
        let Joined { socket, mut call, parties, stream, local, remote, subject, mut rng } = joined;
        call.watch(&parties, &mut rng, Instant::now());
        let room = address_text(&parties.room);
        let chat = Self {
            book: Book::new(&parties.caller),
            room_aor: Aor::parse(room.as_bytes()).ok(),
            session: Session::new(local.as_str().into(), remote.as_str().into(), rng),
            me: parties.caller,
            room,
            subject,
            guest: false,
            nick: None,
            call,
            file: None,
            screen: Screen::new(),
            settled_in: false,
            ending: None,
            last_arrival: Instant::now(),
            lost: None,
            gone: false,
        };
        (chat, socket, stream)
    }

    fn begin(&mut self, nick: Option<&str>) {
        let now = Instant::now();
        self.session.bind(now);
        if let Some(nick) = nick {
            self.session.nickname(nick, now);
        }
        self.screen.note(&format!("you are in {} as {}; /help tells what can be typed", self.room, self.me));
        if let Some(subject) = &self.subject {
            self.screen.note(subject);
        }
    }

    async fn run(&mut self, wires: &mut Wires) {
        let Wires { socket, reader, writer, lines } = wires;
        let mut buffer = vec![0; READ_BYTES];
        // TLS keeps what the socket has no room for.
        let mut unflushed = false;
        while !self.gone && !self.has_ended() {
            self.send_file_chunks();
            if self.send_sip(socket).await.is_err() {
                return;
            }
            let wake = self.poll_timeout();
            tokio::select! {
                read = reader.read(&mut buffer), if self.lost.is_none() => self.received(read.map(|len| &buffer[..len])),
                wrote = push(writer, &self.session.outgoing), if self.writes() || unflushed => {
                    unflushed = self.writes();
                    self.wrote(wrote);
                }
                messages = socket.receive() => self.called(messages),
                line = lines.recv(), if self.takes_lines() => self.line(line),
                () = sleep_until(wake) => self.handle_timeout(),
                _ = tokio::signal::ctrl_c() => return,
            }
        }
    }

    async fn send_sip(&mut self, socket: &mut SipSocket) -> io::Result<()> {
        let sent = send_waiting(socket, &mut self.call).await;
        if let Err(error) = &sent {
            self.screen.complain(&format!("the call is lost: {error}"));
        }
        sent
    }

    fn writes(&self) -> bool {
        self.lost.is_none() && !self.session.outgoing.is_empty()
    }

    fn takes_lines(&self) -> bool {
        let idle = self.session.unanswered() < UNANSWERED_MAX && self.session.outgoing.len() < OUTGOING_BYTES_MAX;
        // A piped script goes on behind its file, and one that asks who is there gets to know it.
        let awaits_roster = self.call.is_told_who_is_there(Instant::now());
        self.ending.is_none()
            && self.settled_in
            && awaits_roster
            && idle
            && (self.screen.interactive || self.file.is_none())
    }

    /// Whether the end was asked for and everything has found its own.
    fn has_ended(&self) -> bool {
        let Some(since) = self.ending else { return false };
        let settled = self.session.unanswered() == 0
            && self.session.outgoing.is_empty()
            && self.file.is_none()
            && (self.screen.interactive || (!self.session.expects_more() && self.last_arrival.elapsed() >= QUIET));
        settled || since.elapsed() >= ENDING_MAX
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let quiet = self.ending.map(|since| (self.last_arrival + QUIET).max(since).max(Instant::now() + QUIET / 8));
        let lost = self.lost.as_ref().map(|(until, _)| *until);
        self.call
            .poll_timeout(Instant::now())
            .into_iter()
            .chain(self.session.poll_timeout())
            .chain(quiet)
            .chain(lost)
            .min()
    }

    fn handle_timeout(&mut self) {
        let now = Instant::now();
        let news = self.call.handle_timeout(now);
        self.call_news(news);
        for news in self.session.handle_timeout(now) {
            self.news(news);
        }
        if let Some((_, why)) = self.lost.take_if(|(until, _)| *until <= now) {
            self.gone = true;
            self.screen.complain(&why);
        }
    }

    fn lose(&mut self, why: String) {
        self.lost.get_or_insert((Instant::now() + CALL_ENDS_WITHIN, why));
    }
}
