//! The page of a rule and the list of rules, as plain text. One source with every other face of a rule: its metadata.

use std::fmt::Write as _;

use crate::rule::{RuleMeta, Status};
use crate::rules;

/// The page that `spanlint explain RULE` shows, in Markdown that reads well as plain text. Lines are as long as their
/// paragraphs: whoever shows the page wraps it.
pub fn page(rule: &RuleMeta) -> String {
    let mut page = String::new();
    let (status, since) = match rule.status {
        Status::Stable(since) => ("stable", since),
        Status::Preview(since) => ("preview", since),
    };
    let severity = rule.severity.as_str();
    let facts =
        format!("{} · {severity} · {} · {status} since {since}", rule.category.as_str(), rule.confidence.as_str());
    let mut line = |text: &str| writeln!(page, "{text}").expect("writing to a string never fails");
    line(&format!("# {}\n\n{}\n\n{facts}", rule.name, rule.summary));
    let sections = [
        ("What it looks like", rule.looks_like),
        ("Why it hurts", rule.why),
        ("How it is judged", rule.how),
        ("What is not a fault", rule.limits),
        ("How to mend it", rule.fix),
    ];
    for (title, text) in sections {
        line(&format!("\n## {title}\n\n{text}"));
    }
    if !rule.options.is_empty() {
        line("\n## Options\n");
        line(&format!("In `spanlint.toml`, under `[rules.{}]`, beside `level`:\n", rule.name));
        for option in rule.options {
            line(&format!("- `{} = {}`: {}", option.name, option.default, option.help));
        }
    }
    if !rule.absorbs.is_empty() {
        line("\n## Explains\n");
        line(&format!("On the same subject it stands for {}.", rule.absorbs.join(", ")));
    }
    line("\n## References\n");
    for reference in rule.references {
        line(&format!("- {reference}"));
    }
    if !rule.instrumentation_score.is_empty() {
        line(&format!("- Instrumentation Score specification: {}", rule.instrumentation_score.join(", ")));
    }
    page
}

/// The list that `spanlint rules` shows: name, category, severity, summary.
pub fn list() -> String {
    let width = rules::ALL.iter().map(|rule| rule.meta().name.len()).max().unwrap_or_default();
    let mut list = String::new();
    for meta in rules::ALL.iter().map(|rule| rule.meta()) {
        let (category, severity) = (meta.category.as_str(), meta.severity.as_str());
        writeln!(list, "{:width$}  {category:11}  {severity:7}  {}", meta.name, meta.summary)
            .expect("writing to a string never fails");
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_every_part_of_the_metadata() {
        insta::assert_snapshot!(page(rules::find("n-plus-one-calls").unwrap().meta()));
    }

    #[test]
    fn the_list_is_a_table() {
        insta::assert_snapshot!(list());
    }
}
