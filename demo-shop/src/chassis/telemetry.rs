//! Traces: one provider per service instance, spans, and the context that travels with calls and messages.
//!
//! This is the only module that knows OpenTelemetry's types beyond attributes. It does not decide what is worth a span:
//! `server`, `client`, `database` and `bus` do.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use opentelemetry::trace::{
    FutureExt, SpanBuilder, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
    TracerProvider,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, SpanData, SpanExporter,
};
use tokio::runtime::Handle;
use tokio_util::context::TokioContext;

use super::client::local_client;

pub(crate) use opentelemetry::trace::SpanKind;

/// The header that carries the context, over HTTP and in messages alike.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// How long finished spans wait for company: short, so that the dashboard feels live.
const EXPORT_DELAY: Duration = Duration::from_millis(200);
/// Spans of one instance that may wait; a receiver that is away longer than this loses the newest.
const EXPORT_QUEUE: usize = 16_384;
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// How spans travel to the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OtlpProtocol {
    /// OTLP over gRPC.
    #[default]
    Grpc,
    /// OTLP over HTTP with protobuf bodies.
    HttpProtobuf,
}

/// Where spans go.
#[derive(Debug, Clone)]
pub(crate) enum Export {
    Otlp {
        endpoint: String,
        protocol: OtlpProtocol,
    },
    #[cfg(test)]
    Recorder(super::testing::Recorder),
}

/// Who sends the spans.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) name: &'static str,
    pub(crate) owner: &'static str,
    pub(crate) version: &'static str,
    /// Counts the instances of one service from 1.
    pub(crate) instance: usize,
}

/// An exporter that could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("spans cannot be sent to `{endpoint}`")]
pub(crate) struct ExportError {
    endpoint: String,
    #[source]
    cause: opentelemetry_otlp::ExporterBuildError,
}

/// Builds the provider of one service instance.
pub(crate) fn provider(identity: Identity, export: &Export) -> Result<SdkTracerProvider, ExportError> {
    // Whatever the environment says: a sampled shop would not be the same shop on every run.
    let builder = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn).with_resource(resource(identity));
    let builder = match export {
        Export::Otlp { endpoint, protocol } => {
            let exporter = otlp_exporter(endpoint, *protocol)
                .map_err(|cause| ExportError { endpoint: endpoint.clone(), cause })?;
            builder.with_span_processor(batches(OnRuntime { exporter, runtime: Handle::current() }))
        }
        #[cfg(test)]
        Export::Recorder(recorder) => builder.with_span_processor(batches(recorder.exporter(identity.name))),
    };
    Ok(builder.build())
}

fn batches<E: SpanExporter + 'static>(exporter: E) -> BatchSpanProcessor {
    let config = BatchConfigBuilder::default()
        .with_scheduled_delay(EXPORT_DELAY)
        .with_max_queue_size(EXPORT_QUEUE)
        .with_max_export_batch_size(512)
        .build();
    BatchSpanProcessor::builder(exporter).with_batch_config(config).build()
}

fn otlp_exporter(
    endpoint: &str,
    protocol: OtlpProtocol,
) -> Result<opentelemetry_otlp::SpanExporter, opentelemetry_otlp::ExporterBuildError> {
    let builder = opentelemetry_otlp::SpanExporter::builder();
    match protocol {
        OtlpProtocol::Grpc => builder.with_tonic().with_endpoint(endpoint).with_timeout(EXPORT_TIMEOUT).build(),
        OtlpProtocol::HttpProtobuf => {
            let endpoint = format!("{}/v1/traces", endpoint.trim_end_matches('/').trim_end_matches("/v1/traces"));
            let client = local_client(EXPORT_TIMEOUT);
            let builder = builder.with_http().with_http_client(client).with_protocol(Protocol::HttpBinary);
            builder.with_endpoint(endpoint).with_timeout(EXPORT_TIMEOUT).build()
        }
    }
}

