//! The loop of a participant: what arrives and what is typed goes to the call and the session, and what they want sent
//! goes out.

use std::io;
use std::path::Path as FilePath;
use std::time::{Duration, Instant, SystemTime};

use rand_chacha::ChaCha12Rng;
use rand_core::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::Plan;
use super::book::Book;
use super::call::{Call, CallNews, Parties};
use super::clock::rfc3339;
use super::file::{Outgoing, Stage, media_type};
use super::inbox::Received;
use super::line::{HELP, Line};
use super::network::{SipSocket, Trouble, connect_msrp, unreachable};
use super::screen::{Screen, printable, reason};
use super::session::{News, Refusal, Sent, Session};
use super::watch::RosterNews;
use crate::cli::random;
use crate::cpim::Envelope;
use crate::msrp::Path;
use crate::sdp::{Capabilities, ChatroomTokens, Description, MessageMedia, Origin, OurMedia, OurTerms, Setup};
use crate::sip::{Hop, address_text};
use crate::tls::Stream;
use crate::uri::Aor;

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
/// How long a BYE is waited for.
const BYE_WAIT: Duration = Duration::from_secs(1);
/// Octets of one read.
const READ_BYTES: usize = 64 * 1024;

/// One participant in one room.
struct Chat {
    me: String,
    room: String,
    room_aor: Option<Aor>,
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

/// Joins, chats and leaves. The answer is whether everything went well.
pub(super) async fn chat(plan: Plan) -> Result<bool, Trouble> {
    let mut rng = random::generator().map_err(|error| error.to_string())?;
    let screen = Screen::new();
    let mut lines = read_lines();
    let (mut socket, hop) = SipSocket::open(&plan.via, &plan.security).await?;
    let me = match &plan.identity {
        _ if plan.anonymous => format!("sip:anonymous-{:08x}@anonymous.invalid", rng.next_u32()),
        Some(identity) => identity.clone(),
        None => guest(&hop, &mut rng),
    };
    let parties = Parties {
        caller: me.clone(),
        room: plan.room.clone(),
        anonymous: plan.anonymous,
        password: plan.password.clone(),
    };
    let mut call = Call::new(&parties, hop, &mut rng);
    let local = our_path(&hop, plan.msrps, &mut rng);
    call.invite(offer(&hop, &local, &mut rng), Instant::now());
    let answer = join(&plan, &mut socket, &mut call).await?;
    let connected = match read_answer(&answer) {
        Ok((media, subject)) => connect_msrp(&media.path, &media.fingerprints, &plan.security)
            .await
            .map(|stream| (media.path, subject, stream)),
        Err(trouble) => Err(trouble),
    };
    let (remote, subject, stream) = match connected {
        Ok(connected) => connected,
        Err(trouble) => {
            leave(&mut socket, &mut call).await;
            return Err(trouble);
        }
    };
    let room = address_text(&plan.room);
    call.watch(&parties, &mut rng, Instant::now());
    let mut chat = Chat {
        book: Book::new(&me),
        room_aor: Aor::parse(room.as_bytes()).ok(),
        session: Session::new(local.as_str().into(), remote.as_str().into(), rng),
        me,
        room,
        nick: None,
        call,
        file: None,
        screen,
        settled_in: false,
        ending: None,
        last_arrival: Instant::now(),
        lost: None,
        gone: false,
    };
    chat.begin(plan.nick.as_deref(), subject.as_deref());
    chat.run(&mut socket, stream, &mut lines).await;
    leave(&mut socket, &mut chat.call).await;
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

fn guest(hop: &Hop, rng: &mut ChaCha12Rng) -> String {
    let host = match hop.local {
        std::net::SocketAddr::V4(address) => address.ip().to_string(),
        std::net::SocketAddr::V6(address) => format!("[{}]", address.ip()),
    };
    format!("sip:guest-{:06x}@{host}", rng.next_u32() & 0xff_ffff)
}

/// The path of whoever connects: its port is never listened on (RFC 6135 §4.2).
fn our_path(hop: &Hop, secure: bool, rng: &mut ChaCha12Rng) -> Path {
    let host = std::net::SocketAddr::new(hop.local.ip(), 9);
    let scheme = if secure { "msrps" } else { "msrp" };
    let text = format!("{scheme}://{host}/{:016x}{:016x};tcp", rng.next_u64(), rng.next_u64());
    Path::parse(text.as_bytes()).expect("an address and hexadecimal digits make a path")
}

fn offer(hop: &Hop, path: &Path, rng: &mut ChaCha12Rng) -> String {
    let ours = OurMedia {
        terms: OurTerms {
            host: &hop.local.ip().to_string(),
            ipv6: false,
            accept_wrapped_types: &["*".to_owned()],
            chatroom: ChatroomTokens { nickname: true, private_messages: true },
            max_size: 0,
            subject: None,
        },
        port: 9,
        path,
        setup: Setup::Active,
        fingerprints: &[],
    };
    ours.offer(Origin { id: rng.next_u64() >> 2, version: 1 })
}

/// The room's media and its subject from its answer.
fn read_answer(answer: &[u8]) -> Result<(MessageMedia, Option<String>), Trouble> {
    let can = Capabilities { plain: true, tls: true, listen: false, connect: true };
    let description =
        Description::parse(answer).map_err(|error| format!("the room's answer cannot be read: {error}"))?;
    let media = description.answered(can).map_err(|error| format!("the room's answer is of no use: {error}"))?;
    Ok((media, description.subject().map(str::to_owned)))
}

/// Waits until the call is answered.
async fn join(plan: &Plan, socket: &mut SipSocket, call: &mut Call) -> Result<bytes::Bytes, Trouble> {
    loop {
        let news = match turn(socket, call, None).await {
            Ok(news) => news,
            Err(error) => return Err(unreachable(&plan.via, &error)),
        };
        match news {
            Some(CallNews::Answered(answer)) => return Ok(answer),
            Some(CallNews::Refused(status, reason)) => return Err(refused(status, &reason)),
            Some(CallNews::Unanswered) => {
                return Err(format!("no answer from {}:{}; is it a SIP server?", plan.via.host, plan.via.port));
            }
            Some(CallNews::Ended(_) | CallNews::Over) => return Err("the room ended the call at once".into()),
            None => {}
        }
    }
}

fn refused(status: u16, reason: &str) -> Trouble {
    let advice = match status {
        401 | 407 => "; it asks for a password, which this version cannot give",
        403 => "; you are not allowed in, or not twice",
        404 => "; there is no such room, and it makes none",
        480 | 486 | 503 => "; try again later",
        _ => "",
    };
    format!("the room refuses the call: {status} {reason}{advice}")
}

/// Sends what the call wants sent, then waits for a message, a timer or `until`.
async fn turn(socket: &mut SipSocket, call: &mut Call, until: Option<Instant>) -> io::Result<Option<CallNews>> {
    send_waiting(socket, call).await?;
    let wake = call.poll_timeout(Instant::now()).into_iter().chain(until).min();
    tokio::select! {
        messages = socket.receive() => {
            let now = Instant::now();
            let news = messages?.into_iter().filter_map(|message| call.handle(message, now)).last();
            send_waiting(socket, call).await?;
            Ok(news)
        }
        () = sleep_until(wake) => {
            let news = call.handle_timeout(Instant::now());
            send_waiting(socket, call).await?;
            Ok(news)
        }
    }
}

async fn send_waiting(socket: &mut SipSocket, call: &mut Call) -> io::Result<()> {
    while let Some(message) = call.poll_outgoing() {
        socket.send(&message).await?;
    }
    Ok(())
}

/// Writes what there is, or, where there is nothing, sees what was written on its way.
async fn push(writer: &mut tokio::io::WriteHalf<Stream>, octets: &[u8]) -> io::Result<usize> {
    if octets.is_empty() {
        return writer.flush().await.map(|()| 0);
    }
    writer.write(octets).await
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake.into()).await,
        None => std::future::pending().await,
    }
}

