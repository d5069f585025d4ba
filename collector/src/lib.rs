//! Receives traces, assembles them and publishes the live call graph.
//!
//! ```text
//! bytes -> receiver (decode) -> queue -> live: assemble -> window -> resolve -> Published -> whoever looks
//!            answer                            +-> store (recent traces; exemplars pinned)
//! ```
//!
//! It judges nothing: rules belong to the analyzer, which it does not know.

pub mod access;
pub mod api;
pub mod assemble;
pub mod budget;
pub mod clock;
mod collector;
pub mod config;
pub mod decode;
pub mod durable;
pub mod limits;
pub mod live;
pub mod logs;
mod loopback;
pub mod measurements;
mod pressure;
pub mod read;
pub mod receiver;
mod size;
pub mod store;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod window;

pub use self::collector::{Addresses, Collector, StartError};
pub use self::config::CollectorConfig;