/// The environment's resource variables are left alone: they describe whoever started the shop, not its services.
fn resource(identity: Identity) -> Resource {
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes([
            KeyValue::new("service.name", identity.name),
            KeyValue::new("service.namespace", "shop"),
            KeyValue::new("service.version", identity.version),
            KeyValue::new("service.instance.id", format!("{}-{}", identity.name, identity.instance)),
            KeyValue::new("service.owner", identity.owner),
            KeyValue::new("deployment.environment.name", "demo"),
            // One machine, whatever its name is today: files of one path on it are the same file.
            KeyValue::new("host.name", "shop-host"),
        ])
        .build()
}

/// The SDK exports from a thread of its own, where sockets of the asynchronous clients would find no reactor.
struct OnRuntime {
    exporter: opentelemetry_otlp::SpanExporter,
    runtime: Handle,
}

impl fmt::Debug for OnRuntime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.exporter.fmt(formatter)
    }
}

impl SpanExporter for OnRuntime {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        TokioContext::new(self.exporter.export(batch), self.runtime.clone())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Starts the spans of one service.
#[derive(Debug, Clone)]
pub(crate) struct Telemetry {
    tracer: SdkTracer,
}

impl Telemetry {
    pub(crate) fn new(provider: &SdkTracerProvider) -> Self {
        Self { tracer: provider.tracer("spanlint-demo-shop") }
    }

    /// A span under the one that is active here.
    pub(crate) fn child(&self, kind: SpanKind, name: impl Into<Cow<'static, str>>) -> ActiveSpan {
        self.start(SpanBuilder::from_name(name).with_kind(kind), &Context::current())
    }

    /// A span that starts a trace of its own.
    pub(crate) fn root(&self, kind: SpanKind, name: impl Into<Cow<'static, str>>) -> ActiveSpan {
        self.start(SpanBuilder::from_name(name).with_kind(kind), &Context::new())
    }

    /// A span under one of another process, or a root if its context did not arrive.
    pub(crate) fn remote_child(
        &self,
        kind: SpanKind,
        name: impl Into<Cow<'static, str>>,
        traceparent: Option<&str>,
    ) -> ActiveSpan {
        let parent = traceparent.and_then(parse);
        let parent = parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        self.start(SpanBuilder::from_name(name).with_kind(kind), &parent)
    }

    fn start(&self, builder: SpanBuilder, parent: &Context) -> ActiveSpan {
        let span = self.tracer.build_with_context(builder, parent);
        ActiveSpan { context: parent.with_span(span) }
    }
}

/// A span that ends when this is dropped.
#[derive(Debug)]
pub(crate) struct ActiveSpan {
    context: Context,
}

impl ActiveSpan {
    pub(crate) fn set(&self, key: &'static str, value: impl Into<Value>) {
        self.context.span().set_attribute(KeyValue::new(key, value));
    }

    /// Marks the span as failed; the description stays empty because it could repeat what a customer typed.
    pub(crate) fn fail(&self, error_type: impl Into<Cow<'static, str>>) {
        self.set("error.type", error_type.into());
        self.context.span().set_status(Status::error(""));
    }

    /// Points to the span that caused this one without being its parent.
    pub(crate) fn link(&self, traceparent: &str) {
        if let Some(linked) = parse(traceparent) {
            self.context.span().add_link(linked, Vec::new());
        }
    }

    /// Runs a future with this span active.
    pub(crate) async fn run<F: Future>(&self, future: F) -> F::Output {
        future.with_context(self.context.clone()).await
    }

    /// This span as a header value for whoever is called.
    pub(crate) fn traceparent(&self) -> String {
        format(self.context.span().span_context())
    }
}

impl Drop for ActiveSpan {
    fn drop(&mut self) {
        self.context.span().end();
    }
}

/// The span that is active here, as a header value.
pub(crate) fn current_traceparent() -> String {
    format(Context::current().span().span_context())
}

fn format(context: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags().to_u8())
}

fn parse(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if version.len() != 2 || trace.len() != 32 || span.len() != 16 || flags.len() != 2 {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        true,
        TraceState::NONE,
    );
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_read_back_as_it_was_written() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(format(&parse(text).unwrap()), text);
    }

    #[test]
    fn a_broken_context_is_none() {
        for text in ["", "00", "00-0af7-b7ad-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "é-é-é-é"]
        {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
