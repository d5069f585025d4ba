//! The report for people: findings first, the worst on top, then what is undecided, then one line that sums up.
//!
//! Whether there is color and how wide the screen is are the caller's to know.

use std::fmt::Write as _;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{Report, open, traced_services};
use crate::analysis::Analysis;
use crate::coverage::Coverage;
use crate::finding::{Evidence, Finding, Severity};
use crate::roles::AssignedRole;
use crate::support::Doubt;
use crate::wording;

/// The narrowest width that text is wrapped to.
const MIN_WIDTH: usize = 40;
/// The column in which the text of a finding begins.
const INDENT: usize = 10;

/// How a text report looks.
#[derive(Debug, Clone, Copy)]
pub struct TextStyle {
    /// Whether to use ANSI colors.
    pub is_colored: bool,
    /// Columns of the screen.
    pub width: usize,
}

/// The report as text, with a line feed at its end.
pub fn to_text(report: &Report<'_>, style: TextStyle) -> String {
    let mut page = Page { text: String::new(), style: TextStyle { width: style.width.max(MIN_WIDTH), ..style } };
    for finding in &report.analysis.findings {
        page.finding(finding);
    }
    page.undecided(report.analysis);
    page.coverage(&report.analysis.background.coverage);
    // What nothing was said of needs no reasons.
    if !page.text.is_empty() {
        page.roles(&report.analysis.background.roles);
    }
    page.summary(report);
    page.text
}

/// SGR parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ink {
    Plain,
    Bold,
    Dim,
    Error,
    Warning,
    Note,
}

impl Ink {
    fn of(severity: Severity) -> Self {
        match severity {
            Severity::Error => Self::Error,
            Severity::Warning => Self::Warning,
            Severity::Note => Self::Note,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Error => "1;31",
            Self::Warning => "1;33",
            Self::Note => "1;36",
        }
    }
}

struct Page {
    text: String,
    style: TextStyle,
}

impl Page {
    fn finding(&mut self, finding: &Finding) {
        let severity = finding.severity;
        self.labelled((severity.as_str(), Ink::of(severity)), &finding.title, Ink::Bold);
        self.labelled(("", Ink::Dim), &finding.message, Ink::Plain);
        let evidence: Vec<_> = finding.evidence.iter().map(Evidence::words).collect();
        self.labelled(("measured", Ink::Dim), &evidence.join(", "), Ink::Plain);
        let support = finding.support;
        let doubts: Vec<_> = finding.doubts.iter().map(|doubt| doubt.as_str()).collect();
        let doubts = if doubts.is_empty() { String::new() } else { format!(" ({})", doubts.join("; ")) };
        let seen = format!(
            "{} of {}, {:.0} % at least; {}{doubts}; {}",
            support.affected,
            wording::count(support.requests, "request"),
            support.prevalence_low * 100.0,
            finding.confidence.as_str(),
            finding.rule.name,
        );
        self.labelled(("seen in", Ink::Dim), &seen, Ink::Plain);
        if let Some(impact) = finding.impact {
            let [p50, p95] = [impact.latency_ms_p50, impact.latency_ms_p95].map(wording::number);
            self.labelled(("saves", Ink::Dim), &format!("{p50} ms at p50, {p95} ms at p95"), Ink::Plain);
        }
        self.labelled(("fix", Ink::Dim), &finding.fix, Ink::Plain);
        let traces: Vec<_> = finding.traces.iter().map(ToString::to_string).collect();
        self.labelled(("traces", Ink::Dim), &traces.join(" "), Ink::Dim);
        for absorbed in &finding.absorbs {
            self.labelled(("explains", Ink::Dim), &format!("{}: {}", absorbed.rule, absorbed.title), Ink::Plain);
        }
        if let Some(reason) = &finding.suppressed {
            self.labelled(("ignored", Ink::Dim), reason, Ink::Plain);
        }
        self.line("");
    }

    fn undecided(&mut self, analysis: &Analysis) {
        if analysis.undecided.is_empty() {
            return;
        }
        let (lines, is_whole) = open::lines(&analysis.undecided);
        for line in lines {
            self.labelled(("undecided", Ink::Dim), &line, Ink::Plain);
        }
        if !is_whole {
            self.labelled(("", Ink::Dim), "each subject by itself: --format json", Ink::Dim);
        }
        self.line("");
    }

