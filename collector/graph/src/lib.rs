//! Spans, traces, facts and the call graph they resolve to: pure, no input or output.
