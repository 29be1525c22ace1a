//! The rustls configs of all connections.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ServerConfig, SignatureScheme};
use rustls_pki_types::CertificateDer;

use super::identity::{Identity, fingerprint};
use super::trust::{AcceptAny, Expected, Trust, client};
use crate::facts::Certificate;
use parlor_proto::sdp::{Fingerprint, HashFunction};

/// rustls refuses the settings, which no config should cause.
pub type TlsError = rustls::Error;

/// The rustls configs with the server's certificate. Clones are cheap and share the certificate.
#[derive(Debug, Clone)]
pub struct TlsSetup {
    current: Arc<CurrentCertificate>,
    verifier: AcceptAny,
    /// For incoming SIP connections.
    pub sip_server: Arc<ServerConfig>,
    /// For outgoing connections: the peer's certificate is verified by name, the server's is sent on request.
    pub client: Arc<ClientConfig>,
    /// For incoming MSRP connections: a client certificate is requested.
    pub msrp_server: Arc<ServerConfig>,
}

impl TlsSetup {
    /// Makes the configs for an identity.
    ///
    /// # Errors
    /// Returns an error if rustls refuses the settings.
    pub fn new(identity: &Identity, trust: &Trust) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let current = Arc::new(CurrentCertificate(RwLock::new(identity.key.clone())));
        let verifier = AcceptAny(provider.clone());
        let server = || ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let sip_server = server()?.with_no_client_auth().with_cert_resolver(current.clone());
        let msrp_server = server()?.with_client_cert_verifier(Arc::new(verifier.clone()));
        let client = client(verifier.clone(), trust.into())?.with_client_cert_resolver(current.clone());
        Ok(Self {
            verifier,
            sip_server: Arc::new(sip_server),
            client: Arc::new(client),
            msrp_server: Arc::new(msrp_server.with_cert_resolver(current.clone())),
            current,
        })
    }

    /// The config for a connection to a peer whose certificate has one of these fingerprints (RFC 8122); without any, verified by
    /// name.
    ///
    /// # Errors
    /// Returns an error if rustls refuses the settings.
    pub fn client_for(&self, fingerprints: &[Fingerprint]) -> Result<Arc<ClientConfig>, TlsError> {
        if fingerprints.is_empty() {
            return Ok(self.client.clone());
        }
        let client = client(self.verifier.clone(), Expected::Fingerprints(fingerprints.to_vec()))?;
        Ok(Arc::new(client.with_client_cert_resolver(self.current.clone())))
    }

    /// Replaces the certificate from the next handshake on.
    pub fn replace(&self, identity: &Identity) {
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = identity.key.clone();
    }
}

/// The certificate of a peer. `named`: it was verified by name.
#[must_use]
pub fn identify(chain: &[CertificateDer<'_>], named: bool) -> Option<Certificate> {
    let first = chain.first()?;
    let fingerprints = HashFunction::ALL.into_iter().map(|hash| fingerprint(first, hash)).collect();
    Some(Certificate { fingerprints, named })
}

/// The certificate in force.
#[derive(Debug)]
struct CurrentCertificate(RwLock<Arc<CertifiedKey>>);

impl CurrentCertificate {
    fn get(&self) -> Arc<CertifiedKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

impl ResolvesClientCert for CurrentCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
