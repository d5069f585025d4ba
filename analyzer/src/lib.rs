//! Rules over a call graph, their verdicts, and the reports made of them.
//!
//! ```text
//! CallGraph + Config -> judge -> Analysis -> report
//! ```
//!
//! Pure: no clock, environment or files. What a rule cannot see in the snapshot it does not judge.

pub mod analysis;
pub mod architecture;
mod case;
mod communities;
pub mod comparison;
pub mod config;
pub mod context;
mod contract;
pub mod coverage;
mod datastore;
pub mod explain;
pub mod finding;
pub mod groups;
mod named_calls;
pub mod nearest;
mod repetition;
pub mod report;
pub mod roles;
pub mod rule;
pub mod rules;
pub mod starting_file;
pub mod support;
mod topology;
mod wording;

#[cfg(test)]
mod testing;

pub use analysis::{Analysis, Background, judge};
pub use config::{Config, Mode};
pub use context::{Context, Options};
pub use coverage::{Coverage, Sampling};
pub use finding::{Finding, Severity, Undecided};
pub use rule::{Rule, RuleMeta};
