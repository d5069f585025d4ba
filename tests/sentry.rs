//! Single traces that another detector was tested with, and how many findings it gave. Under its thresholds ours gives
//! as many, except where it differs on purpose.

use std::path::Path;

use crate::datasets::folder;
use crate::generator::judged::judge;

/// A row where ours differs on purpose.
struct Deviation {
    file: &'static str,
    rule: &'static str,
    /// The rule that ours reports in its place, where it is another.
    instead: Option<&'static str>,
    /// As the spans of the file show.
    #[expect(dead_code, reason = "for whoever reads this")]
    why: &'static str,
}

const DEVIATIONS: [Deviation; 6] = [
    Deviation {
        file: "json__n-plus-one-in-django-index-view-unparameterized.otlp.json",
        rule: "n-plus-one-queries",
        instead: Some("repeated-calls"),
        why: "all ten statements ask for the author with the id 1: one question asked ten times, which a cache mends as well \
              as a join",
    },
    Deviation {
        file: "json__n-plus-one-in-django-index-view-source-redis.otlp.json",
        rule: "n-plus-one-queries",
        instead: None,
        why: "that a GET of Redis and no SELECT comes before the ten queries changes neither their number nor their time",
    },
    Deviation {
        file: "json__m-n-plus-one-db__m-n-plus-one-graphql-transaction-parent.otlp.json",
        rule: "n-plus-one-queries",
        instead: None,
        why: "twelve resolvers of one name ask for the authors of one book each; that they stand right below the request, \
              with nothing around them, does not make them fewer",
    },
    Deviation {
        file: "json__n-plus-one-api-calls__n-plus-one-api-calls-in-weather-app.otlp.json",
        rule: "n-plus-one-calls",
        instead: None,
        why: "ten calls at once ask for a city each, which stands in the query and not in the path",
    },
    Deviation {
        file: "captured__n_plus_one_api_calls__fingerprints_events__1.otlp.json",
        rule: "n-plus-one-calls",
        instead: None,
        why: "the file holds one span eleven times, id and all, and a span that comes again counts once",
    },
    Deviation {
        file: "captured__consecutive_http__does_not_detect_nextjs_asset__2.otlp.json",
        rule: "serial-calls",
        instead: None,
        why: "the style sheet is waited for two seconds like the two calls after it, and the note says what that costs",
    },
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

#[test]
fn as_many_findings_as_another_detector() {
    let Some(folder) = folder().map(|folder| folder.join("sentry")) else { return };
    let config = std::fs::read_to_string(folder.join("sentry.toml")).expect("the thresholds");
    let mut wrong = Vec::new();
    let mut judged = 0;
    for row in rows(&folder).iter().filter(|row| row.is_asserted) {
        let text = std::fs::read_to_string(folder.join(&row.file)).expect("a trace");
        let findings = judge(&text, &config).findings;
        let found = findings.iter().filter(|said| said.rule == row.rule || said.absorbs.contains(&row.rule)).count();
        judged += 1;
        let deviation = DEVIATIONS.iter().find(|known| known.file == row.file && known.rule == row.rule);
        let says = |rule: &str| findings.iter().any(|said| said.rule == rule);
        let is_replaced = deviation.and_then(|known| known.instead).is_none_or(says);
        if (found == row.findings) == deviation.is_some() || !is_replaced {
            wrong.push(format!("{}: {} of {}, not {}: {findings:?}", row.file, found, row.rule, row.findings));
        }
    }
    assert!(judged >= 50, "only {judged} rows were judged");
    assert!(DEVIATIONS.len() <= MAX_DEVIATIONS);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
