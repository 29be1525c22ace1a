//! TLS on the side of a participant: whom it believes.

use std::path::PathBuf;
use std::sync::Arc;

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::network::{CONNECT_MAX, Trouble};
use crate::tls::{Stream, Trust, client_config, fingerprint};
use parlor_proto::sdp::Fingerprint;

/// What was said about it on the command line.
#[derive(Debug, Clone, Default)]
pub(super) struct Security {
    /// An authority to believe beside those of the system.
    pub ca: Option<PathBuf>,
    /// Believe everybody.
    pub insecure: bool,
}

impl Security {
    /// Makes a connection one over TLS, if the other end has a certificate for the name.
    pub(super) async fn by_name(&self, stream: TcpStream, host: &str) -> Result<Stream, Trouble> {
        let trust = if self.insecure { None } else { Some(Trust::load(self.ca.as_deref())?) };
        Ok(Box::new(shake_hands(stream, host, trust.as_ref()).await?))
    }

    /// The same where fingerprints of the certificate are known: one of them has to be its own (RFC 8122 §6.2).
    pub(super) async fn by_fingerprint(
        &self,
        stream: TcpStream,
        host: &str,
        wanted: &[Fingerprint],
    ) -> Result<Stream, Trouble> {
        if wanted.is_empty() {
            return self.by_name(stream, host).await;
        }
        let secured = shake_hands(stream, host, None).await?;
        let shown = secured.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let fits = shown.is_some_and(|shown| wanted.iter().any(|one| fingerprint(shown, one.hash) == *one));
        if fits || self.insecure {
            Ok(Box::new(secured))
        } else {
            Err("the certificate at the room's address for messages is not the one that the room has named".into())
        }
    }
}

async fn shake_hands(
    stream: TcpStream,
    host: &str,
    trust: Option<&Trust>,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Trouble> {
    let config = client_config(trust).map_err(|error| error.to_string())?;
    let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("{host} is no name for TLS"))?;
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let secured = tokio::time::timeout(CONNECT_MAX, handshake).await;
    let secured = secured.map_err(|_| format!("no TLS with {host}: it does not answer; is that its TLS port?"))?;
    secured
        .map_err(|error| format!("no TLS with {host}: {error}; --ca FILE names whom to believe, --insecure everybody"))
}
