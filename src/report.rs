//! A report on standard output, and how the run ends by it.

use std::io;

use spanlint_analyzer::report::{Report, TextStyle, to_github, to_json, to_sarif, to_text};

use crate::cli::{Format, ReportArguments};
use crate::failure::Ending;
use crate::output;

/// The columns of a text report that no terminal shows.
const DEFAULT_WIDTH: usize = 100;
/// The columns of a text report at most; longer lines read badly.
const MAX_WIDTH: usize = 120;

/// Writes the report and tells how the run ends.
pub(crate) fn publish(report: &Report<'_>, arguments: &ReportArguments) -> io::Result<Ending> {
    let text = match arguments.format {
        Format::Json => to_json(report),
        Format::Sarif => to_sarif(report),
        Format::Github => to_github(report),
        Format::Text => to_text(report, TextStyle { is_colored: output::may_colour(&io::stdout()), width: width() }),
    };
    match output::data(&text) {
        // Whoever reads only the first lines still learns the verdict from the exit code.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(ending(report, arguments)),
    }
}

fn width() -> usize {
    let terminal = terminal_size::terminal_size_of(io::stdout());
    terminal.map_or(DEFAULT_WIDTH, |(width, _)| usize::from(width.0).min(MAX_WIDTH))
}

/// Findings win over missing evidence.
fn ending(report: &Report<'_>, arguments: &ReportArguments) -> Ending {
    let least = arguments.fail_on.severity();
    let fails = least.is_some_and(|least| report.analysis.counted().any(|finding| finding.severity >= least));
    if fails {
        Ending::Findings
    } else if arguments.require_evidence && !report.analysis.undecided.is_empty() {
        Ending::Undecided
    } else {
        Ending::Clean
    }
}
