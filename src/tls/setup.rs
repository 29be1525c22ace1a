//! What the sockets of both threads are set up with.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName};

use super::identity::{Identity, fingerprint};
use super::trust::{Anybody, Trust, client_config};
use crate::facts::Certificate;
use crate::sdp::HASH_FUNCTIONS;

/// A fault of the settings, which none of a config's values should be able to bring about.
pub type TlsError = rustls::Error;

/// Our certificate and whom we trust, ready for use. Cheap to clone; all clones change together.
#[derive(Debug, Clone)]
pub struct TlsSetup {
    current: Arc<Current>,
    /// For SIP connections that come in.
    pub sip_server: Arc<ServerConfig>,
    /// For SIP connections that we make: the other end has to have the name that we ask for.
    pub sip_client: Arc<ClientConfig>,
    /// For MSRP connections that come in: a certificate is asked for.
    pub msrp_server: Arc<ServerConfig>,
    /// For MSRP connections that we make: we show our certificate, and look at the other one when the handshake is over.
    pub msrp_client: Arc<ClientConfig>,
    /// Whom we trust about names.
    pub trust: Arc<Trust>,
}

impl TlsSetup {
    /// Sets everything up to show an identity.
    ///
    /// # Errors
    /// [`TlsError`]
    pub fn new(identity: &Identity, trust: Trust) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let current = Arc::new(Current(RwLock::new(identity.key.clone())));
        let server = || ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let sip_server = server()?.with_no_client_auth().with_cert_resolver(current.clone());
        let anybody = Arc::new(Anybody(provider.clone()));
        let msrp_server = server()?.with_client_cert_verifier(anybody.clone()).with_cert_resolver(current.clone());
        let client = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let client = client.dangerous().with_custom_certificate_verifier(anybody);
        let msrp_client = client.with_client_cert_resolver(current.clone());
        Ok(Self {
            current,
            sip_server: Arc::new(sip_server),
            sip_client: Arc::new(client_config(Some(&trust))?),
            msrp_server: Arc::new(msrp_server),
            msrp_client: Arc::new(msrp_client),
            trust: Arc::new(trust),
        })
    }

    /// Shows another identity from the next handshake on.
    pub fn replace(&self, identity: &Identity) {
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = identity.key.clone();
    }
}

/// What the other end of a connection has shown. `name` is whom we connected to.
#[must_use]
pub fn identify(chain: &[CertificateDer<'_>], name: Option<&ServerName<'_>>, trust: &Trust) -> Option<Certificate> {
    let first = chain.first()?;
    let fingerprints = HASH_FUNCTIONS.into_iter().map(|hash| fingerprint(first, hash)).collect();
    Some(Certificate { fingerprints, named: name.is_some_and(|name| trust.vouches(chain, name)) })
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