/// Says goodbye. Whether it is heard is not worth a complaint.
async fn leave(socket: &mut SipSocket, call: &mut Call) {
    call.hang_up(Instant::now());
    let end = Instant::now() + BYE_WAIT;
    let mut hung_up = call.has_ended();
    while Instant::now() < end && !(hung_up && is_unwatched(call)) {
        match turn(socket, call, Some(end)).await {
            Ok(news) => hung_up |= matches!(news, Some(CallNews::Over)) || call.has_ended(),
            Err(_) => return,
        }
    }
}

/// Whether the room will not tell us of its roster any more: whoever has left is told so, and answers.
fn is_unwatched(call: &mut Call) -> bool {
    call.roster().is_none_or(|watch| watch.is_over())
}

impl Chat {
    fn begin(&mut self, nick: Option<&str>, subject: Option<&str>) {
        let now = Instant::now();
        self.session.bind(now);
        if let Some(nick) = nick {
            self.session.nickname(nick, now);
        }
        self.screen.note(&format!("you are in {} as {}; /help tells what can be typed", self.room, self.me));
        if let Some(subject) = subject {
            self.screen.note(subject);
        }
    }

    async fn run(&mut self, socket: &mut SipSocket, stream: Stream, lines: &mut mpsc::Receiver<String>) {
        let (mut reader, mut writer) = tokio::io::split(stream);
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
                wrote = push(&mut writer, &self.session.outgoing), if self.writes() || unflushed => {
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

    fn called(&mut self, messages: io::Result<Vec<crate::sip::Message>>) {
        match messages {
            Ok(messages) => {
                for message in messages {
                    let news = self.call.handle(message, Instant::now());
                    self.call_news(news);
                }
            }
            Err(error) => {
                self.gone = true;
                self.screen.complain(&format!("the call is lost: {error}"));
            }
        }
    }

    fn call_news(&mut self, news: Option<CallNews>) {
        self.roster_news();
        if let Some(CallNews::Ended(why)) = news {
            self.gone = true;
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            self.screen.complain(&format!("the room has ended the call{why}"));
        }
    }

    /// Tells who has come, left or changed its name, and remembers it.
    fn roster_news(&mut self) {
        let Some(watch) = self.call.roster() else { return };
        for news in watch.take_news() {
            let (who, what) = match news {
                RosterNews::Joined(who) => (who.mention(), "has joined".to_owned()),
                RosterNews::Left(who) => (who.mention(), "has left".to_owned()),
                RosterNews::Renamed(before, who) => (before, format!("is {} now", who.mention())),
            };
            self.screen.note(&format!("{who} {what}"));
        }
    }

    fn received(&mut self, read: io::Result<&[u8]>) {
        let lost = match read {
            Ok([]) => "the room has closed the connection".to_owned(),
            Ok(octets) => match self.session.handle_bytes(octets) {
                Ok(all) => {
                    self.last_arrival = Instant::now();
                    return all.into_iter().for_each(|news| self.news(news));
                }
                Err(error) => format!("the room sends what is not MSRP: {error}"),
            },
            Err(error) => format!("the connection is lost: {error}"),
        };
        self.lose(lost);
    }

    fn wrote(&mut self, wrote: io::Result<usize>) {
        match wrote {
            Ok(len) => drop(self.session.outgoing.drain(..len)),
            Err(error) => self.lose(format!("the connection is lost: {error}")),
        }
    }

    fn news(&mut self, news: News) {
        self.settled_in |= self.session.unanswered() == 0;
        match news {
            News::Received(received) => self.show(&received),
            News::Answered(Sent::FileChunk(octets), outcome) => self.file_answered(octets, outcome),
            News::Answered(Sent::Nickname(nick), Ok(())) => {
                self.screen.note(&if nick.is_empty() {
                    "no nickname any more".into()
                } else {
                    format!("you are {nick}")
                });
                self.nick = (!nick.is_empty()).then_some(nick);
            }
            News::Answered(Sent::Nickname(nick), Err(refusal)) => {
                self.screen.complain(&format!("the nickname {nick} is refused: {}", reason(&refusal)));
            }
            News::Answered(Sent::Message, Err(refusal)) => {
                self.screen.complain(&format!("a message was not delivered: {}", reason(&refusal)));
            }
            News::Answered(Sent::Binding, Err(refusal)) => {
                self.gone = true;
                self.screen.complain(&format!("the room does not know this session: {}", reason(&refusal)));
            }
            News::Answered(Sent::Message | Sent::Binding, Ok(())) => {}
        }
    }

    fn show(&mut self, received: &Received) {
        let to = Aor::parse(received.to.as_bytes()).ok();
        let private = to != self.room_aor && to == Aor::parse(self.me.as_bytes()).ok();
        self.book.enter(&received.from, received.name.as_deref());
        self.screen.message(received, private);
    }

    fn line(&mut self, line: Option<String>) {
        let now = Instant::now();
        let Some(line) = line else {
            self.ending = Some(now);
            return;
        };
        match Line::parse(&line) {
            Line::Empty => {}
            Line::Say(text) => self.say(&self.room.clone(), &text),
            Line::Whisper { who, text } => {
                self.note_people();
                self.say(&self.book.find(&who), &text);
            }
            Line::Nick(nick) => self.session.nickname(&nick, now),
            Line::Who => self.who(),
            Line::SendFile(path) => self.send_file(&path),
            Line::Quit => self.ending = Some(now),
            Line::Help => eprintln!("{HELP}"),
            Line::Wrong(help) => self.screen.advise(&help),
        }
    }

    /// Whoever is in the roster can be found by name.
    fn note_people(&mut self) {
        if let Some(people) = self.call.roster().and_then(|watch| watch.people()) {
            for who in people {
                self.book.enter(&who.uri, who.nickname.as_deref().or(who.display_name.as_deref()));
            }
        }
    }

    fn say(&mut self, to: &str, text: &str) {
        let mut message = self.wrapper(to, "text/plain;charset=utf-8", None);
        message.extend_from_slice(text.as_bytes());
        self.session.message(&message, Instant::now());
    }

    fn wrapper(&self, to: &str, content_type: &str, disposition: Option<&str>) -> Vec<u8> {
        let datetime = rfc3339(SystemTime::now());
        let from_name = self.nick.as_deref();
        Envelope { from_name, from: &self.me, to, datetime: Some(&datetime), content_type, disposition }.encode()
    }

    fn who(&mut self) {
        if let Some(watch) = self.call.roster()
            && let Some(people) = watch.people()
        {
            let lines: Vec<String> = people.map(|who| who.line(watch.is_own(who))).collect();
            return lines.iter().for_each(|line| println!("{}", printable(line)));
        }
        println!("{} (you)", self.nick.as_deref().unwrap_or(&self.me));
        for (name, uri) in self.book.people() {
            println!("{}", name.map_or_else(|| uri.to_owned(), |name| format!("{name} <{uri}>")));
        }
        // A script is to know it as well: this room gives no roster.
        eprintln!("* these have said something since you came; others may be there as well");
    }

    fn send_file(&mut self, path: &FilePath) {
        if self.file.is_some() {
            return self.screen.complain("one file at a time");
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().replace(['"', '\\'], "_");
        let disposition = format!("attachment; filename=\"{name}\"");
        let head = self.wrapper(&self.room, media_type(path), Some(&disposition));
        match Outgoing::open(path, head, &mut self.session, self.screen.draws) {
            Ok(file) => self.file = Some(file),
            Err(error) => self.screen.complain(&format!("{} cannot be sent: {error}", path.display())),
        }
    }

    fn send_file_chunks(&mut self) {
        let now = Instant::now();
        let Some(mut file) = self.file.take() else { return };
        while file.wants_to_send() && self.session.outgoing.len() < OUTGOING_BYTES_MAX {
            if let Err(error) = file.send_chunk(&mut self.session, now) {
                file.abandon(&mut self.session, now);
                return self.screen.complain(&format!("{} was not sent: {error}", file.name));
            }
        }
        self.file = Some(file);
    }

    fn file_answered(&mut self, octets: u64, outcome: Result<(), Refusal>) {
        // Answers to chunks of a file that was given up mean nothing any more.
        let Some(mut file) = self.file.take() else { return };
        match outcome {
            Ok(()) if file.answered(octets) == Stage::Done => self.screen.note(&format!("{} was sent", file.name)),
            Ok(()) => self.file = Some(file),
            Err(refusal) => {
                file.abandon(&mut self.session, Instant::now());
                self.screen.complain(&format!("{} was not delivered: {}", file.name, reason(&refusal)));
            }
        }
    }
}
