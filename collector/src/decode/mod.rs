//! Wire formats, one file each: they show spans to a [`SpanVisitor`](spanlint_graph::SpanVisitor) and know nothing of
//! meaning.
//!
//! A decoder answers for the form of a request: what is malformed refuses the whole request, a span with wrong ids is
//! refused by name and its neighbours live. It does not scrub, mask or interpret; that is `spanlint_graph::semantics`.
//! When a decoder returns an error, what it showed until then counts for nothing.

mod composite;
mod ids;
pub mod jaeger_json;
mod json;
mod json_reader;
pub(crate) mod kept;
pub mod layouts;
pub mod otlp_json;
pub mod otlp_protobuf;
mod texts;
pub(crate) mod wire;
pub mod zipkin_json;

#[cfg(test)]
pub(crate) mod oracle;
#[cfg(test)]
pub(crate) mod recording;
#[cfg(test)]
mod records_tests;

/// What OpenTelemetry tells of a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
    /// Metrics.
    Metrics,
}

impl Signal {
    /// The word that messages use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
        }
    }
}

/// What a request held beside the spans that the visitor saw. Metrics that are not standard ones are only counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Decoded {
    /// How many log records it held.
    pub log_records: u64,
    /// How many metrics it held.
    pub metrics: u64,
    /// How many attributes and links were left out, and values cut, because they went over a bound.
    pub over_limit: u64,
    /// Whether at least one field said that this is the format it was read as; an empty message says nothing.
    pub is_recognized: bool,
}

impl Decoded {
    /// How many records of signals other than traces it held.
    pub fn other_records(&self) -> u64 {
        self.log_records + self.metrics
    }

    /// Counts what another request held into this one.
    pub fn add(&mut self, other: Self) {
        self.log_records += other.log_records;
        self.metrics += other.metrics;
        self.over_limit += other.over_limit;
        self.is_recognized |= other.is_recognized;
    }
}

/// Why a request could not be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A length points behind the end of its message.
    #[error("the protobuf message ends in the middle of a field")]
    Truncated,
    /// More than ten bytes, or more than 64 bits.
    #[error("a protobuf number is longer than 64 bits")]
    Varint,
    /// Field number or wire type that does not exist.
    #[error("a protobuf field has the impossible key {key}")]
    Key {
        /// The key as sent: field number and wire type.
        key: u64,
    },
    /// A known field of another type.
    #[error("protobuf field {field} has the wrong wire type")]
    WireType {
        /// The number of the field.
        field: u32,
    },
    /// Text that is not text.
    #[error("protobuf field {field} is not UTF-8")]
    Utf8 {
        /// The number of the field.
        field: u32,
    },
    /// A group that ends without having begun, or the reverse.
    #[error("a protobuf group is not closed where it was opened")]
    Group,
    /// More than [`crate::limits::MAX_PROTOBUF_DEPTH`] messages in each other.
    #[error("messages are nested more than {limit} deep")]
    Depth {
        /// The bound.
        limit: u32,
    },
    /// Zipkin's first format, which has no kinds, only annotations.
    #[error(
        "this is Zipkin v1, which spanlint does not read: send spans to /api/v2/spans, or export them from \
         /api/v2/trace/ID or /api/v2/traces"
    )]
    ZipkinV1,
    /// What the JSON parser says.
    #[error("{message} at line {line} column {column}")]
    Json {
        /// What is wrong.
        message: String,
        /// The line of the request, from 1.
        line: usize,
        /// The column in bytes, from 1.
        column: usize,
        /// Whether the input ended too early.
        is_end: bool,
    },
}

impl DecodeError {
    /// Whether the input ended too early: more of it could make it whole.
    pub fn is_end_of_input(&self) -> bool {
        matches!(self, Self::Truncated | Self::Json { is_end: true, .. })
    }
}

impl From<serde_json::Error> for DecodeError {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let message = error.to_string();
        let place = format!(" at line {line} column {column}");
        let message = message.strip_suffix(&place).map_or(message.clone(), str::to_owned);
        Self::Json { message, line, column, is_end: error.is_eof() }
    }
}
