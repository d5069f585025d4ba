//! A collector that speaks TLS, on real ports, with an authority of its own.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::*;
use crate::access::Token;
use crate::{Collector, CollectorConfig};

/// An authority, and the files that it has certified.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, contents).unwrap();
        path
    }

    /// A certificate for localhost and its key.
    fn certify(&self, usage: ExtendedKeyUsagePurpose) -> (String, KeyPair) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key)
    }

    fn server(&self) -> TlsFiles {
        let (certificate, key) = self.certify(ExtendedKeyUsagePurpose::ServerAuth);
        TlsFiles {
            certificate: self.file("server.pem", &certificate),
            key: self.file("server-key.pem", &key.serialize_pem()),
            client_authority: Some(self.file("authority.pem", &self.issuer.pem())),
        }
    }

    /// A client that trusts this authority, with a certificate of `other`, if any.
    fn client(&self, other: Option<&Self>) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let config = match other {
            None => builder.with_no_client_auth(),
            Some(other) => {
                let (certificate, key) = other.certify(ExtendedKeyUsagePurpose::ClientAuth);
                let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>().unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        Arc::new(config).into()
    }
}

/// Sends an empty request; answers everything that comes back.
async fn send(mut stream: impl AsyncRead + AsyncWrite + Unpin, token: &str) -> Result<String, std::io::Error> {
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\
         authorization: Bearer {token}\r\nconnection: close\r\n\r\n{{}}"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn only_clients_that_the_authority_certified_are_let_in() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let tls = Tls::load(&authority.server()).unwrap();
    assert!(tls.is_mutual());
    let token = Token::new("0123456789abcdef").unwrap();
    let config = CollectorConfig { tls: Some(tls), token: Some(token), ..CollectorConfig::private() };
    let collector = Collector::start(config).await.unwrap();
    let address = collector.addresses().otlp_http.unwrap();
    let ask = async |connector: TlsConnector, token: &str| {
        let name = ServerName::try_from("localhost").unwrap();
        send(connector.connect(name, TcpStream::connect(address).await.unwrap()).await?, token).await
    };
    let answer = ask(authority.client(Some(&authority)), "0123456789abcdef").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let answer = ask(authority.client(Some(&authority)), "wrong").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    ask(authority.client(None), "0123456789abcdef").await.unwrap_err();
    ask(authority.client(Some(&stranger)), "0123456789abcdef").await.unwrap_err();
    let answer = send(TcpStream::connect(address).await.unwrap(), "").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("https://"), "{answer}");
    assert_eq!(collector.counters().unauthorized_requests.get(), 1);
    collector.finish().await;
}

#[test]
fn files_that_do_not_fit_are_named() {
    let authority = Authority::new();
    let good = authority.server();
    let check = |files: TlsFiles, words: &[&str]| {
        let error = Tls::load(&files).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    check(TlsFiles { key: "missing".into(), ..good.clone() }, &["missing: cannot be read"]);
    let empty = authority.file("empty.pem", "nothing");
    check(TlsFiles { key: empty.clone(), ..good.clone() }, &["empty.pem: has no private key"]);
    check(TlsFiles { certificate: empty.clone(), ..good.clone() }, &["empty.pem: has no certificate"]);
    check(TlsFiles { client_authority: Some(empty), ..good.clone() }, &["empty.pem: has no certificate"]);
    let other = authority.file("other.pem", &KeyPair::generate().unwrap().serialize_pem());
    check(TlsFiles { key: other, ..good }, &["the certificate cannot be used"]);
}
