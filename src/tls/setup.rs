//! What the sockets of both threads are set up with.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ServerConfig, SignatureScheme};
use rustls_pki_types::CertificateDer;

use super::identity::{Identity, fingerprint};
use super::trust::{Anybody, Expected, Trust, client};
use crate::facts::Certificate;
use parlor_proto::sdp::{Fingerprint, HashFunction};

/// A fault of the settings, which none of a config's values should be able to bring about.
pub type TlsError = rustls::Error;

/// Our certificate and whom we trust, ready for use. Cheap to clone; all clones change together.
#[derive(Debug, Clone)]
pub struct TlsSetup {
    current: Arc<Current>,
    keys: Anybody,
    /// For SIP connections that come in.
    pub sip_server: Arc<ServerConfig>,
    /// For connections that we make: the other end has to have the name that we ask for, and is shown ours where it asks.
    pub client: Arc<ClientConfig>,
    /// For MSRP connections that come in: a certificate is asked for.
    pub msrp_server: Arc<ServerConfig>,
}

impl TlsSetup {
    /// Sets everything up to show an identity.
    ///
    /// # Errors
    /// [`TlsError`]
    pub fn new(identity: &Identity, trust: &Trust) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let (current, keys) = (Arc::new(Current(RwLock::new(identity.key.clone()))), Anybody(provider.clone()));
        let server = || ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let sip_server = server()?.with_no_client_auth().with_cert_resolver(current.clone());
        let msrp_server = server()?.with_client_cert_verifier(Arc::new(keys.clone()));
        let client = client(keys.clone(), trust.into())?.with_client_cert_resolver(current.clone());
        Ok(Self {
            keys,
            sip_server: Arc::new(sip_server),
            client: Arc::new(client),
            msrp_server: Arc::new(msrp_server.with_cert_resolver(current.clone())),
            current,
        })
    }

    /// For a connection to one who has named its certificate by these hashes; without any, by the name that we ask for.
    ///
    /// # Errors
    /// [`TlsError`]
    pub fn client_for(&self, fingerprints: &[Fingerprint]) -> Result<Arc<ClientConfig>, TlsError> {
        if fingerprints.is_empty() {
            return Ok(self.client.clone());
        }
        let client = client(self.keys.clone(), Expected::Fingerprints(fingerprints.to_vec()))?;
        Ok(Arc::new(client.with_client_cert_resolver(self.current.clone())))
    }

    /// Shows another identity from the next handshake on.
    pub fn replace(&self, identity: &Identity) {
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = identity.key.clone();
    }
}

/// What the other end of a connection has shown. `named`: it has the name that we have asked for.
#[must_use]
pub fn identify(chain: &[CertificateDer<'_>], named: bool) -> Option<Certificate> {
    let first = chain.first()?;
    let fingerprints = HashFunction::ALL.into_iter().map(|hash| fingerprint(first, hash)).collect();
    Some(Certificate { fingerprints, named })
}

/// The certificate in force.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl Current {
    fn get(&self) -> Arc<CertifiedKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

impl ResolvesClientCert for Current {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