    /// What lowers the confidence, where something does.
    fn coverage(&mut self, coverage: &Coverage) {
        let orphaned = coverage.orphaned_services.iter();
        let mut told: Vec<_> = orphaned
            .map(|(name, share)| format!("{:.0} % of the spans of {name} have lost their parent", share * 100.0))
            .collect();
        if !coverage.untraced_services.is_empty() {
            told.push(format!("no spans came from {}", wording::list(&coverage.untraced_services)));
        }
        if coverage.sampling.is_biased() {
            told.push(Doubt::Sampling.as_str().to_owned());
        }
        if coverage.unpaired_calls > 0 {
            let calls = wording::count(coverage.calls, "call");
            told.push(format!(
                "{} of {calls} between services were told of by the caller alone",
                coverage.unpaired_calls
            ));
        }
        if !told.is_empty() {
            self.labelled(("coverage", Ink::Dim), &told.join("; "), Ink::Plain);
            self.line("");
        }
    }

    /// What services are taken for without being told so; what was declared is known to whoever did.
    fn roles(&mut self, roles: &[AssignedRole]) {
        let inferred = roles.iter().filter(|assigned| !assigned.is_declared);
        let told: Vec<_> = inferred.map(AssignedRole::sentence).collect();
        if !told.is_empty() {
            self.labelled(("roles", Ink::Dim), &told.join("; "), Ink::Plain);
            self.line("");
        }
    }

    fn summary(&mut self, report: &Report<'_>) {
        let Report { graph, analysis, .. } = report;
        let found = [Severity::Error, Severity::Warning, Severity::Note]
            .map(|severity| wording::count(analysis.count(severity) as u64, severity.as_str()));
        let mut summary = if analysis.counted().next().is_none() { "no findings".to_owned() } else { found.join(", ") };
        let aside = [(analysis.suppressed(), "ignored"), (analysis.undecided.len(), "undecided")];
        for (number, what) in aside.into_iter().filter(|(number, _)| *number > 0) {
            write!(summary, ", {number} {what}").expect("writing to a string never fails");
        }
        let seen = [
            wording::count(graph.counts.traces, "trace"),
            wording::count(graph.counts.spans, "span"),
            wording::count(traced_services(graph) as u64, "service"),
        ];
        let worst = analysis.counted().map(|finding| finding.severity).max();
        let ink = worst.map_or(Ink::Bold, Ink::of);
        for row in wrapped(&format!("{summary} in {}", seen.join(", ")), self.style.width) {
            let row = self.inked(&row, ink);
            self.line(&row);
        }
    }

    /// A label in its own column, and text wrapped beside it.
    fn labelled(&mut self, (label, label_ink): (&str, Ink), text: &str, ink: Ink) {
        let width = self.style.width.saturating_sub(INDENT);
        for (index, row) in wrapped(text, width).iter().enumerate() {
            let label = if index == 0 { label } else { "" };
            let gap = " ".repeat(INDENT.saturating_sub(label.len()));
            let line = format!("{}{gap}{}", self.inked(label, label_ink), self.inked(row, ink));
            self.line(&line);
        }
    }

    fn inked(&self, text: &str, ink: Ink) -> String {
        if !self.style.is_colored || ink == Ink::Plain || text.is_empty() {
            return text.to_owned();
        }
        format!("\x1b[{}m{text}\x1b[0m", ink.code())
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }
}

/// `text` in rows of at most `width` columns, broken between words, and within a word only where it is wider than a row.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    for word in text.split(' ') {
        let row = rows.last_mut().expect("there is always a row");
        if row.is_empty() || row.width() + 1 + word.width() <= width {
            let gap = if row.is_empty() { "" } else { " " };
            row.push_str(gap);
            row.push_str(word);
        } else {
            rows.push(word.to_owned());
        }
        while let Some(rest) = rows.last_mut().and_then(|row| split_off_wide(row, width)) {
            rows.push(rest);
        }
    }
    rows
}

/// Cuts `row` to `width` columns and gives the rest; none where it fits.
fn split_off_wide(row: &mut String, width: usize) -> Option<String> {
    let mut columns = 0;
    let wide = row.char_indices().find(|(_, letter)| {
        columns += letter.width().unwrap_or_default();
        columns > width
    });
    let (at, _) = wide?;
    Some(row.split_off(at))
}
