//! One module for each command.

pub(crate) mod check;
pub(crate) mod collect;
pub(crate) mod demo;
pub(crate) mod explain;
pub(crate) mod init;
pub(crate) mod record;
pub(crate) mod rules;
pub(crate) mod watch;
pub(crate) mod what_if;
