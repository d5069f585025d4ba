//! Receives traces, assembles them and publishes the live call graph.

pub mod live;
mod size;
