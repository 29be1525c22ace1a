//! One SIP connection: messages in by Content-Length, messages out in order (RFC 3261 §18.3).

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::debug;

use super::flows::{Arrived, Inbound};
use crate::sip::{Framed, Framer, Hop};
use crate::tls::Stream;

/// Who connects and says nothing, or begins a message and does not end it, for so long is hung up on.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// Who takes nothing of what is sent to it for so long is hung up on.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the answer to what cannot be framed has to leave before the connection is closed.
const FAREWELL: Duration = Duration::from_millis(500);
const READ_BYTES_MAX: usize = 16 * 1024;
/// Messages are put together until they have so many octets.
const WRITE_BYTES_MAX: usize = 16 * 1024;

/// Carries a connection, once it is there, until either side ends it.
pub async fn carry(
    stream: impl Future<Output = Option<Stream>>,
    hop: Hop,
    inbound: mpsc::Sender<Inbound>,
    outbound: mpsc::Receiver<Bytes>,
    own: mpsc::Sender<Bytes>,
) {
    if let Some(stream) = stream.await {
        let (reader, writer) = tokio::io::split(stream);
        tokio::select! {
            _ = read(reader, hop, &inbound, own) => {}
            _ = write(writer, outbound) => {}
        }
    }
    if let Some(connection) = hop.connection {
        let _ = inbound.send(Inbound { hop, what: Arrived::Closed(connection) }).await;
    }
}

async fn read(
    mut reader: ReadHalf<Stream>,
    hop: Hop,
    inbound: &mpsc::Sender<Inbound>,
    own: mpsc::Sender<Bytes>,
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
            let what = match framed {
                Framed::Message(message) => Arrived::Message(message),
                Framed::Broken(broken) => Arrived::Broken(broken),
            };
            if inbound.send(Inbound { hop, what }).await.is_err() {
                return Ok(());
            }
        }
        if let Some(why) = framer.lost() {
            debug!(peer = %hop.remote, %why, "nothing can be made of a SIP connection any more");
            sleep(FAREWELL).await;
            return Ok(());
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
        ready!(reader.poll_read(cx, &mut buffer))?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Ok(None));
        }
        Poll::Ready(Ok(Some(framer.push(buffer.filled()))))
    })
}

/// Messages that wait together go in one write: each write costs more than all that is done for its message.
fn with_what_waits(first: Bytes, outbound: &mut mpsc::Receiver<Bytes>) -> Bytes {
    let mut next = || outbound.try_recv().ok();
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

async fn write(mut writer: WriteHalf<Stream>, mut outbound: mpsc::Receiver<Bytes>) -> io::Result<()> {
    while let Some(message) = outbound.recv().await {
        let octets = with_what_waits(message, &mut outbound);
        let written = async {
            writer.write_all(&octets).await?;
            // TLS keeps what the socket has no room for.
            writer.flush().await
        };
        timeout(WRITE_TIMEOUT, written).await??;
    }
    writer.shutdown().await
}
