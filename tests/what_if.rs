//! `spanlint what-if` with the real binary: what a change would do is a number.

use crate::binary::Sandbox;

const FIRES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/n-plus-one-calls/fires.json");

#[test]
fn folding_chatty_calls_takes_the_finding_away_and_makes_the_entry_faster() {
    let ran = Sandbox::new().run(&["what-if", "fold", "cart->stock", FIRES, "--format", "json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(answer["findings_gone"][0]["rule"], "n-plus-one-calls");
    assert_eq!(answer["findings_new"], serde_json::json!([]));
    let entry = &answer["operations"][0];
    assert_eq!(entry["operation"], "web GET /cart");
    let latency = |when: &str| entry["latency_ms_p50"][when].as_f64().unwrap();
    assert!(latency("after") < latency("before") / 2.0, "{entry}");
}

#[test]
fn merging_two_services_leaves_one() {
    let ran = Sandbox::new().run(&["what-if", "merge", "cart", "stock", FIRES]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("services 3 -> 2"), "{}", ran.stdout);
    assert!(ran.stdout.contains("What if cart and stock were one service"), "{}", ran.stdout);
}

#[test]
fn a_service_that_is_not_there_is_named_with_the_nearest() {
    let ran = Sandbox::new().run(&["what-if", "merge", "cart", "stok", FIRES]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("no service `stok` in the recording"), "{}", ran.stderr);
    assert!(ran.stderr.contains("did you mean `stock`?"), "{}", ran.stderr);
}
