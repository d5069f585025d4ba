//! Rules over a call graph, their verdicts, and the reports made of them.

pub mod config;
pub mod finding;
pub mod rule;
