//! Each rule has a recording on which it fires and one, full of benign look-alikes, on which it is silent.

use std::path::PathBuf;

use crate::binary::Sandbox;

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

#[test]
fn each_rule_fires_on_its_fault_alone() {
    for (rule, folder) in fixtures() {
        let path = folder.join("fires.json");
        let ran = Sandbox::new().run(&["check", "--format", "json", path.to_str().unwrap()]);
        let rules: Vec<String> = ran.findings().into_iter().map(|(rule, _)| rule).collect();
        assert_eq!((ran.code, rules), (1, vec![rule]), "{ran:?}");
    }
}

#[test]
fn each_rule_is_silent_on_its_look_alikes() {
    for (rule, folder) in fixtures() {
        let path = folder.join("silent.json");
        let ran = Sandbox::new().run(&["check", "--format", "json", path.to_str().unwrap()]);
        assert_eq!((ran.code, ran.findings()), (0, vec![]), "{rule}: {ran:?}");
    }
}
