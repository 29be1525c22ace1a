//! The server's certificate and key, from PEM files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

use super::names::Names;
use parlor_proto::sdp::{Fingerprint, HashFunction};

/// A certificate chain with its key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The chain and the key, for rustls.
    pub key: Arc<CertifiedKey>,
    /// The values for `a=fingerprint`: by SHA-256, and by the hash of the certificate's signature (RFC 8122 §5.1).
    pub fingerprints: Vec<Fingerprint>,
    /// The names and addresses in the certificate.
    pub names: Vec<String>,
    /// The beginning of its validity, in seconds since 1970.
    pub begins: i64,
    /// The end of its validity, in seconds since 1970.
    pub expires: i64,
}

/// Why a certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("{0} cannot be read: {1}")]
    Unreadable(PathBuf, io::Error),
    /// The file has no certificate.
    #[error("{0} has no certificate: expected a PEM file with -----BEGIN CERTIFICATE-----")]
    NoCertificate(PathBuf),
    /// The certificate is malformed.
    #[error("{0} has a malformed certificate")]
    BadCertificate(PathBuf),
    /// Its version is not supported by clients.
    #[error("the certificate in {0} has an old version: expected X.509 version 3, which has a subjectAltName")]
    OldCertificate(PathBuf),
    /// The file has no key.
    #[error("{0} has no private key: expected a PEM file with -----BEGIN PRIVATE KEY-----, not encrypted")]
    NoKey(PathBuf),
    /// The key belongs to another certificate.
    #[error("the key in {key} does not belong to the certificate in {certificate}")]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// The kind of the key is not supported.
    #[error("the key in {0} cannot be used: {1}")]
    BadKey(PathBuf, rustls::Error),
}

impl Identity {
    /// Reads a certificate chain and its private key.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read or used.
    pub fn load(certificate: &Path, private_key: &Path) -> Result<Self, IdentityError> {
        let read = |path: &Path| std::fs::read(path).map_err(|error| IdentityError::Unreadable(path.into(), error));
        Self::read(certificate, &read(certificate)?, private_key, &read(private_key)?)
    }

    fn read(at: &Path, certificate: &[u8], key_at: &Path, key: &[u8]) -> Result<Self, IdentityError> {
        let bad = |_| IdentityError::BadCertificate(at.into());
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>().map_err(bad)?;
        let first = chain.first().ok_or_else(|| IdentityError::NoCertificate(at.into()))?.clone();
        let key_der = PrivateKeyDer::from_pem_slice(key).map_err(|error: pem::Error| {
            tracing::debug!(%error, "malformed private key");
            IdentityError::NoKey(key_at.into())
        })?;
        let (_, parsed) = X509Certificate::from_der(&first).map_err(|_| IdentityError::BadCertificate(at.into()))?;
        let mut hashes = vec![HashFunction::Sha256];
        hashes.extend(signature_hash(&parsed).filter(|hash| *hash != HashFunction::Sha256));
        let names = Names::of(&parsed).to_strings();
        let (begins, expires) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
        if parsed.version() != X509Version::V3 {
            return Err(IdentityError::OldCertificate(at.into()));
        }
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = CertifiedKey::from_der(chain, key_der, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                IdentityError::Mismatch { certificate: at.into(), key: key_at.into() }
            }
            error => IdentityError::BadKey(key_at.into(), error),
        })?;
        let fingerprints = hashes.into_iter().map(|hash| fingerprint(&first, hash)).collect();
        Ok(Self { key: Arc::new(key), fingerprints, names, begins, expires })
    }
}

/// The hash of a certificate in DER form.
#[must_use]
pub fn fingerprint(certificate: &[u8], hash: HashFunction) -> Fingerprint {
    let algorithm = match hash {
        HashFunction::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        HashFunction::Sha224 => &digest::SHA224,
        HashFunction::Sha256 => &digest::SHA256,
        HashFunction::Sha384 => &digest::SHA384,
        HashFunction::Sha512 => &digest::SHA512,
    };
    Fingerprint { hash, value: digest::digest(algorithm, certificate).as_ref().into() }
}

/// The hash function of a certificate's signature (RFC 3279, RFC 5758).
fn signature_hash(certificate: &X509Certificate<'_>) -> Option<HashFunction> {
    Some(match certificate.signature_algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" => HashFunction::Sha1,
        "1.2.840.113549.1.1.14" | "1.2.840.10045.4.3.1" => HashFunction::Sha224,
        "1.2.840.113549.1.1.11" | "1.2.840.10045.4.3.2" => HashFunction::Sha256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => HashFunction::Sha384,
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => HashFunction::Sha512,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384};

    #[test]
    fn fingerprints_use_sha_256_and_the_hash_of_the_signature() {
        for (algorithm, hashes) in [
            (&PKCS_ECDSA_P256_SHA256, &[HashFunction::Sha256][..]),
            (&PKCS_ECDSA_P384_SHA384, &[HashFunction::Sha256, HashFunction::Sha384]),
        ] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let made = CertificateParams::new(["chat.example.com".to_owned()]).unwrap().self_signed(&key).unwrap();
            let at = Path::new("x.pem");
            let read = Identity::read(at, made.pem().as_bytes(), at, key.serialize_pem().as_bytes()).unwrap();
            assert_eq!(read.fingerprints.iter().map(|one| one.hash).collect::<Vec<_>>(), hashes);
            assert!(read.fingerprints.iter().all(|one| *one == fingerprint(made.der(), one.hash)));
            assert_eq!(read.names, ["chat.example.com"]);
        }
    }
}
