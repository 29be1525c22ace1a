//! TLS connections of the client, and which certificates it trusts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::ChatError;
use crate::tls::{Stream, Trust, client_config, fingerprint};
use parlor_proto::sdp::Fingerprint;

/// The longest time for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Which certificates are trusted.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// A PEM file of certificate authorities beside those of the system.
    pub ca: Option<PathBuf>,
    /// Trust every certificate.
    pub insecure: bool,
}

impl TlsOptions {
    /// Starts TLS with a server whose certificate has to name `host`.
    ///
    /// # Errors
    /// Returns an error if the handshake fails or the certificate is not trusted.
    pub async fn connect(&self, stream: TcpStream, host: &str) -> Result<Stream, ChatError> {
        let trust = if self.insecure { None } else { Some(Trust::load(self.ca.as_deref())?) };
        Ok(Box::new(handshake(stream, host, trust.as_ref()).await?))
    }

    /// Starts TLS with a server whose certificate has to have one of `fingerprints` (RFC 8122 §6.2); without any, as
    /// [`Self::connect`].
    ///
    /// # Errors
    /// Returns an error if the handshake fails or the certificate does not match.
    pub async fn connect_by_fingerprint(
        &self,
        stream: TcpStream,
        host: &str,
        fingerprints: &[Fingerprint],
    ) -> Result<Stream, ChatError> {
        if fingerprints.is_empty() {
            return self.connect(stream, host).await;
        }
        let stream = handshake(stream, host, None).await?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let matches = certificate
            .is_some_and(|certificate| fingerprints.iter().any(|one| fingerprint(certificate, one.hash) == *one));
        if matches || self.insecure {
            Ok(Box::new(stream))
        } else {
            Err("the certificate of the MSRP server does not match the fingerprint in the answer of the room".into())
        }
    }
}

async fn handshake(stream: TcpStream, host: &str, trust: Option<&Trust>) -> Result<TlsStream<TcpStream>, ChatError> {
    let config = client_config(trust).map_err(|error| error.to_string())?;
    let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("{host} is not a valid name for TLS"))?;
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let outcome = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await;
    let outcome = outcome.map_err(|_| format!("TLS handshake with {host} timed out; is that its TLS port?"))?;
    outcome.map_err(|error| {
        format!("TLS handshake with {host} failed: {error}; --ca FILE adds trusted authorities, --insecure trusts all")
    })
}
