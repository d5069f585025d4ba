//! Data to standard output, talk to standard error, and whether either may be coloured.

use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;

/// Whether text on a stream may be coloured: `NO_COLOR` and `TERM=dumb` forbid, `CLICOLOR_FORCE` demands, else a
/// terminal decides. See <https://no-color.org> and <https://bixense.com/clicolors>.
pub(crate) fn may_colour(stream: &impl IsTerminal) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        return false;
    }
    is_set("CLICOLOR_FORCE") || (stream.is_terminal() && !is_dumb)
}

/// Writes data to standard output.
pub(crate) fn data(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|error| io::Error::new(error.kind(), format!("cannot write to standard output: {error}")))
}

/// Says something on standard error. Nobody can be told when that fails.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A number with its word: `1 span`, `2 spans`.
pub(crate) fn count(number: u64, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

/// Shows on standard error what the parts report of their own trouble: warnings, or what `RUST_LOG` asks for. Only for
/// commands without a screen, which the lines would tear.
pub(crate) fn show_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    // It fails only where another log was set up before, which nothing does.
    let _ = log.with_ansi(may_colour(&io::stderr())).try_init();
}

/// Says what went wrong.
pub(crate) fn error(message: &str) {
    let prefix = if may_colour(&io::stderr()) { "\u{1b}[1;31merror\u{1b}[0m" } else { "error" };
    say(&format!("{prefix}: {message}"));
}
