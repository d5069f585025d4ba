//! Pages that are made from the code are the same as what the code says now. `SPANLINT_UPDATE_DOCS=1 cargo test documents`
//! writes them anew.

use std::path::PathBuf;

use spanlint_analyzer::{config, explain, report};

/// What stands around the rules in the README.
const TABLE: [&str; 2] = ["<!-- rules: made by tests/documents.rs -->\n", "<!-- end of rules -->"];

fn check(file: &str, expected: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("SPANLINT_UPDATE_DOCS").is_some() {
        std::fs::write(&path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = found.lines().zip(expected.lines()).position(|(found, expected)| found != expected);
    assert!(
        found == expected,
        "{file} is not what the code says from line {} on; SPANLINT_UPDATE_DOCS=1 writes it anew",
        differing.unwrap_or_else(|| found.lines().count().min(expected.lines().count())) + 1
    );
}

#[test]
fn the_book_of_rules_is_that_of_the_rules() {
    check("docs/rules.md", &explain::book());
}

#[test]
fn the_schema_of_the_report_is_that_of_the_report() {
    check("docs/report.schema.json", &report::json_schema());
}

#[test]
fn the_schema_of_the_configuration_is_that_of_its_reader() {
    check("docs/config.schema.json", &config::schema());
}

#[test]
fn the_readme_lists_the_rules() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (before, rest) = readme.split_once(TABLE[0]).expect("the table's beginning");
    let (_, after) = rest.split_once(TABLE[1]).expect("the table's end");
    check("README.md", &format!("{before}{}{}{}{after}", TABLE[0], explain::table(), TABLE[1]));
}
