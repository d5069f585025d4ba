//! `spanlint init` writes what holds, and never over what somebody wrote.

use crate::binary::Sandbox;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/hub-service/silent.json");

#[test]
fn a_starting_file_holds_against_the_traffic_that_it_was_made_of() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["init", FIXTURE]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = sandbox.run(&["check", "--format", "json", "--fail-on", "note", FIXTURE]);
    assert_eq!((ran.code, ran.findings()), (0, vec![]), "{ran:?}");
}

#[test]
fn what_somebody_wrote_is_not_replaced_unless_forced() {
    let sandbox = Sandbox::new();
    let path = sandbox.file("spanlint.toml", "# mine\n");
    let ran = sandbox.run(&["init", FIXTURE]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("is there already; --force replaces it"), "{ran:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "# mine\n");
    assert_eq!(sandbox.run(&["init", "--force", FIXTURE]).code, 0);
    assert!(std::fs::read_to_string(&path).unwrap().contains("[architecture]"));
}

#[test]
fn findings_of_the_baseline_do_not_count() {
    let sandbox = Sandbox::new();
    let fires = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/n-plus-one-calls/fires.json");
    let before = sandbox.run(&["check", "--format", "json", fires]);
    assert_eq!(before.code, 1, "{before:?}");
    sandbox.file("known.json", &before.stdout);
    sandbox.file("spanlint.toml", "baseline = \"known.json\"\n");
    let after = sandbox.run(&["check", "--format", "json", fires]);
    assert_eq!(after.code, 0, "{after:?}");
    assert_eq!(after.report()["findings"][0]["suppressed"], "in the baseline");
    sandbox.file("known.json", "{}");
    let broken = sandbox.run(&["check", fires]);
    assert_eq!(broken.code, 2, "{broken:?}");
}
