//! A trace as people look at it: its spans as rows of a tree, in order of time.

use crate::span::{Outcome, SpanId, SpanKind, TraceId};

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
}
