//! The report as annotations of a workflow on GitHub: one line a finding.

use std::fmt::Write as _;

use super::Report;
use crate::finding::Severity;

/// One workflow command for each finding that counts, the worst first.
pub fn to_github(report: &Report<'_>) -> String {
    let mut text = String::new();
    for finding in report.analysis.counted() {
        let command = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let place = finding.locations.iter().find(|location| !location.file.is_empty());
        let place = place.map_or_else(String::new, |location| {
            format!("file={},line={},", property(&location.file), location.line.max(1))
        });
        let title = property(&format!("{}: {}", finding.rule.name, finding.title));
        let message = data(&format!("{}\n{}", finding.message, finding.fix));
        writeln!(text, "::{command} {place}title={title}::{message}").expect("writing to a string never fails");
    }
    text
}

/// Escapes the text of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes the value of a property, in which commas and colons mean something, too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
