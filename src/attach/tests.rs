//! A dashboard's source attached to real collectors, and to what only looks like one.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::response::Json;
use axum::routing::get;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use spanlint_collector::access::Token;
use spanlint_collector::api::wire::Version;
use spanlint_collector::assemble::Settle;
use spanlint_collector::live::LiveSettings;
use spanlint_collector::tls::{ClientFiles, Tls, TlsFiles};
use spanlint_collector::{Collector, CollectorConfig};

use super::*;
use crate::service::Service;

const SPAN: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeSpans":[{"spans":[{"traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0001020304050607","name":"GET /","kind":2,"startTimeUnixNano":"1000","endTimeUnixNano":"2000"}]}]}]}"#;
const TRACE: TraceId = TraceId(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f);

/// A collector whose API is at `api`, and whose traces settle at once.
async fn start(api: SocketAddr) -> Service {
    let settle = Settle::Quiet { complete: Duration::ZERO, incomplete: Duration::ZERO };
    let live = LiveSettings { settle, ..LiveSettings::default() };
    let config = CollectorConfig { api: Some(api), live, ..CollectorConfig::private() };
    Service::start(Collector::start(config).await.unwrap(), Judge::default(), None)
}

async fn send(service: &Service) {
    let url = format!("http://{}/v1/traces", service.collector.addresses().otlp_http.unwrap());
    let request = reqwest::Client::new().post(url).header("content-type", "application/json");
    assert_eq!(request.body(SPAN).send().await.unwrap().status(), 200);
}

fn free() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_is_the_collectors_and_stays_when_it_goes() {
    let service = start(free()).await;
    let api = service.collector.addresses().api.unwrap();
    let attached = Attached::connect(&api.to_string(), &Access::default(), None, Judge::default()).await.unwrap();
    let mut pictures = attached.live();
    send(&service).await;
    let shown = pictures.wait_for(|live| !live.graph.nodes.is_empty()).await.unwrap().clone();
    let own = service.session.live().borrow().clone();
    assert_eq!(shown.graph, own.graph);
    assert_eq!((&shown.status.endpoints, shown.status.spans), (&own.status.endpoints, 1));
    assert_eq!(shown.status.notice, None);
    let source = Arc::clone(&attached);
    let fetch = move |id| (source.trace(id), source.trace(TraceId(1)));
    let (trace, none) = tokio::task::spawn_blocking(move || fetch(TRACE)).await.unwrap();
    assert_eq!(trace, service.collector.trace(TRACE).await);
    assert_eq!((trace.unwrap().rows.len(), none), (1, None));

    service.collector.finish().await;
    let last = pictures.wait_for(|live| live.status.notice.is_some()).await.unwrap().clone();
    let notice = last.status.notice.as_ref().unwrap();
    assert!(notice.contains("last picture") && notice.contains(&api.to_string()), "{notice}");
    assert_eq!(last.graph, shown.graph);

    let again = start(api).await;
    let fresh = pictures.wait_for(|live| live.status.notice.is_none()).await.unwrap().clone();
    assert!(fresh.graph.nodes.is_empty());
    again.collector.finish().await;
}

async fn refused(url: &str) -> String {
    crate::failure::message(&Attached::connect(url, &Access::default(), None, Judge::default()).await.unwrap_err())
}

#[tokio::test]
async fn who_is_not_there_or_no_spanlint_is_told_so() {
    let gone = tokio::net::TcpListener::bind(free()).await.unwrap().local_addr().unwrap();
    let message = refused(&format!("http://{gone}")).await;
    assert!(message.contains(&gone.to_string()) && message.contains("does not answer"), "{message}");
    assert!(message.ends_with("is a spanlint running there?") && !message.contains("not the API"), "{message}");
    assert!(refused("ftp://localhost:1").await.contains("http:// or https://"));
    assert!(refused("http://:x").await.contains("no address"));
    let service = start(free()).await;
    let otlp = service.collector.addresses().otlp_http.unwrap();
    let message = refused(&otlp.to_string()).await;
    assert!(message.contains("not the API of a spanlint"), "{message}");
    service.collector.finish().await;
}

/// Certificate and key of who is called localhost, certified by `issuer`, as files in `folder`.
fn certify(
    folder: &Path,
    issuer: &CertifiedIssuer<'_, KeyPair>,
    usage: &ExtendedKeyUsagePurpose,
) -> (PathBuf, PathBuf) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.extended_key_usages = vec![usage.clone()];
    let key = KeyPair::generate().unwrap();
    let file = |kind: &str, text: &str| {
        let path = folder.join(format!("{usage:?}-{kind}.pem"));
        std::fs::write(&path, text).unwrap();
        path
    };
    (file("certificate", &params.signed_by(&key, issuer).unwrap().pem()), file("key", &key.serialize_pem()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_speaks_tls_is_asked_by_whom_it_knows() {
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let authority = folder.path().join("authority.pem");
    std::fs::write(&authority, issuer.pem()).unwrap();
    let (certificate, key) = certify(folder.path(), &issuer, &ExtendedKeyUsagePurpose::ServerAuth);
    let tls = Tls::load(&TlsFiles { certificate, key, client_authority: Some(authority.clone()) }).unwrap();
    let token = Token::new("0123456789abcdef").unwrap();
    let config =
        CollectorConfig { api: Some(free()), tls: Some(tls), token: Some(token.clone()), ..CollectorConfig::private() };
    let service = Service::start(Collector::start(config).await.unwrap(), Judge::default(), None);
    let url = format!("https://localhost:{}", service.collector.addresses().api.unwrap().port());
    let identity = certify(folder.path(), &issuer, &ExtendedKeyUsagePurpose::ClientAuth);
    let known = ClientFiles { authority: Some(authority), identity: Some(identity) };
    let attach = async |token: Option<&Token>, files: &ClientFiles| {
        let access = Access { token: token.cloned(), files: files.clone() };
        let attached = Attached::connect(&url, &access, None, Judge::default()).await;
        attached.map(|_| ()).map_err(|error| crate::failure::message(&error))
    };
    assert_eq!(attach(Some(&token), &known).await, Ok(()));
    let check = |refused: Result<(), String>, words: &[&str]| {
        let sentence = refused.unwrap_err();
        assert!(words.iter().all(|word| sentence.contains(word)), "{sentence}");
    };
    check(attach(None, &known).await, &["token"]);
    check(
        attach(Some(&token), &ClientFiles { identity: None, ..known.clone() }).await,
        &["does not answer", "ertificate"],
    );
    check(attach(Some(&token), &ClientFiles { authority: None, ..known }).await, &["does not answer", "UnknownIssuer"]);
    service.collector.finish().await;
}

/// The address of something that says to be of this version.
async fn impostor(version: Version) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind(free()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/api/v1/version", get(|| async { Json(version) }));
    tokio::spawn(async { axum::serve(listener, router).await });
    address
}

#[tokio::test]
async fn another_version_is_named() {
    let other = Version { version: "9.9.9".to_owned(), snapshot_format: 99, ..Version::own() };
    let message = refused(&impostor(other).await.to_string()).await;
    assert!(message.contains("9.9.9") && message.contains("use the same version"), "{message}");
    let newer = Version { version: "9.9.9".to_owned(), ..Version::own() };
    let remote = Remote::new(&impostor(newer).await.to_string(), &Access::default()).unwrap();
    remote.check_version().await.unwrap();
    assert!(remote.other_version().unwrap().contains("9.9.9"));
}
