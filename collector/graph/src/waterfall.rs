//! A trace as people look at it: its spans as rows of a tree, in order of time, with what was logged in each.

use crate::hash::HashMap;
use crate::log::{LogLine, Severity};
use crate::span::{Outcome, SpanId, SpanKind, TraceId, Vocabulary};

/// A trace, ready to be drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Waterfall {
    /// The trace.
    pub trace_id: TraceId,
    /// Unix time of its earliest span, in nanoseconds.
    pub start_ns: u64,
    /// From its earliest start to its latest end, in nanoseconds.
    pub duration_ns: u64,
    /// Parents before their children, siblings by start.
    pub rows: Vec<Row>,
    /// Log lines that belong to none of these spans, in order of time.
    pub logs: Vec<LogRow>,
}

/// A span of a waterfall.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its id.
    pub span_id: SpanId,
    /// How deep it is nested; 0 for roots and orphans.
    pub depth: u16,
    /// The node id of its service (`service:shop/cart`).
    pub node_id: String,
    /// The service as people call it.
    pub service: String,
    /// Its name as sent, scrubbed.
    pub name: String,
    /// Its kind.
    pub kind: SpanKind,
    /// What it offers or calls, as facts name it (an operation's or pattern's template).
    pub operation: String,
    /// The node id of the other side of the call that it makes, raw; empty where there is none.
    pub peer_id: String,
    /// Start after the start of the trace, in nanoseconds.
    pub offset_ns: u64,
    /// How long it took, in nanoseconds.
    pub duration_ns: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether its parent never came.
    pub is_orphan: bool,
    /// The message of its status, empty where there is none.
    pub status_message: String,
    /// Attributes, scrubbed and masked, in the order sent.
    pub attributes: Vec<(String, String)>,
    /// What was logged within it, in order of time.
    pub logs: Vec<LogRow>,
}

/// A log line, ready to be drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// The trace, zero where it belongs to none.
    pub trace_id: TraceId,
    /// The span, [`SpanId::NONE`] where it belongs to none.
    pub span_id: SpanId,
    /// Unix time in nanoseconds.
    pub time_ns: u64,
    /// How much it matters.
    pub severity: Severity,
    /// The service as people call it.
    pub service: String,
    /// What it says, scrubbed and masked.
    pub body: String,
    /// Attributes, scrubbed and masked, in the order sent.
    pub attributes: Vec<(String, String)>,
}

impl LogRow {
    /// The line with its texts.
    pub fn new(line: &LogLine, vocabulary: &Vocabulary) -> Self {
        let service = vocabulary.resource(line.resource).service;
        Self {
            trace_id: line.trace_id,
            span_id: line.span_id,
            time_ns: line.time_ns,
            severity: line.severity,
            service: vocabulary.names.text(service.name).to_owned(),
            body: line.body().to_owned(),
            attributes: line.detail.attributes().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        }
    }
}

impl Waterfall {
    /// The waterfall with these log lines of its trace, each beside its span.
    #[must_use]
    pub fn with_logs<'a>(mut self, lines: impl IntoIterator<Item = &'a LogLine>, vocabulary: &Vocabulary) -> Self {
        let mut lines: Vec<&LogLine> = lines.into_iter().collect();
        lines.sort_unstable();
        let mut row_of: HashMap<SpanId, usize> = HashMap::default();
        for (index, row) in self.rows.iter().enumerate() {
            row_of.entry(row.span_id).or_insert(index);
        }
        for line in lines {
            let row = row_of.get(&line.span_id).map(|&index| &mut self.rows[index].logs);
            row.unwrap_or(&mut self.logs).push(LogRow::new(line, vocabulary));
        }
        self
    }
}
