//! A certificate for a server of the bench's own, which reads it at its start.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::subject::ports::free_port;

/// A certificate and its key in a folder of their own, which nobody else may look into. It goes with this value.
pub struct Certificate {
    folder: PathBuf,
}

impl Certificate {
    /// Makes one; there is one at a time.
    ///
    /// # Errors
    /// Returns an error if a file cannot be written.
    pub fn new() -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("parlor-bench-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&folder)?;
        let made = Self { folder };
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).map_err(io::Error::other)?;
        std::fs::write(made.folder.join("cert.pem"), cert.pem())?;
        std::fs::write(made.folder.join("key.pem"), signing_key.serialize_pem())?;
        Ok(made)
    }

    /// What a config says of it, within its table `[msrp]`.
    ///
    /// # Errors
    /// Returns an error if there is no free port.
    pub fn config(&self) -> io::Result<String> {
        let (certificate, key) = (self.folder.join("cert.pem"), self.folder.join("key.pem"));
        Ok(format!("tls_port = {}\n[tls]\ncertificate = {certificate:?}\nprivate_key = {key:?}\n", free_port()?))
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
