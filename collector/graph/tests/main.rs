//! What the graph crate promises, seen from outside.

mod inference;
mod law;
mod notation;
