//! Certificates made here, and a TLS client that believes everybody.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use parlor::tls::{Identity, client_config};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::participant::PATIENCE;
use super::{Server, one_shard};

/// A certificate of its own in a folder.
pub fn certify(folder: &Path) -> Identity {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    Identity::load(&folder.join("cert.pem"), &folder.join("key.pem")).unwrap()
}

/// A certificate of its own in a folder, of which the time is over.
pub fn certify_in_the_past(folder: &Path) -> Identity {
    let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(folder.join("cert.pem"), parameters.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    Identity::load(&folder.join("cert.pem"), &folder.join("key.pem")).unwrap()
}

/// A config for a shell with TLS for MSRP, and SIP over TCP and something else. More may follow of the table `[shards]`.
pub fn config(shell: &str, folder: &Path, listen: &str) -> String {
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    format!(
        "[sip]\nlisten = [\"tcp:127.0.0.1:0\", \"{listen}\"]\n[msrp]\nport = 0\ntls_port = {}\n\
         [tls]\ncertificate = {certificate:?}\nprivate_key = {key:?}\n{}io = {shell:?}\n",
        Server::free_port(),
        one_shard()
    )
}

pub type Tls = StreamOwned<ClientConnection, TcpStream>;

pub fn connect(address: &str, config: ClientConfig) -> Tls {
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(connection, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    stream
}

/// Believes everybody, and shows the certificate in `folder`, if there is one.
pub fn client(folder: Option<&Path>) -> ClientConfig {
    let mut config = client_config(None).unwrap();
    if let Some(folder) = folder {
        let chain = CertificateDer::pem_file_iter(folder.join("cert.pem")).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = CertifiedKey::from_der(chain, key, &provider).unwrap();
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(key));
    }
    config
}

pub fn secure(offer: &str, attributes: &str) -> String {
    offer.replace("TCP/MSRP", "TCP/TLS/MSRP").replace("a=path:msrp:", "a=path:msrps:") + attributes
}
