//! The connections that a round of load runs over.

use std::io;
use std::net::{SocketAddr, TcpStream};

use super::layout;
use crate::msrp::Path;

/// A bound MSRP session.
#[derive(Debug)]
pub struct Member {
    /// Its connection.
    pub stream: TcpStream,
    /// The URI in its CPIM From.
    pub from: String,
    /// The server's path.
    pub to_path: Path,
    /// Its own.
    pub from_path: Path,
}

/// What a sender writes for one message.
pub enum Script {
    /// A SEND to a room.
    Msrp {
        /// Where it goes.
        room: String,
        /// Whom it comes from.
        from: String,
        /// To-Path and From-Path.
        paths: (String, String),
        /// Octets of text.
        size: usize,
    },
    /// The very octets that the receivers get, for the floor.
    Raw {
        /// One of them.
        template: Vec<u8>,
        /// Where its numbers stand.
        layout: layout::Layout,
    },
}

impl Script {
    /// Writes message `number` of `sender`.
    pub fn write(&mut self, out: &mut Vec<u8>, sender: usize, number: u64) {
        match self {
            Self::Msrp { room, from, paths, size } => {
                let text = layout::text(*size, sender, number);
                out.extend(layout::send(from, room, (&paths.0, &paths.1), &text, number));
            }
            Self::Raw { template, layout } => {
                layout.renumber(template, sender, number);
                out.extend_from_slice(template);
            }
        }
    }
}

/// Connections to the floor: receivers first, then senders.
///
/// # Errors
/// As the sockets.
pub fn connect_to_floor(
    address: SocketAddr,
    receivers: usize,
    senders: usize,
) -> io::Result<(Vec<TcpStream>, Vec<TcpStream>)> {
    let connect = |_| -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    let receivers = (0..receivers).map(connect).collect::<io::Result<Vec<_>>>()?;
    Ok((receivers, (0..senders).map(connect).collect::<io::Result<Vec<_>>>()?))
}
