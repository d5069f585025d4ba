//! Real traces that others recorded, and what an expert expects of them. The recordings stand beside the project, in
//! `../shared/datasets`; where they are absent the tests say so and pass.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::binary::{Sandbox, findings};

pub(crate) fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/datasets"));
    if folder.is_dir() {
        return Some(folder);
    }
    // The test runner shows what a failing test prints, and nobody would see that this one did nothing.
    let _ = writeln!(std::io::stderr(), "skipped, since {} is not there", folder.display());
    None
}

struct Expectation {
    file: String,
    kind: String,
    rules: Vec<String>,
    services: String,
}

fn expectations(table: &str) -> Vec<Expectation> {
    let rows = table.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    rows.map(|row| Expectation {
        file: row[0].to_owned(),
        kind: row[1].to_owned(),
        rules: row[2].split('|').map(str::to_owned).collect(),
        services: row[3].to_owned(),
    })
    .collect()
}

impl Expectation {
    fn covers(&self, (rule, services): &(String, String)) -> bool {
        self.rules.contains(rule) && (self.services == "*" || self.services == *services)
    }
}

#[test]
fn recordings_are_judged_as_an_expert_judges_them() {
    let Some(folder) = folder() else { return };
    let table = std::fs::read_to_string(folder.join("expected.tsv")).expect("the table of expectations");
    let expectations = expectations(&table);
    let mut files: Vec<&str> = expectations.iter().map(|row| row.file.as_str()).collect();
    files.dedup();
    let mut broken = Vec::new();
    let mut judged = 0;
    for file in files {
        let path = folder.join(file);
        let ran = Sandbox::new().run(&["check", "--format", "json", path.to_str().expect("a UTF-8 path")]);
        assert!(ran.code < 2, "{file}: {ran:?}");
        let found = findings(&ran.report(), "warning");
        judged += 1;
        let own: Vec<&Expectation> = expectations.iter().filter(|row| row.file == file).collect();
        for must in own.iter().filter(|row| row.kind == "must") {
            if !found.iter().any(|finding| must.covers(finding)) {
                broken.push(format!("{file}: no {} of {}", must.rules.join(" or "), must.services));
            }
        }
        let allowed = |finding: &&(String, String)| own.iter().any(|row| row.kind != "clean" && row.covers(finding));
        let false_ones = found.iter().filter(|finding| !allowed(finding));
        broken.extend(false_ones.map(|finding| format!("{file}: false {finding:?}")));
    }
    assert!(judged >= 8, "only {judged} recordings were judged");
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// The requests with traces that an SDK sent, in one of the formats.
fn captured(folder: &Path, extension: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder of captures").map(|entry| entry.expect("an entry").path());
    let files = entries.filter(|path| path.extension().is_some_and(|found| found == extension));
    let mut files: Vec<String> = files.map(|path| path.display().to_string()).collect();
    files.retain(|path| path.contains("-traces-"));
    files.sort();
    files
}

#[test]
fn captures_are_the_same_graph_in_protobuf_and_in_json() {
    let Some(folder) = folder() else { return };
    for sdk in ["node-grpc", "node-json", "node-protobuf", "python-grpc", "python-http", "python-old", "rust"] {
        let report = |extension: &str| {
            let files = captured(&folder.join("captures").join(sdk), extension);
            let mut arguments = vec!["check", "--format", "json"];
            arguments.extend(files.iter().map(String::as_str));
            let mut report = Sandbox::new().run(&arguments).report();
            report["input"]["sources"].take();
            report
        };
        let report_of_protobuf = report("pb");
        assert!(report_of_protobuf["graph"]["edges"].as_array().is_some_and(|edges| !edges.is_empty()), "{sdk}");
        assert_eq!(report_of_protobuf, report("json"), "{sdk}");
    }
}
