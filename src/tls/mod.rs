//! TLS for SIP and MSRP: the server's certificate, which can be replaced while the server runs, and the trusted authorities.
//!
//! One [`Identity`] is in force at a time. All configs of a [`TlsSetup`] use it from their next handshake on.

mod identity;
mod names;
mod reason;
mod setup;
mod stream;
mod trust;

pub use identity::{Identity, IdentityError, fingerprint};
pub use reason::reason;
pub use setup::{TlsError, TlsSetup, identify};
pub use stream::{Duplex, Stream};
pub use trust::{Trust, client_config};
