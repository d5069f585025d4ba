//! The API of another collector, as its client sees it: bounded in time and size, and every refusal a sentence.

use std::error::Error;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderValue};
use http::uri::{Parts, PathAndQuery};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use spanlint_collector::access::Token;
use spanlint_collector::api::wire::{ReadingsBody, TraceBody, Version};
use spanlint_collector::tls::{self, ClientFiles};
use spanlint_graph::measurement::ServiceReadings;
use spanlint_graph::text::scrub;
use spanlint_graph::{TraceId, View, Waterfall};

use crate::api::status::StatusBody;

/// The most bytes of one answer.
const MAX_ANSWER_BYTES: usize = 512 << 20;
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What is shown to a collector, and whom to believe to be it.
#[derive(Debug, Default)]
pub(crate) struct Access {
    pub(crate) token: Option<Token>,
    pub(crate) files: ClientFiles,
}

/// The client of one collector.
#[derive(Debug)]
pub(crate) struct Remote {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    base: Uri,
    authorization: Option<HeaderValue>,
    /// Who answered last.
    version: Mutex<Option<Version>>,
}

#[derive(Debug, Deserialize)]
struct RefusedBody {
    error: String,
}

impl Remote {
    /// The client for `url`, with or without `http://`, that shows what it has. Nothing is asked yet.
    pub(crate) fn new(url: &str, access: &Access) -> anyhow::Result<Self> {
        let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let base: Uri = full.parse().map_err(|error| anyhow!("{url} is no address of an API: {error}"))?;
        if base.host().is_none_or(str::is_empty) || !matches!(base.scheme_str(), Some("http" | "https")) {
            bail!("{url} is no address of an API: it begins with http:// or https://, then comes a host");
        }
        let authorization = access.token.as_ref().map(|token| {
            let mut value = HeaderValue::try_from(token.authorization()).context("the token fits into no header")?;
            value.set_sensitive(true);
            anyhow::Ok(value)
        });
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls::client(&access.files)?);
        let connector = connector.https_or_http().enable_http1().wrap_connector(http);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, base, authorization: authorization.transpose()?, version: Mutex::default() })
    }

    /// Asks who is there; fails where its snapshots cannot be read here.
    pub(crate) async fn check_version(&self) -> anyhow::Result<()> {
        let path = "/api/v1/version";
        let answer = self.send(path).await.map_err(|error| anyhow!("{error}; is a spanlint running there?"))?;
        if answer.status == StatusCode::UNAUTHORIZED {
            bail!("{} wants its token: name its file with --token-file, or set SPANLINT_TOKEN", self.base);
        }
        let version: anyhow::Result<Version> = self.accepted(answer).and_then(|body| self.parsed(path, &body));
        let version =
            version.context("this is not the API of a spanlint, which is on port 4319 unless --api says otherwise")?;
        let own = Version::own();
        if version.snapshot_format != own.snapshot_format || version.schema_version != own.schema_version {
            let (theirs, ours) = (scrub(&version.version).into_owned(), own.version);
            bail!("spanlint {theirs} is there, which this spanlint {ours} cannot read: use the same version");
        }
        *self.version.lock().expect("no thread panics with the version") = Some(version);
        Ok(())
    }

    /// What the user must know where the other side is readable, and yet another version.
    pub(crate) fn other_version(&self) -> Option<String> {
        let version = self.version.lock().expect("no thread panics with the version");
        let theirs = &version.as_ref()?.version;
        let ours = env!("CARGO_PKG_VERSION");
        let sentence = || format!("attached to spanlint {}, this is {ours}: findings may differ", scrub(theirs));
        (theirs != ours).then(sentence)
    }

    /// The state of the collector.
    pub(crate) async fn status(&self) -> anyhow::Result<StatusBody> {
        self.json("/api/v1/status").await
    }

    /// The facts of a view, else of what it shows, as the bytes of a `.graph` file; a sentence where the view is not
    /// kept there.
    pub(crate) async fn snapshot(&self, view: Option<View>) -> anyhow::Result<Result<Vec<u8>, String>> {
        let window = view.map(|view| format!("?window={}", view.window)).unwrap_or_default();
        let until = view.and_then(|view| view.until_ns).and_then(|ns| Timestamp::from_nanosecond(ns.into()).ok());
        let at = until.map(|until| format!("&at={until}")).unwrap_or_default();
        let answer = self.send(&format!("/api/v1/snapshot{window}{at}")).await?;
        if answer.status == StatusCode::NOT_FOUND {
            let body: RefusedBody = serde_json::from_slice(&answer.body)?;
            return Ok(Err(scrub(&body.error).into_owned()));
        }
        Ok(Ok(self.accepted(answer)?.to_vec()))
    }

    /// What its services measure of themselves.
    pub(crate) async fn readings(&self) -> anyhow::Result<Vec<ServiceReadings>> {
        let body: ReadingsBody = self.json("/api/v1/measurements").await?;
        Ok(body.try_into()?)
    }

    /// A trace; none where it is not kept any more.
    pub(crate) async fn trace(&self, id: TraceId) -> anyhow::Result<Option<Waterfall>> {
        let answer = self.send(&format!("/api/v1/traces/{id}")).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let body: TraceBody = serde_json::from_slice(&self.accepted(answer)?)?;
        Ok(Some(body.try_into()?))
    }

    async fn json<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.parsed(path, &self.accepted(self.send(path).await?)?)
    }

    fn parsed<T: DeserializeOwned>(&self, path: &str, body: &[u8]) -> anyhow::Result<T> {
        serde_json::from_slice(body).with_context(|| format!("{} answers {path} in a way of its own", self.base))
    }

    async fn send(&self, path: &str) -> anyhow::Result<Answer> {
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(path)).await;
        answer.map_err(|_| anyhow!("{} does not answer in time", self.base))?
    }

    async fn exchange(&self, path: &str) -> anyhow::Result<Answer> {
        let mut parts = Parts::from(self.base.clone());
        parts.path_and_query = Some(path.parse::<PathAndQuery>().expect("our own paths are paths"));
        let mut request = Request::get(Uri::from_parts(parts).expect("the base is whole"));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let request = request.body(Empty::new()).expect("an address and headers make a request");
        let answer = self.client.request(request).await;
        let answer = answer.map_err(|error| {
            let cause = first_cause(&error);
            // Whoever shows no certificate where one is wanted is hung up on, often before the reason arrives.
            let is_refused = !error.is_connect() && self.base.scheme_str() == Some("https");
            let hint = if is_refused { " (it may want another certificate)" } else { "" };
            anyhow!("{} does not answer: {cause}{hint}", self.base)
        })?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                anyhow!("{} answers with more than {MAX_ANSWER_BYTES} bytes", self.base)
            } else {
                anyhow!("{} hung up", self.base)
            }
        });
        Ok(Answer { status: head.status, body: body?.to_bytes() })
    }

    /// An answer that is no refusal; a refusal's own sentence else.
    fn accepted(&self, Answer { status, body }: Answer) -> anyhow::Result<Bytes> {
        if status.is_success() {
            return Ok(body);
        }
        let reason = serde_json::from_slice(&body).map_or_else(|_| status.to_string(), |body: RefusedBody| body.error);
        bail!("{} refuses: {}", self.base, scrub(&reason));
    }
}

/// A whole answer.
struct Answer {
    status: StatusCode,
    body: Bytes,
}

/// What it all began with: the layers above say only that something failed.
fn first_cause<'e>(error: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    std::iter::successors(Some(error), |&error| error.source()).last().expect("an error causes itself")
}
