//! TLS for every listener: the server's certificate, and the authority that clients must be certified by, if any. And
//! for whoever asks another collector.
//!
//! Certificates and keys are PEM files. Nothing is fetched and nothing is reloaded; a new certificate needs a restart.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};

/// The files.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate of this collector, followed by those between it and its authority.
    pub certificate: PathBuf,
    /// The key of the certificate.
    pub key: PathBuf,
    /// The authority that certifies clients; without one, any client may connect.
    pub client_authority: Option<PathBuf>,
}

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or has not what it should have.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key do not go together.
    #[error("the certificate cannot be used: {0}")]
    Certificate(#[from] rustls::Error),
    /// The authority cannot be used.
    #[error("the authority of clients cannot be used: {0}")]
    Authority(#[from] VerifierBuilderError),
}

/// What connections are secured with.
#[derive(Clone)]
pub struct Tls {
    pub(crate) acceptor: TlsAcceptor,
    is_mutual: bool,
}

impl Tls {
    /// Reads the files.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let builder = match &files.client_authority {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(authorities(path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build()?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(certificates(&files.certificate)?, private_key(&files.key)?)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: Arc::new(config).into(), is_mutual: files.client_authority.is_some() })
    }
}

impl Tls {
    /// Whether clients show a certificate, too.
    pub fn is_mutual(&self) -> bool {
        self.is_mutual
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Tls(…)")
    }
}

/// The files of a client.
#[derive(Debug, Clone, Default)]
pub struct ClientFiles {
    /// The authority that certifies servers; without one, those that the system trusts.
    pub authority: Option<PathBuf>,
    /// The certificate to show and its key; without them, none is shown.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// How a client secures its connections.
///
/// # Errors
///
/// When a file cannot be used.
pub fn client(files: &ClientFiles) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let roots = files.authority.as_deref().map_or_else(|| Ok(system_authorities()), authorities)?;
    let builder = builder.with_safe_default_protocol_versions()?.with_root_certificates(roots);
    Ok(match &files.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder.with_client_auth_cert(certificates(certificate)?, private_key(key)?)?,
    })
}

/// Whom the system trusts: nobody, where it does not tell.
fn system_authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| file_error(path, error.to_string()))?;
    }
    Ok(roots)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| pem_error(path, "private key", error))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found: Vec<_> = found.map_err(|error| pem_error(path, "certificate", error))?;
    if found.is_empty() {
        return Err(file_error(path, "has no certificate in PEM"));
    }
    Ok(found)
}

fn pem_error(path: &Path, wanted: &str, error: pem::Error) -> TlsError {
    match error {
        pem::Error::NoItemsFound => file_error(path, format!("has no {wanted} in PEM")),
        pem::Error::Io(error) => file_error(path, format!("cannot be read: {error}")),
        other => file_error(path, format!("has no readable {wanted}: {other}")),
    }
}

fn file_error(path: &Path, reason: impl Into<String>) -> TlsError {
    TlsError::File { path: path.to_owned(), reason: reason.into() }
}

#[cfg(test)]
mod tests;
