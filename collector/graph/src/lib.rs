//! Spans, traces, facts and the call graph they resolve to.
//!
//! ```text
//! decoder -> SpanVisitor (semantics) -> Span -> Trace -> Facts -> ⊕ -> resolve -> CallGraph
//! ```
//!
//! Pure: no input or output, no clock, no async. `graph(window) = resolve(⊕ facts(settled trace))`, where `facts` looks
//! at one trace, ⊕ is exact, commutative and associative over integers, and `resolve` is pure.

mod detail;
pub mod facts;
pub mod file;
pub mod hash;
mod key;
pub mod log;
mod marks;
pub mod measurement;
pub mod name;
pub mod recent;
pub mod resolve;
pub mod reuse;
pub mod semantics;
pub mod snapshot;
pub mod span;
pub mod text;
pub mod trace;
mod view;
pub mod waterfall;
pub mod what_if;
pub mod window;

pub use facts::{Facts, Fold};
pub use log::LogLine;
pub use measurement::Measurement;
pub use name::{Name, NameTable};
pub use resolve::resolve;
pub use semantics::{BatchBuilder, Reading, Redaction, Sealing};
pub use snapshot::{CallGraph, NodeIndex, NodeKind, OperationIndex};
pub use span::{Span, SpanBatch, SpanVisitor, TraceId, Vocabulary};
pub use trace::{Gathered, Trace};
pub use waterfall::Waterfall;
pub use window::{View, Window};
