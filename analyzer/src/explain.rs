//! The page of a rule, the list of rules and the book of all pages, as plain text. One source with every other face of a
//! rule: its metadata.

use std::fmt::Write as _;

use crate::rule::{Category, RuleMeta, Status};
use crate::rules;

/// What the book says before the first rule.
const PREFACE: &str = "\
# Rules

What spanlint looks for, one chapter for each kind of trouble.
This page is made from the metadata of the rules; `spanlint explain RULE` shows one of them in the terminal.

A few words come again and again.
An *operation* is what a service offers, such as `GET /cart/{id}`; a *request* is one execution of it, and a *trace* holds everything that one request from outside caused.
The *caller* calls, the *callee* answers; a call is *synchronous* where the caller waits for the answer.
A *template* is a query or a path with what differs from call to call taken out, such as `SELECT * FROM cart WHERE id = ?`; what was taken out are its *parameters*.
A *topic* is a queue or topic on a broker, a *datastore* a database, cache, search or object store, an *external* a host that sends no telemetry.

Every threshold that is named here is an option in `spanlint.toml`, under `[rules.<name>]`, beside `level` (`off`, `note`, `warning` or `error`).

How sure a finding is depends on its kind.
*Proven*: the spans of one trace show it.
*Strong*: a statistic over enough requests.
*Heuristic*: judged by absence or by a proxy.
It is one level lower where a service has lost the parents of many spans, where traces were kept by how they ended, or where parameters are unknown.
What is seen without enough support is *undecided*, with what is missing; it is never shown as clean.
One cause is one finding: where a finding explains others on the same subject, it stands for them, lists them and is at least as severe as the worst of them.
";

/// What a chapter says before its first rule.
fn chapter(category: Category) -> &'static str {
    match category {
        Category::Chatter => "Services that talk too much: each call is small, and together they are slow.",
        Category::Data => "Who owns which data, and who reaches past the owner.",
        Category::Boundaries => {
            "Who depends on whom, and whether the borders between services are where they should be."
        }
        Category::Granularity => "Services that are cut too small, or that are one program in pieces.",
        Category::Security => "What is open that should be closed, and what is shown that should be hidden.",
        Category::Resilience => "How one fault becomes many.",
        Category::Performance => "Where time goes.",
        Category::Governance => {
            "Rules of the house; they hold where the house shows that it keeps them, or where they are configured."
        }
        Category::Telemetry => "Whether what is seen can be trusted.",
        Category::Contract => "What a team declared in `[architecture]`, held against what runs.",
    }
}

/// The book of all rules, in Markdown.
pub fn book() -> String {
    let mut book = PREFACE.to_owned();
    let mut line = |text: &str| writeln!(book, "{text}").expect("writing to a string never fails");
    let rules_of = |category| rules::ALL.iter().map(|rule| rule.meta()).filter(move |meta| meta.category == category);
    line("");
    for category in Category::ALL {
        let names: Vec<_> = rules_of(category).map(|meta| format!("[`{0}`](#{0})", meta.name)).collect();
        if !names.is_empty() {
            line(&format!("- [{0}](#{0}): {1}", category.as_str(), names.join(", ")));
        }
    }
    for category in Category::ALL.into_iter().filter(|&category| rules_of(category).next().is_some()) {
        line(&format!("\n## {}\n\n{}", category.as_str(), chapter(category)));
        for meta in rules_of(category) {
            line(&format!("\n{}", page_at(meta, 3).trim_end()));
        }
    }
    book
}

/// The table of rules, in Markdown.
pub fn table() -> String {
    let mut table = "| rule | kind | severity | finds |\n|---|---|---|---|\n".to_owned();
    for meta in rules::ALL.iter().map(|rule| rule.meta()) {
        let (name, category, severity) = (meta.name, meta.category.as_str(), meta.severity.as_str());
        writeln!(table, "| [`{name}`](docs/rules.md#{name}) | {category} | {severity} | {} |", meta.summary)
            .expect("writing to a string never fails");
    }
    table
}

/// The page that `spanlint explain RULE` shows, in Markdown that reads well as plain text. Lines are as long as their
/// paragraphs: whoever shows the page wraps it.
pub fn page(rule: &RuleMeta) -> String {
    page_at(rule, 1)
}

/// The page with its title at this level.
fn page_at(rule: &RuleMeta, level: usize) -> String {
    let mut page = String::new();
    let (title, section) = ("#".repeat(level), "#".repeat(level + 1));
    let (status, since) = match rule.status {
        Status::Stable(since) => ("stable", since),
        Status::Preview(since) => ("preview", since),
    };
    let severity = rule.severity.as_str();
    let facts =
        format!("{} · {severity} · {} · {status} since {since}", rule.category.as_str(), rule.confidence.as_str());
    let mut line = |text: &str| writeln!(page, "{text}").expect("writing to a string never fails");
    line(&format!("{title} {}\n\n{}\n\n{facts}", rule.name, rule.summary));
    let sections = [
        ("What it looks like", rule.looks_like),
        ("Why it hurts", rule.why),
        ("How it is judged", rule.how),
        ("What is not a fault", rule.limits),
        ("How to mend it", rule.fix),
    ];
    for (heading, text) in sections {
        line(&format!("\n{section} {heading}\n\n{text}"));
    }
    if !rule.options.is_empty() {
        line(&format!("\n{section} Options\n"));
        line(&format!("In `spanlint.toml`, under `[rules.{}]`, beside `level`:\n", rule.name));
        for option in rule.options {
            line(&format!("- `{} = {}`: {}", option.name, option.default, option.help));
        }
    }
    if !rule.absorbs.is_empty() {
        line(&format!("\n{section} Explains\n"));
        let others: Vec<&str> = rule.absorbs.iter().copied().filter(|absorbed| *absorbed != rule.name).collect();
        if !others.is_empty() {
            line(&format!("On the same subject it stands for {}.", others.join(", ")));
        }
        if others.len() < rule.absorbs.len() {
            line("It stands for findings of its own kind on a part of its subject.");
        }
    }
    line(&format!("\n{section} References\n"));
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
