//! Log lines: what a decoder shows of one, and what is kept beside a trace for people to read. No rule sees them.

use std::borrow::Cow;

use crate::detail::Detail;
use crate::span::{Attribute, ResourceId, SpanId, TraceId, Value};

/// The most attributes of one log line that are kept.
pub const MAX_LOG_ATTRIBUTES: usize = 16;

/// How much a log line matters, in the six ranges that OpenTelemetry has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Severity {
    /// Not given.
    #[default]
    Unspecified = 0,
    /// 1 to 4.
    Trace = 1,
    /// 5 to 8.
    Debug = 2,
    /// 9 to 12.
    Info = 3,
    /// 13 to 16.
    Warn = 4,
    /// 17 to 20.
    Error = 5,
    /// 21 to 24.
    Fatal = 6,
}

impl Severity {
    /// Every severity, the least first.
    pub const ALL: [Self; 7] =
        [Self::Unspecified, Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    /// The severity behind OTLP's number, else behind the text that a logging library gave.
    pub fn of(number: i64, text: &str) -> Self {
        match number {
            1..=24 => Self::ALL[(number as usize - 1) / 4 + 1],
            _ => Self::of_text(text),
        }
    }

    fn of_text(text: &str) -> Self {
        let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
        if is(&["trace", "finest", "verbose"]) {
            Self::Trace
        } else if is(&["debug", "fine"]) {
            Self::Debug
        } else if is(&["info", "information", "notice"]) {
            Self::Info
        } else if is(&["warn", "warning"]) {
            Self::Warn
        } else if is(&["error", "err", "severe"]) {
            Self::Error
        } else if is(&["fatal", "critical", "panic", "emergency", "alert"]) {
            Self::Fatal
        } else {
            Self::Unspecified
        }
    }

    /// The word that screens and reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "log",
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }
}

/// A log record as a decoder shows it.
#[derive(Debug, Clone)]
pub struct LogView<'a> {
    /// Zero where it belongs to no trace.
    pub trace_id: TraceId,
    /// [`SpanId::NONE`] where it belongs to no span.
    pub span_id: SpanId,
    /// When it happened, else when it was seen; Unix time in nanoseconds.
    pub time_ns: u64,
    /// As OTLP numbers it; 0 for not given.
    pub severity_number: i64,
    /// As the logging library calls it.
    pub severity_text: Cow<'a, str>,
    /// What it says.
    pub body: Value<'a>,
    /// In the order sent.
    pub attributes: &'a [Attribute<'a>],
}

/// A log line as it is kept: scrubbed, masked and small.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogLine {
    /// Zero where it belongs to no trace.
    pub trace_id: TraceId,
    /// Unix time in nanoseconds.
    pub time_ns: u64,
    /// [`SpanId::NONE`] where it belongs to no span.
    pub span_id: SpanId,
    /// The resource that sent it.
    pub resource: ResourceId,
    /// How much it matters.
    pub severity: Severity,
    /// Its body as name, and its attributes.
    pub detail: Detail,
}

impl LogLine {
    /// What it says.
    pub fn body(&self) -> &str {
        self.detail.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_are_told_by_number_and_else_by_text() {
        let check = |number, text, expected| assert_eq!(Severity::of(number, text), expected, "{number} {text}");
        check(1, "", Severity::Trace);
        check(9, "error", Severity::Info);
        check(17, "", Severity::Error);
        check(24, "", Severity::Fatal);
        check(25, "WARNING", Severity::Warn);
        check(0, "Severe", Severity::Error);
        check(-1, "loud", Severity::Unspecified);
    }
}
