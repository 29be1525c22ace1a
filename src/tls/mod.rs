//! What both threads of the shell need of TLS: our certificate, which can be replaced while the server runs, and whom we trust.
//!
//! There is one [`Identity`] in force at a time. Everything that was set up with a [`TlsSetup`] shows it from its next handshake
//! on.

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
