//! One module for each command.

pub(crate) mod check;
pub(crate) mod explain;
pub(crate) mod rules;
