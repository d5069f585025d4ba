//! What the project promises from outside: the house rules, and the real binary from end to end.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that panics tells where, one that skips says why")]

mod bad_input;
mod binary;
mod clients;
mod datasets;
mod demo;
mod dependencies;
mod documents;
mod durable;
mod fixtures;
mod generator;
mod h2spec;
mod init;
mod live;
mod otlp_spec;
mod overload;
mod sentry;
mod tidy;
mod what_if;
mod wrapped;
