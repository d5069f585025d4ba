//! The API of another collector, as its client sees it: bounded in time and size, and every refusal a sentence.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use spanlint_collector::access::Token;
use spanlint_collector::api::wire::{ReadingsBody, TraceBody, Version};
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

/// The client of one collector.
#[derive(Debug)]
pub(crate) struct Remote {
    client: Client,
    base: Url,
    /// Who answered last.
    version: Mutex<Option<Version>>,
}

#[derive(Debug, Deserialize)]
struct RefusedBody {
    error: String,
}

impl Remote {
    /// The client for `url`, with or without `http://`, that shows `token`. Nothing is asked yet.
    pub(crate) fn new(url: &str, token: Option<&Token>) -> anyhow::Result<Self> {
        let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let base: Url = full.parse().map_err(|error| anyhow!("{url} is no address of an API: {error}"))?;
        if base.scheme() != "http" {
            bail!("{url}: spanlint speaks plain HTTP to its API; forward the port of another machine to this one");
        }
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let mut value = HeaderValue::try_from(token.authorization()).context("the token fits into no header")?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let builder = Client::builder().default_headers(headers).no_proxy().redirect(reqwest::redirect::Policy::none());
        let client = builder.connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT).build()?;
        Ok(Self { client, base, version: Mutex::default() })
    }

    /// Asks who is there; fails where its snapshots cannot be read here.
    pub(crate) async fn check_version(&self) -> anyhow::Result<()> {
        let version: Version = self.json("/api/v1/version").await.context("this is not the API of a spanlint")?;
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
        let response = self.send(&format!("/api/v1/snapshot{window}{at}")).await?;
        if response.status() == StatusCode::NOT_FOUND {
            let body: RefusedBody = serde_json::from_slice(&self.bytes(response).await?)?;
            return Ok(Err(scrub(&body.error).into_owned()));
        }
        Ok(Ok(self.bytes(self.accepted(response).await?).await?))
    }

    /// What its services measure of themselves.
    pub(crate) async fn readings(&self) -> anyhow::Result<Vec<ServiceReadings>> {
        let body: ReadingsBody = self.json("/api/v1/measurements").await?;
        Ok(body.try_into()?)
    }

    /// A trace; none where it is not kept any more.
    pub(crate) async fn trace(&self, id: TraceId) -> anyhow::Result<Option<Waterfall>> {
        let response = self.send(&format!("/api/v1/traces/{id}")).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let body: TraceBody = serde_json::from_slice(&self.bytes(self.accepted(response).await?).await?)?;
        Ok(Some(body.try_into()?))
    }

    async fn json<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let bytes = self.bytes(self.get(path).await?).await?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} answers {path} in a way of its own", self.base))
    }

    async fn get(&self, path: &str) -> anyhow::Result<Response> {
        self.accepted(self.send(path).await?).await
    }

    async fn send(&self, path: &str) -> anyhow::Result<Response> {
        let url = self.base.join(path).expect("our own paths can be joined to an address");
        let answer = self.client.get(url).send().await;
        answer.map_err(|error| {
            anyhow!("{} does not answer{}", self.base, if error.is_timeout() { " in time" } else { "" })
        })
    }

    /// An answer that is no refusal; a refusal's own sentence else.
    async fn accepted(&self, response: Response) -> anyhow::Result<Response> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.bytes(response).await?;
        let reason = serde_json::from_slice(&body).map_or_else(|_| status.to_string(), |body: RefusedBody| body.error);
        bail!("{} refuses: {}", self.base, scrub(&reason));
    }

    async fn bytes(&self, mut response: Response) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| anyhow!("{} hung up", self.base))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_ANSWER_BYTES {
                bail!("{} answers with more than {MAX_ANSWER_BYTES} bytes", self.base);
            }
        }
        Ok(bytes)
    }
}
