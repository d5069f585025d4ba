//! What the graph crate promises, seen from outside.

mod facts;
mod inference;
mod law;
mod notation;
