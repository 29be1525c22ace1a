//! The event loop of the chat: the SIP socket, the MSRP connection, the input and the timers.

use std::io;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;

use super::address_book::AddressBook;
use super::error::ChatError;
use super::join::{Joined, join, leave, send_outgoing, sleep_until};
use super::network::SipSocket;
use super::options::ChatOptions;
use super::participant::Participant;
use super::session::Session;
use super::terminal::Terminal;
use crate::tls::Stream;
use parlor_proto::sip::address_text;
use parlor_proto::uri::Aor;

/// Octets of one read.
const READ_BYTES: usize = 64 * 1024;
/// Lines of input that wait.
const LINES_MAX: usize = 16;

/// The inputs and outputs of the event loop.
struct Io {
    socket: SipSocket,
    reader: ReadHalf<Stream>,
    writer: WriteHalf<Stream>,
    lines: mpsc::Receiver<String>,
}

/// Joins a room, chats, and leaves. Returns whether no error was shown.
///
/// # Errors
/// Returns an error if the room cannot be joined.
pub async fn chat(options: ChatOptions) -> Result<bool, ChatError> {
    let lines = read_lines();
    let joined = join(&options).await?;
    let (mut participant, socket, stream) = participant(joined, options.identity.is_none());
    participant.begin(options.nick.as_deref());
    let (reader, writer) = tokio::io::split(stream);
    let mut io = Io { socket, reader, writer, lines };
    run(&mut participant, &mut io).await;
    // The connection stays open until the BYE is answered, so that the room does not take it for lost.
    leave(&mut io.socket, &mut participant.call).await;
    Ok(!participant.terminal.had_error)
}

/// Reads standard input by lines in a thread of its own, which may block without delaying the exit.
fn read_lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(LINES_MAX);
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

fn participant(joined: Joined, guest: bool) -> (Participant, SipSocket, Stream) {
    let Joined { socket, mut call, parties, stream, local, remote, subject, mut rng } = joined;
    let now = Instant::now();
    call.subscribe_roster(&parties, &mut rng, now);
    let room = address_text(&parties.room);
    let participant = Participant {
        book: AddressBook::new(&parties.caller),
        room_aor: Aor::parse(room.as_bytes()).ok(),
        session: Session::new(local.as_str().into(), remote.as_str().into(), rng),
        me: parties.caller,
        room,
        subject,
        guest,
        nick: None,
        call,
        file: None,
        terminal: Terminal::new(),
        ready: false,
        ending_since: None,
        last_receipt: now,
        lost: None,
        over: false,
    };
    (participant, socket, stream)
}

async fn run(participant: &mut Participant, io: &mut Io) {
    let Io { socket, reader, writer, lines } = io;
    let mut buffer = vec![0; READ_BYTES];
    // TLS buffers what the socket does not take at once.
    let mut unflushed = false;
    while !participant.over && !participant.has_ended() {
        participant.send_file_chunks();
        if let Err(error) = send_outgoing(socket, &mut participant.call).await {
            participant.terminal.error(&format!("the call is lost: {error}"));
            return;
        }
        let timeout = participant.poll_timeout();
        let has_outgoing = participant.has_outgoing();
        tokio::select! {
            read = reader.read(&mut buffer), if participant.lost.is_none() => {
                participant.handle_read(read.map(|len| &buffer[..len]));
            }
            written = write(writer, &participant.session.outgoing), if has_outgoing || unflushed => {
                unflushed = has_outgoing;
                participant.handle_write(written);
            }
            messages = socket.receive() => participant.handle_sip(messages),
            line = lines.recv(), if participant.accepts_input() => participant.handle_line(line),
            () = sleep_until(timeout) => participant.handle_timeout(),
            _ = tokio::signal::ctrl_c() => return,
        }
    }
}

/// Writes octets, or flushes if there are none.
async fn write(writer: &mut WriteHalf<Stream>, octets: &[u8]) -> io::Result<usize> {
    if octets.is_empty() {
        return writer.flush().await.map(|()| 0);
    }
    writer.write(octets).await
}
