//! One SIP connection: messages in by Content-Length, messages out in order (RFC 3261 §18.3).

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::debug;

use super::flows::{Arrived, Inbound};
use super::outbound::{Outbound, Waiting};
use crate::tls::Stream;
use parlor_proto::sip::{Framed, Framer, Hop, Message, Method};

/// Who connects and says nothing, or begins a message and does not end it, for so long is hung up on.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// Who takes nothing of what is sent to it for so long is hung up on.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the answer to what cannot be framed has to leave before the connection is closed.
const FAREWELL: Duration = Duration::from_millis(500);
/// How long a peer that sends nothing more is kept for the answers to what it has asked: as long as it would wait for them
/// (RFC 3261 §17.1.2.2, Timer F).
const LAST_ANSWERS: Duration = Duration::from_secs(32);
const READ_BYTES_MAX: usize = 16 * 1024;
/// Messages are put together until they have so many octets.
const WRITE_BYTES_MAX: usize = 16 * 1024;

/// The answers that a connection still has to carry.
#[derive(Debug, Default)]
struct Owed {
    answers: Cell<usize>,
    /// The peer sends nothing more.
    ended: Cell<bool>,
    changed: Notify,
}

impl Owed {
    fn asked(&self, framed: &Framed) {
        let wants_answer = match framed {
            Framed::Message(message) => {
                matches!(&**message, Message::Request(request) if request.method != Method::Ack)
            }
            Framed::Malformed(_) => true,
        };
        self.answers.set(self.answers.get() + usize::from(wants_answer));
    }

    fn answered(&self, message: &[u8]) {
        let is_final = message.strip_prefix(b"SIP/2.0 ").is_some_and(|status| !status.starts_with(b"1"));
        self.answers.set(self.answers.get().saturating_sub(usize::from(is_final)));
    }

    fn end(&self) {
        self.ended.set(true);
        self.changed.notify_one();
    }

    /// Waits until the peer has ended its side and nothing is owed to it.
    async fn settled(&self) {
        while !self.ended.get() || self.answers.get() > 0 {
            self.changed.notified().await;
        }
    }
}

/// Carries a connection, once it is there, until either side ends it. Where there will be none, what waits for it comes back.
pub async fn carry(
    stream: impl Future<Output = Option<Stream>>,
    hop: Hop,
    inbound: mpsc::Sender<Inbound>,
    mut waiting: Waiting,
    own: Outbound,
) {
    match stream.await {
        Some(stream) => converse(stream, hop, &inbound, &mut waiting, own).await,
        None => give_back(hop, &inbound, &mut waiting).await,
    }
    if let Some(connection) = hop.connection {
        let _ = inbound.send(Inbound { hop, what: Arrived::Closed(connection) }).await;
    }
}

async fn give_back(hop: Hop, inbound: &mpsc::Sender<Inbound>, waiting: &mut Waiting) {
    waiting.close();
    while let Some(message) = waiting.recv().await {
        let _ = inbound.send(Inbound { hop, what: Arrived::Unreachable(message) }).await;
    }
}

/// A peer that has ended its side may still read: what it has asked is answered (RFC 3261 §18.2.2).
async fn converse(stream: Stream, hop: Hop, inbound: &mpsc::Sender<Inbound>, waiting: &mut Waiting, own: Outbound) {
    let (reader, writer) = tokio::io::split(stream);
    let owed = Owed::default();
    let mut writing = pin!(write(writer, waiting, &owed));
    let read = tokio::select! {
        read = read(reader, hop, inbound, own, &owed) => read,
        _ = &mut writing => return,
    };
    let Some(connection) = hop.connection.filter(|_| read.is_ok()) else { return };
    owed.end();
    let _ = inbound.send(Inbound { hop, what: Arrived::Ended(connection) }).await;
    let _ = timeout(LAST_ANSWERS, writing).await;
}

