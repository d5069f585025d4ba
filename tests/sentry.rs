//! Single traces that another detector was tested with, and how many findings it gave. Under its thresholds ours gives
//! as many, except where it differs on purpose. Rows about rules that do not exist yet wait for them.

use std::path::Path;

use crate::datasets::folder;
use crate::generator::judged::judge;

/// Where ours differs on purpose: file, rule, and why.
const DEVIATIONS: [(&str, &str, &str); 6] = [
    (
        "json__n-plus-one-in-django-index-view-unparameterized.otlp.json",
        "n-plus-one-queries",
        "the queries are the same to the letter, which is a repeated call",
    ),
    (
        "json__n-plus-one-in-django-index-view-source-redis.otlp.json",
        "n-plus-one-queries",
        "what was asked before the queries does not change what they are",
    ),
    (
        "json__m-n-plus-one-db__m-n-plus-one-graphql-transaction-parent.otlp.json",
        "n-plus-one-queries",
        "queries right below the request repeat as well, and are a note",
    ),
    (
        "json__n-plus-one-api-calls__n-plus-one-api-calls-in-weather-app.otlp.json",
        "n-plus-one-calls",
        "ten calls of one operation are ten calls, however alike their paths",
    ),
    (
        "captured__n_plus_one_api_calls__fingerprints_events__1.otlp.json",
        "n-plus-one-calls",
        "the calls are the same to the letter, and to no host",
    ),
    (
        "captured__consecutive_http__does_not_detect_nextjs_asset__2.otlp.json",
        "serial-calls",
        "files that a page loads are calls too, and the note says what they cost",
    ),
];
/// More than that would be another detector.
const MAX_DEVIATIONS: usize = 6;

struct Row {
    file: String,
    rule: String,
    findings: usize,
    is_asserted: bool,
}

fn rows(folder: &Path) -> Vec<Row> {
    let table = std::fs::read_to_string(folder.join("expected.tsv")).expect("the table of expectations");
    let rows = table.lines().skip(1).map(|line| {
        let cells: Vec<&str> = line.split('\t').collect();
        Row {
            file: cells[0].to_owned(),
            rule: cells[1].to_owned(),
            findings: cells[2].parse().expect("a number of findings"),
            is_asserted: cells[5] == "asserted",
        }
    });
    rows.collect()
}

/// The configuration, without the tables of rules that do not exist yet: an unknown rule is an error.
fn config(folder: &Path) -> String {
    let text = std::fs::read_to_string(folder.join("sentry.toml")).expect("the thresholds");
    let mut table: toml::Table = text.parse().expect("TOML");
    let rules = table.get_mut("rules").and_then(toml::Value::as_table_mut).expect("thresholds of rules");
    rules.retain(|rule, _| spanlint_analyzer::rules::find(rule).is_some());
    table.to_string()
}

#[test]
fn as_many_findings_as_another_detector() {
    let Some(folder) = folder().map(|folder| folder.join("sentry")) else { return };
    let config = config(&folder);
    let mut wrong = Vec::new();
    let mut judged = 0;
    for row in rows(&folder).iter().filter(|row| row.is_asserted) {
        if spanlint_analyzer::rules::find(&row.rule).is_none() {
            continue;
        }
        let text = std::fs::read_to_string(folder.join(&row.file)).expect("a trace");
        let findings = judge(&[text], &config).findings;
        let found = findings.iter().filter(|said| said.rule == row.rule || said.absorbs.contains(&row.rule)).count();
        judged += 1;
        let differs = DEVIATIONS.iter().any(|(file, rule, _)| *file == row.file && *rule == row.rule);
        if (found == row.findings) == differs {
            wrong.push(format!("{}: {} of {}, not {}: {findings:?}", row.file, found, row.rule, row.findings));
        }
    }
    assert!(judged >= 50, "only {judged} rows were judged");
    assert!(DEVIATIONS.len() <= MAX_DEVIATIONS);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
