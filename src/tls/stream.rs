//! tokio connections with TLS or without.

use tokio::io::{AsyncRead, AsyncWrite};

/// A connection.
pub type Stream = Box<dyn Duplex>;

/// A connection that can be read and written.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}
