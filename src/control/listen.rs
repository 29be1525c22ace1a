//! The tasks that receive datagrams and accept connections.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::datagram_socket::{Datagram, DatagramSocket};
use super::inbound::{Inbound, InboundEvent};
use crate::limits::SIP_MESSAGE_BYTES_MAX;
use crate::log_throttle::LogThrottle;
use parlor_proto::sip::{Hop, MalformedRequest, Transport, parse_datagram};

/// How long no connection is accepted after `accept` has failed, as it does without file descriptors.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Receives the datagrams of one socket until the receiver of `inbound` is dropped.
pub async fn receive_datagrams(socket: Rc<DatagramSocket>, inbound: mpsc::Sender<Inbound>) {
    let mut buffer = vec![0; SIP_MESSAGE_BYTES_MAX];
    loop {
        // An error reports that a datagram sent before was not delivered.
        let Ok(Datagram { len, remote, local }) = socket.recv(&mut buffer).await else { continue };
        let hop = Hop { transport: Transport::Udp, local, remote, connection: None };
        let Some(event) = parse(&buffer[..len], remote) else { continue };
        if inbound.send(Inbound { hop, event }).await.is_err() {
            return;
        }
    }
}

fn parse(datagram: &[u8], remote: SocketAddr) -> Option<InboundEvent> {
    match parse_datagram(datagram) {
        Ok(message) => Some(InboundEvent::Message(Box::new(message?))),
        Err(error) => {
            debug!(peer = %remote, %error, "a datagram is not a SIP message");
            Some(InboundEvent::Malformed(Box::new(MalformedRequest::recover(datagram, error)?)))
        }
    }
}

/// Accepts the connections of one listener until the receiver of `inbound` is dropped.
pub async fn accept(listener: TcpListener, transport: Transport, local: SocketAddr, inbound: mpsc::Sender<Inbound>) {
    let mut failures = LogThrottle::default();
    loop {
        match listener.accept().await {
            Ok((stream, remote)) => {
                let local = stream.local_addr().unwrap_or(local);
                let hop = Hop { transport, local, remote, connection: None };
                if inbound.send(Inbound { hop, event: InboundEvent::Accepted(stream) }).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                if let Some(times) = failures.add(Instant::now()) {
                    warn!(%local, %error, times, "cannot accept a SIP connection");
                }
                sleep(ACCEPT_RETRY_INTERVAL).await;
            }
        }
    }
}
