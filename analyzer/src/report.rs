//! Reports: an analysis as JSON for programs and as text for people. Pure: same input, same bytes.

mod github;
mod json;
mod metrics;
mod open;
mod sarif;
mod text;

pub(crate) use self::json::rounded;

use spanlint_graph::CallGraph;

use crate::analysis::Analysis;

pub use crate::coverage::Sampling;
pub use github::to_github;
pub use json::{json_schema, to_json};
pub use sarif::to_sarif;
pub use text::{TextStyle, to_text};

/// What is reported.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// What was read, as far as the graph does not know.
    pub input: &'a ReportInput,
    /// The graph that was judged.
    pub graph: &'a CallGraph,
    /// What the rules said of it.
    pub analysis: &'a Analysis,
}

/// What a report says of its input beyond what the graph knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportInput {
    /// The version of spanlint.
    pub tool_version: String,
    /// Files, folders, addresses, as given.
    pub sources: Vec<String>,
    /// Spans that were refused by name.
    pub rejected_spans: u64,
    /// How the input was sampled, as far as its source knows; the configuration and the spans win.
    pub sampling: Sampling,
    /// The exit code of a wrapped command.
    pub command_exit: Option<i32>,
}

/// How many services sent spans.
fn traced_services(graph: &CallGraph) -> usize {
    graph.nodes.iter().filter(|node| node.service.as_ref().is_some_and(|service| service.is_traced)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{analysis, graph};

    const TRACES: &str = "3 traces\ncart GET /cart\n  7 x stock GET /stock/{sku} 12ms\n  publish cart.seen\n\n\
                          search GET /search\n  sql postgresql - shop SELECT items";

    fn check(traces: &str, config: &str, write: impl Fn(&Report<'_>) -> String) -> String {
        let input = ReportInput {
            tool_version: "0.0.0".to_owned(),
            sources: vec!["traces.jsonl".to_owned()],
            ..ReportInput::default()
        };
        write(&Report { input: &input, graph: &graph(traces), analysis: &analysis(traces, config) })
    }

    fn plain(report: &Report<'_>) -> String {
        to_text(report, TextStyle { is_colored: false, width: 80 })
    }

    #[test]
    fn json_has_every_key() {
        insta::assert_snapshot!(check(TRACES, "", to_json));
    }

    #[test]
    fn text_puts_findings_first() {
        insta::assert_snapshot!(check(TRACES, "", plain));
    }

    #[test]
    fn text_of_a_clean_input_is_one_line() {
        let names = crate::rules::ALL.iter().map(|rule| rule.meta().name);
        let off = names.map(|name| format!("[rules.{name}]\nlevel = \"off\"\n")).collect::<Vec<_>>().concat();
        insta::assert_snapshot!(check("a GET /\n  b GET /b", &off, plain), @"no findings in 1 trace, 3 spans, 2 services");
    }

    #[test]
    fn text_says_what_is_ignored() {
        let config = "[[ignore]]\nrule = \"n-plus-one-calls\"\nreason = \"goes in spring\"";
        let text = check(TRACES, config, plain);
        assert!(text.contains("ignored   goes in spring\n"), "{text}");
        assert!(text.contains("no findings, 1 ignored"), "{text}");
    }

    #[test]
    fn color_changes_nothing_but_ink() {
        let colored = check(TRACES, "", |report| to_text(report, TextStyle { is_colored: true, width: 80 }));
        assert!(colored.contains("\x1b[1;33mwarning\x1b[0m"));
        let mut stripped = String::new();
        for (index, part) in colored.split('\x1b').enumerate() {
            stripped.push_str(if index == 0 { part } else { part.split_once('m').unwrap().1 });
        }
        assert_eq!(stripped, check(TRACES, "", plain));
    }

    #[test]
    fn narrow_text_stays_within_its_width() {
        let narrow = check(TRACES, "", |report| to_text(report, TextStyle { is_colored: false, width: 44 }));
        assert!(narrow.lines().all(|line| line.chars().count() <= 44), "{narrow}");
    }
}
