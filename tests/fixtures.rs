//! Each rule has a recording on which it fires and one, full of benign look-alikes, on which it is silent.

use std::path::{Path, PathBuf};

use crate::binary::{Ran, Sandbox};

fn fixtures() -> Vec<(String, PathBuf)> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"));
    let entries =
        std::fs::read_dir(&folder).expect("the fixtures").map(|entry| entry.expect("a readable folder").path());
    let mut rules: Vec<_> =
        entries.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path)).collect();
    rules.sort();
    assert!(rules.len() >= 4, "{rules:?}");
    rules
}

/// Checks a recording of a rule, under the `spanlint.toml` that stands beside it if one does.
fn check(folder: &Path, recording: &str) -> Ran {
    let (recording, config) = (folder.join(recording), folder.join("spanlint.toml"));
    let mut arguments = vec!["check", "--format", "json", "--fail-on", "note"];
    if config.is_file() {
        arguments.extend(["--config", config.to_str().unwrap()]);
    }
    arguments.push(recording.to_str().unwrap());
    Sandbox::new().run(&arguments)
}

#[test]
fn each_rule_fires_on_its_fault_alone() {
    let mut broken = Vec::new();
    for (rule, folder) in fixtures() {
        let ran = check(&folder, "fires.json");
        let rules: Vec<String> = ran.findings().into_iter().map(|(rule, _)| rule).collect();
        if (ran.code, &rules) != (1, &vec![rule.clone()]) {
            broken.push(format!("{rule}: {} {rules:?} {}", ran.code, ran.stderr));
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn each_rule_is_silent_on_its_look_alikes() {
    let mut broken = Vec::new();
    for (rule, folder) in fixtures() {
        let ran = check(&folder, "silent.json");
        let found = ran.findings();
        if (ran.code, found.len()) != (0, 0) {
            broken.push(format!("{rule}: {} {found:?} {}", ran.code, ran.stderr));
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}
