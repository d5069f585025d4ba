//! The facts of one trace.
use super::Facts;
use crate::{Trace, Vocabulary};

impl Facts {
    /// Adds the facts of one settled trace.
    pub fn add_trace(&mut self, _trace: &Trace, _vocabulary: &Vocabulary) {}

    /// Adds the facts of spans that came after their trace had settled: single spans and calls, never requests.
    pub fn add_fragment(&mut self, _fragment: &Trace, _vocabulary: &Vocabulary) {}
}
