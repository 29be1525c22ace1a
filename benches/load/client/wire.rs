//! The connections that load runs over, and what is written on them.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;

use crate::client::layout;
use crate::client::stream::Stream;

/// A bound MSRP session.
#[derive(Debug)]
pub struct Member {
    /// Its connection.
    pub stream: Stream,
    /// Its room's URI.
    pub room: String,
    /// The URI in its CPIM From.
    pub from: String,
    /// The server's path, and its own.
    pub paths: (String, String),
}

/// A connection as the engine takes it.
pub struct Endpoint {
    /// The connection.
    pub stream: Stream,
    /// The senders whose copies come here.
    pub hears: Range<usize>,
    /// What it sends, and how many members each message goes to.
    pub sends: Option<(Script, usize)>,
}

impl Endpoint {
    /// Who only listens.
    #[must_use]
    pub fn receiver(stream: Stream, hears: Range<usize>) -> Self {
        Self { stream, hears, sends: None }
    }

    /// Who sends too.
    #[must_use]
    pub fn sender(stream: Stream, hears: Range<usize>, script: Script, recipients: usize) -> Self {
        Self { stream, hears, sends: Some((script, recipients)) }
    }
}

/// What a sender writes for one message.
pub enum Script {
    /// A SEND to a room, or to somebody in it.
    Msrp {
        /// To and From of the wrapper.
        to: String,
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
    /// Texts of a member to its room.
    #[must_use]
    pub fn to_room(member: &Member, size: usize) -> Self {
        Self::to(member, &member.room, size)
    }

    /// Texts of a member to somebody.
    #[must_use]
    pub fn to(member: &Member, to: &str, size: usize) -> Self {
        Self::Msrp { to: to.to_owned(), from: member.from.clone(), paths: member.paths.clone(), size }
    }

    /// Writes message `number` of `sender`.
    pub fn write(&mut self, out: &mut Vec<u8>, sender: usize, number: u64) {
        match self {
            Self::Msrp { to, from, paths, size } => {
                let text = layout::text(*size, sender, number);
                out.extend(layout::send(from, to, (&paths.0, &paths.1), &text, number));
            }
            Self::Raw { template, layout } => {
                layout.renumber(template, sender, number);
                out.extend_from_slice(template);
            }
        }
    }
}

/// Connections to the floor, in order.
///
/// # Errors
/// Returns an error if a socket fails.
pub fn connect_to_floor(address: SocketAddr, count: usize) -> io::Result<Vec<TcpStream>> {
    let connect = |_| -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    (0..count).map(connect).collect()
}
