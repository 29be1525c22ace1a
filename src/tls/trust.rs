//! Verification of certificates, on both sides of a handshake.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WantsClientCert, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, DistinguishedName, Error};
use rustls::{RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::identity::fingerprint;
use super::names::Names;
use parlor_proto::sdp::Fingerprint;

/// The files with the trusted authorities of the system.
const SYSTEM_BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// The trusted certificate authorities.
#[derive(Debug, Clone)]
pub struct Trust {
    roots: Arc<RootCertStore>,
}

impl Trust {
    /// Loads the authorities of the system, and those of a PEM file.
    ///
    /// # Errors
    /// Returns an error if the PEM file cannot be read or has no certificate.
    pub fn load(authorities: Option<&Path>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for bundle in SYSTEM_BUNDLES {
            if let Ok(found) = CertificateDer::pem_file_iter(bundle) {
                roots.add_parsable_certificates(found.flatten());
                break;
            }
        }
        if let Some(path) = authorities {
            let shown = path.display();
            let found =
                CertificateDer::pem_file_iter(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
            let (added, _) = roots.add_parsable_certificates(found.flatten());
            if added == 0 {
                return Err(format!("{shown} has no certificate"));
            }
        }
        Ok(Self { roots: Arc::new(roots) })
    }
}

/// The config of a client that trusts these authorities; `None`: it trusts every certificate.
///
/// # Errors
/// Returns an error if rustls refuses the settings.
pub fn client_config(trust: Option<&Trust>) -> Result<ClientConfig, Error> {
    let verifier = AcceptAny(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let expected = trust.map_or(Expected::Any, |trust| Expected::Named(trust.roots.clone()));
    Ok(client(verifier, expected)?.with_no_client_auth())
}

/// Which certificate a client accepts.
#[derive(Debug)]
pub enum Expected {
    /// Any certificate.
    Any,
    /// One for the server's name, issued by one of these authorities.
    Named(Arc<RootCertStore>),
    /// One with one of these fingerprints (RFC 8122 §6.2).
    Fingerprints(Vec<Fingerprint>),
}

impl From<&Trust> for Expected {
    fn from(trust: &Trust) -> Self {
        Self::Named(trust.roots.clone())
    }
}

/// A client that sends an alert to every other server.
///
/// # Errors
/// Returns an error if rustls refuses the settings.
pub fn client(verifier: AcceptAny, expected: Expected) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, Error> {
    let config = ClientConfig::builder_with_provider(verifier.0.clone()).with_safe_default_protocol_versions()?;
    Ok(config.dangerous().with_custom_certificate_verifier(Arc::new(ServerVerifier { signatures: verifier, expected })))
}

#[derive(Debug)]
struct ServerVerifier {
    signatures: AcceptAny,
    expected: Expected,
}

impl ServerCertVerifier for ServerVerifier {
    /// A mismatch is sent as the alert bad_certificate (RFC 8122 §6.2), which rustls uses for a wrong name.
    fn verify_server_cert(
        &self,
        first: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let fits = match &self.expected {
            Expected::Any => true,
            Expected::Named(roots) => {
                let algorithms = self.signatures.0.signature_verification_algorithms.all;
                let parsed = ParsedCertificate::try_from(first)?;
                verify_server_cert_signed_by_trust_anchor(&parsed, roots, others, now, algorithms)?;
                Names::of_der(first).contain(name)
            }
            Expected::Fingerprints(wanted) => wanted.iter().any(|one| fingerprint(first, one.hash) == *one),
        };
        if fits { Ok(ServerCertVerified::assertion()) } else { Err(CertificateError::NotValidForName.into()) }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.signatures.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.signatures.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Accepts every client certificate whose key the client has. Its fingerprint is compared when a session is bound.
#[derive(Debug, Clone)]
pub struct AcceptAny(
    /// The algorithms of signatures.
    pub Arc<CryptoProvider>,
);

impl ClientCertVerifier for AcceptAny {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    /// A certificate is requested (RFC 8122 §6.2); whether it is needed is known when a session is bound.
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{Identity, TlsSetup};
    use rustls::{AlertDescription, ClientConnection, ServerConnection};

    /// A server with a certificate for these names, and the trust in it.
    fn server(names: &[&str]) -> (TlsSetup, Identity, Trust) {
        let made = rcgen::generate_simple_self_signed(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let (made, folder) = (made.unwrap(), tempfile::tempdir().unwrap());
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let identity = Identity::load(&certificate, &key).unwrap();
        let trust = Trust::load(Some(&certificate)).unwrap();
        (TlsSetup::new(&identity, &trust).unwrap(), identity, trust)
    }

    /// Performs a handshake. Returns the error of the client, and the alert that the server received.
    fn handshake(
        client: Arc<ClientConfig>,
        name: &str,
        server: &TlsSetup,
    ) -> Result<(), (Error, Option<AlertDescription>)> {
        let mut client = ClientConnection::new(client, ServerName::try_from(name.to_owned()).unwrap()).unwrap();
        let mut server = ServerConnection::new(server.sip_server.clone()).unwrap();
        loop {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            server.read_tls(&mut &wire[..]).unwrap();
            server.process_new_packets().unwrap();
            if !client.is_handshaking() {
                return Ok(());
            }
            let mut wire = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            client.read_tls(&mut &wire[..]).unwrap();
            if let Err(error) = client.process_new_packets() {
                let mut wire = Vec::new();
                client.write_tls(&mut wire).unwrap();
                server.read_tls(&mut &wire[..]).unwrap();
                let told = match server.process_new_packets() {
                    Err(Error::AlertReceived(alert)) => Some(alert),
                    _ => None,
                };
                return Err((error, told));
            }
        }
    }

    fn alert(outcome: Result<(), (Error, Option<AlertDescription>)>) -> Option<AlertDescription> {
        outcome.unwrap_err().1
    }

    #[test]
    fn a_server_needs_its_name_from_a_trusted_authority() {
        let (good, _, trust) = server(&["chat.example.com", "192.0.2.7", "*.wild.example"]);
        let (other, _, _) = server(&["chat.example.com"]);
        let client = Arc::new(client_config(Some(&trust)).unwrap());
        for name in ["chat.example.com", "192.0.2.7"] {
            handshake(client.clone(), name, &good).unwrap();
        }
        for name in ["elsewhere.example", "a.wild.example", "192.0.2.8"] {
            let told = alert(handshake(client.clone(), name, &good));
            assert_eq!(told, Some(AlertDescription::BadCertificate), "{name}");
        }
        let (wrong, told) = handshake(client, "chat.example.com", &other).unwrap_err();
        assert!(matches!(wrong, Error::InvalidCertificate(_)) && told.is_some(), "unknown authority: {wrong}");
        let any = Arc::new(client_config(None).unwrap());
        handshake(any, "elsewhere.example", &other).unwrap();
    }

    #[test]
    fn a_fingerprint_is_compared_in_place_of_the_name() {
        let (us, _, _) = server(&["us.example"]);
        let (good, identity, _) = server(&["chat.example.com"]);
        let (other, _, _) = server(&["chat.example.com"]);
        let client = us.client_for(&identity.fingerprints).unwrap();
        handshake(client.clone(), "elsewhere.example", &good).unwrap();
        let told = alert(handshake(client, "chat.example.com", &other));
        assert_eq!(told, Some(AlertDescription::BadCertificate));
    }
}