/// Reads until the peer has ended its side, or nothing can be made of it.
async fn read(
    mut reader: ReadHalf<Stream>,
    hop: Hop,
    inbound: &mpsc::Sender<Inbound>,
    own: Outbound,
    owed: &Owed,
) -> io::Result<()> {
    let mut framer = Framer::default();
    // By when the message that has begun is to be whole; between messages a connection may rest.
    let mut whole_by = Some(Instant::now() + MESSAGE_TIMEOUT);
    loop {
        let more = poll_fn(|cx| poll_messages(Pin::new(&mut reader), &mut framer, cx));
        let framed = match whole_by {
            Some(at) => timeout_at(at, more).await??,
            None => more.await?,
        };
        let Some(framed) = framed else { return Ok(()) };
        for _ in 0..framer.take_pings() {
            // RFC 5626 §4.4.1. No room means that the peer does not read; it will notice.
            let _ = own.try_send(Bytes::from_static(b"\r\n"));
        }
        if !framed.is_empty() {
            whole_by = None;
        }
        if framer.is_partial() {
            whole_by = whole_by.or_else(|| Some(Instant::now() + MESSAGE_TIMEOUT));
        }
        for framed in framed {
            owed.asked(&framed);
            let what = match framed {
                Framed::Message(message) => Arrived::Message(message),
                Framed::Malformed(broken) => Arrived::Malformed(broken),
            };
            if inbound.send(Inbound { hop, what }).await.is_err() {
                return Ok(());
            }
        }
        if let Some(why) = framer.error() {
            debug!(peer = %hop.remote, %why, "nothing can be made of a SIP connection any more");
            sleep(FAREWELL).await;
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

thread_local! {
    /// What every connection of the thread reads into: one that rests owns no buffer.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES_MAX]);
}

/// Reads once. `None` when the peer has ended the connection; no messages where what came completes none.
fn poll_messages(
    reader: Pin<&mut ReadHalf<Stream>>,
    framer: &mut Framer,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Option<Vec<Framed>>>> {
    BUFFER.with_borrow_mut(|buffer| {
        let mut buffer = ReadBuf::new(buffer);
        match ready!(reader.poll_read(cx, &mut buffer)) {
            // Over TLS, an end that was not announced. Every message says its length, so nothing can be cut off unseen.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Poll::Ready(Ok(None)),
            read => read?,
        }
        if buffer.filled().is_empty() {
            return Poll::Ready(Ok(None));
        }
        Poll::Ready(Ok(Some(framer.push(buffer.filled()))))
    })
}

/// Messages that wait together go in one write: each write costs more than all that is done for its message.
fn with_what_waits(first: Bytes, waiting: &mut Waiting, owed: &Owed) -> Bytes {
    let mut next = || waiting.try_recv().inspect(|message| owed.answered(message));
    if first.len() >= WRITE_BYTES_MAX {
        return first;
    }
    let Some(second) = next() else { return first };
    let mut all = Vec::with_capacity(WRITE_BYTES_MAX);
    all.extend_from_slice(&first);
    all.extend_from_slice(&second);
    while all.len() < WRITE_BYTES_MAX {
        let Some(message) = next() else { break };
        all.extend_from_slice(&message);
    }
    all.into()
}

/// Writes until there is nothing more to write, ever.
async fn write(mut writer: WriteHalf<Stream>, waiting: &mut Waiting, owed: &Owed) -> io::Result<()> {
    loop {
        let message = tokio::select! {
            biased;
            message = waiting.recv() => message,
            () = owed.settled() => None,
        };
        let Some(message) = message else { return writer.shutdown().await };
        owed.answered(&message);
        let octets = with_what_waits(message, waiting, owed);
        let written = async {
            writer.write_all(&octets).await?;
            // TLS keeps what the socket has no room for.
            writer.flush().await
        };
        timeout(WRITE_TIMEOUT, written).await??;
        waiting.written(octets.len());
    }
}
