//! The task of one SIP connection: reads messages by Content-Length and writes queued ones in order (RFC 3261 §18.3).

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

use super::inbound::{Inbound, InboundEvent};
use super::send_queue::{SendQueue, SendQueueReceiver};
use crate::tls::Stream;
use parlor_proto::sip::{Framed, Framer, Hop, Message, Method};

/// The longest time for a message to arrive completely, and for the first message of a connection.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest time for one write.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the response to an unframed message may take to leave before the connection is closed.
const CLOSE_DELAY: Duration = Duration::from_millis(500);
/// How long a half-closed connection is kept for the responses that are still due: as long as the peer waits for them (RFC 3261
/// §17.1.2.2, Timer F).
const HALF_CLOSED_TIMEOUT: Duration = Duration::from_secs(32);
const READ_BYTES_MAX: usize = 16 * 1024;
/// Queued messages are joined into one write up to so many octets.
const WRITE_BYTES_MAX: usize = 16 * 1024;

/// The responses that a connection still has to carry.
#[derive(Debug, Default)]
struct PendingResponses {
    count: Cell<usize>,
    /// The peer has closed its sending side.
    half_closed: Cell<bool>,
    changed: Notify,
}

impl PendingResponses {
    fn add_received(&self, framed: &Framed) {
        let wants_response = match framed {
            Framed::Message(message) => {
                matches!(&**message, Message::Request(request) if request.method != Method::Ack)
            }
            Framed::Malformed(_) => true,
        };
        self.count.set(self.count.get() + usize::from(wants_response));
    }

    fn subtract_sent(&self, message: &[u8]) {
        let is_final = message.strip_prefix(b"SIP/2.0 ").is_some_and(|status| !status.starts_with(b"1"));
        self.count.set(self.count.get().saturating_sub(usize::from(is_final)));
    }

    fn half_close(&self) {
        self.half_closed.set(true);
        self.changed.notify_one();
    }

    /// Waits until the peer has closed its sending side and every response is sent.
    async fn done(&self) {
        while !self.half_closed.get() || self.count.get() > 0 {
            self.changed.notified().await;
        }
    }
}

/// Runs a connection from when `stream` has established it until it is closed. If it is not established, the queued messages are
/// returned as unsent.
pub async fn run_connection(
    stream: impl Future<Output = Option<Stream>>,
    hop: Hop,
    inbound: mpsc::Sender<Inbound>,
    mut queue: SendQueueReceiver,
    own: SendQueue,
) {
    match stream.await {
        Some(stream) => read_and_write(stream, hop, &inbound, &mut queue, own).await,
        None => return_unsent(hop, &inbound, &mut queue).await,
    }
    if let Some(connection) = hop.connection {
        let _ = inbound.send(Inbound { hop, event: InboundEvent::Closed(connection) }).await;
    }
}

async fn return_unsent(hop: Hop, inbound: &mpsc::Sender<Inbound>, queue: &mut SendQueueReceiver) {
    queue.close();
    while let Some(message) = queue.recv().await {
        let _ = inbound.send(Inbound { hop, event: InboundEvent::Unsent(message) }).await;
    }
}

/// A peer that has closed its sending side still gets the responses to its requests (RFC 3261 §18.2.2).
async fn read_and_write(
    stream: Stream,
    hop: Hop,
    inbound: &mpsc::Sender<Inbound>,
    queue: &mut SendQueueReceiver,
    own: SendQueue,
) {
    let (reader, writer) = tokio::io::split(stream);
    let pending = PendingResponses::default();
    let mut writing = pin!(write(writer, queue, &pending));
    let read = tokio::select! {
        read = read(reader, hop, inbound, own, &pending) => read,
        _ = &mut writing => return,
    };
    let Some(connection) = hop.connection.filter(|_| read.is_ok()) else { return };
    pending.half_close();
    let _ = inbound.send(Inbound { hop, event: InboundEvent::HalfClosed(connection) }).await;
    let _ = timeout(HALF_CLOSED_TIMEOUT, writing).await;
}

/// Reads until the peer has closed its sending side; fails if messages cannot be framed any more.
async fn read(
    mut reader: ReadHalf<Stream>,
    hop: Hop,
    inbound: &mpsc::Sender<Inbound>,
    own: SendQueue,
    pending: &PendingResponses,
) -> io::Result<()> {
    let mut framer = Framer::default();
    // When the message that has begun must be complete. Between messages a connection may be idle.
    let mut deadline = Some(Instant::now() + MESSAGE_TIMEOUT);
    loop {
        let more = poll_fn(|cx| poll_messages(Pin::new(&mut reader), &mut framer, cx));
        let framed = match deadline {
            Some(at) => timeout_at(at, more).await??,
            None => more.await?,
        };
        let Some(framed) = framed else { return Ok(()) };
        for _ in 0..framer.take_pings() {
            // RFC 5626 §4.4.1. If the queue is full, the peer does not read and notices that itself.
            let _ = own.try_send(Bytes::from_static(b"\r\n"));
        }
        if !framed.is_empty() {
            deadline = None;
        }
        if framer.is_partial() {
            deadline = deadline.or_else(|| Some(Instant::now() + MESSAGE_TIMEOUT));
        }
        for framed in framed {
            pending.add_received(&framed);
            let event = match framed {
                Framed::Message(message) => InboundEvent::Message(message),
                Framed::Malformed(request) => InboundEvent::Malformed(request),
            };
            if inbound.send(Inbound { hop, event }).await.is_err() {
                return Ok(());
            }
        }
        if let Some(why) = framer.error() {
            debug!(peer = %hop.remote, %why, "framing lost: a SIP connection is closed");
            sleep(CLOSE_DELAY).await;
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

thread_local! {
    /// The read buffer of all connections of the thread: an idle connection owns none.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES_MAX]);
}

/// Reads once. `None`: the peer has closed its sending side. Empty: no message is complete yet.
fn poll_messages(
    reader: Pin<&mut ReadHalf<Stream>>,
    framer: &mut Framer,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Option<Vec<Framed>>>> {
    BUFFER.with_borrow_mut(|buffer| {
        let mut buffer = ReadBuf::new(buffer);
        match ready!(reader.poll_read(cx, &mut buffer)) {
            // TLS without close_notify. Every message has its length, so a truncated one is noticed.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Poll::Ready(Ok(None)),
            read => read?,
        }
        if buffer.filled().is_empty() {
            return Poll::Ready(Ok(None));
        }
        Poll::Ready(Ok(Some(framer.push(buffer.filled()))))
    })
}

/// Joins a message with the queued ones, because a write costs more than everything else that is done for a message.
fn join_queued(first: Bytes, queue: &mut SendQueueReceiver, pending: &PendingResponses) -> Bytes {
    let mut next = || queue.try_recv().inspect(|message| pending.subtract_sent(message));
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

/// Writes queued messages until all senders are dropped, or until a half-closed connection owes no response.
async fn write(
    mut writer: WriteHalf<Stream>,
    queue: &mut SendQueueReceiver,
    pending: &PendingResponses,
) -> io::Result<()> {
    loop {
        let message = tokio::select! {
            biased;
            message = queue.recv() => message,
            () = pending.done() => None,
        };
        let Some(message) = message else { return writer.shutdown().await };
        pending.subtract_sent(&message);
        let octets = join_queued(message, queue, pending);
        let written = async {
            writer.write_all(&octets).await?;
            // TLS buffers what the socket does not take at once.
            writer.flush().await
        };
        timeout(WRITE_TIMEOUT, written).await??;
        queue.written(octets.len());
    }
}
