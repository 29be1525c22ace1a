//! Connections that the switch asks for, as they are made.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::facts::Fingerprint;
use crate::ids::SessionKey;
use parlor_proto::msrp::encode::RANDOM_ID_BYTES;

/// A connection that the driver is to make. It is given back, once, to [`super::Switch::connected`] or [`super::Switch::connect_failed`].
#[derive(Debug, Clone)]
pub struct Dial {
    pub(super) session: SessionKey,
    /// Where to.
    pub address: SocketAddr,
    /// With TLS, the name or address to ask for and to look for in the certificate; `None`: without TLS.
    pub tls: Option<Arc<str>>,
    /// What the certificate has to match instead, where any are named (RFC 8122 §6.2).
    pub fingerprints: Vec<Fingerprint>,
}

/// The session that a connection was made for, and the transaction that is to bind it.
#[derive(Debug, Clone, Copy)]
pub struct Dialled {
    pub session: SessionKey,
    pub tid: Option<[u8; RANDOM_ID_BYTES]>,
}
