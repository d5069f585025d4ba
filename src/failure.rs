//! How a run ends: exit codes, and errors as one clear message.

use std::process::ExitCode;

/// How a run ended that did not fail by itself. The numbers are the contract with CI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nothing at or above the severity that fails.
    Clean,
    /// Findings.
    Findings,
    /// Undecided, and evidence was required.
    Undecided,
    /// A wrapped command failed with this code.
    Command(u8),
}

impl Ending {
    /// The ending of a wrapped command. A code that no process can end with is a failure all the same.
    pub(crate) fn of_command(code: i32) -> Self {
        match u8::try_from(code) {
            Ok(0) => Self::Clean,
            Ok(code) => Self::Command(code),
            Err(_) => Self::Command(u8::MAX),
        }
    }
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(match ending {
            Ending::Clean => 0,
            Ending::Findings => 1,
            Ending::Undecided => 3,
            Ending::Command(code) => code,
        })
    }
}

/// The exit code for wrong usage, unreadable input and own failures; it wins over every other.
pub(crate) const FAILED: u8 = 2;

/// Whether an error only says that the reader of our output has gone, as `| head` does.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is_pipe = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(is_pipe))
}

/// The whole chain of causes in one line, scrubbed: causes may quote input.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        // Some causes already quote the next one.
        if !message.contains(&cause) {
            message = if message.is_empty() { cause } else { format!("{message}: {cause}") };
        }
    }
    message.lines().map(|line| spanlint_graph::text::scrub(line).into_owned()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_every_cause_once() {
        let error = anyhow::anyhow!("no such file").context("cannot read a\u{1b}[2J.json: no such file");
        assert_eq!(message(&error), "cannot read a[2J.json: no such file");
    }
}
