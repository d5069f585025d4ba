//! The `spanlint` command.

fn main() {}
