//! What the graph crate promises, seen from outside.

mod facts;
mod forged;
mod inference;
mod law;
mod notation;
mod what_if;
