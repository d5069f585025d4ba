//! Receives traces, assembles them and publishes the live call graph.

pub mod assemble;
pub mod clock;
pub mod decode;
pub mod limits;
pub mod live;
pub mod read;
pub mod receiver;
mod size;
pub mod store;
pub mod window;
