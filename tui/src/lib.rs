//! The terminal dashboard: the live call graph, the findings, and the traces that prove them.
//!
//! The loop is Elm's: `Message` is a closed enum, `update` alone writes `State`, `view` only reads
//! it. `terminal` alone knows the terminal. The dashboard is shown immutable pictures ([`Live`]) by a [`Source`]; it
//! never receives spans, judges nothing and keeps no history.
//!
//! ```text
//! Source ── Live ──▶ Message ──▶ update ──▶ State ──▶ view ──▶ terminal
//!    ▲                              │
//!    ╰────────── Effect ────────────╯
//! ```

mod detail;
mod figures;
mod layout;
mod live;
mod message;
mod numbers;
mod run;
mod state;
mod table;
mod terminal;
mod text;
mod theme;
mod topology;
mod trace;
mod update;
mod view;

pub use live::{Endpoint, Live, ScenarioState, Source, Status};
pub use run::{Options, run};

#[cfg(test)]
extern crate self as spanlint_tui;
#[cfg(test)]
#[path = "../examples/sample/shop.rs"]
mod sample;
#[cfg(test)]
mod tests;
