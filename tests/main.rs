//! What the project promises from outside: the house rules, and the real binary from end to end.

mod bad_input;
mod binary;
mod datasets;
mod demo;
mod durable;
mod fixtures;
mod live;
mod tidy;
mod wrapped;
