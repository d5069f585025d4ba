//! The demo shop, from end to end without a screen: healthy means no finding, each scenario means exactly its own.

use serde_json::Value;

use crate::binary::{Ran, Sandbox};

fn demo(seed: &str, scenario: Option<&str>) -> Ran {
    let mut arguments = vec!["demo", "--headless", "--seed", seed, "--requests", "500", "--format", "json"];
    arguments.extend(scenario.iter().flat_map(|name| ["--scenario", name]));
    Sandbox::new().run(&arguments)
}

/// What must not depend on time: nodes, edges with their calls, findings with their tables.
fn repeatable(report: &Value) -> (Vec<Value>, Vec<Value>, Vec<Value>) {
    let pick = |value: &Value, keys: &[&str]| -> Value {
        keys.iter().map(|key| ((*key).to_owned(), value[*key].clone())).collect::<serde_json::Map<_, _>>().into()
    };
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let nodes = list(&report["graph"]["nodes"]);
    let edges = list(&report["graph"]["edges"]);
    let edges = edges.iter().map(|edge| pick(edge, &["from", "to", "kind", "calls", "errors"])).collect();
    let findings = list(&report["findings"]);
    let findings = findings.iter().map(|finding| pick(finding, &["rule", "services", "severity", "subject"])).collect();
    (nodes, edges, findings)
}

#[test]
fn a_healthy_shop_has_no_finding() {
    for seed in ["1", "7"] {
        let ran = demo(seed, None);
        assert_eq!((ran.code, ran.findings()), (0, vec![]), "{}", ran.stderr);
        let report = ran.report();
        // A minute of a shop cannot tell what takes an hour to see; of its services nothing may stay open.
        let undecided = report["undecided"].as_array().unwrap();
        let open = undecided.iter().filter(|open| open["services"] != serde_json::json!([])).collect::<Vec<_>>();
        assert!(open.is_empty(), "seed {seed}: {open:?}");
        let count = |kind: &str| {
            let nodes = report["graph"]["nodes"].as_array().unwrap();
            nodes.iter().filter(|node| node["kind"] == kind).count()
        };
        assert_eq!(["service", "datastore", "topic", "external", "client"].map(count), [12, 11, 3, 1, 1]);
    }
}

#[test]
fn each_scenario_is_found_and_nothing_else() {
    let expected = [
        ("chatty-cart", "n-plus-one-calls", "cart,warehouse", serde_json::json!([])),
        (
            "shared-database",
            "shared-database",
            "order-processing,order-taking,recommendation",
            serde_json::json!(["order_lines", "orders"]),
        ),
        ("cyclic-dependency", "cyclic-dependency", "order-processing,payment", serde_json::json!([])),
    ];
    for (scenario, rule, services, tables) in expected {
        let ran = demo("1", Some(scenario));
        assert_eq!((ran.code, ran.findings()), (1, vec![(rule.to_owned(), services.to_owned())]), "{scenario}");
        let finding = &ran.report()["findings"][0];
        assert_eq!(finding["subject"]["tables"], tables, "{scenario}");
        assert!(!finding["traces"].as_array().unwrap().is_empty(), "{scenario} has no proof");
    }
}

#[test]
fn the_same_seed_gives_the_same_report() {
    for scenario in [None, Some("shared-database")] {
        let [first, second] = [(), ()].map(|()| demo("3", scenario).report());
        assert_eq!(repeatable(&first), repeatable(&second));
    }
}

#[test]
fn a_configuration_of_other_services_judges_the_shop_only_where_it_is_named() {
    let sandbox = Sandbox::new();
    sandbox.file("spanlint.toml", "unknown = 1\n");
    let arguments = ["demo", "--headless", "--requests", "1"];
    let ran = sandbox.run(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = sandbox.run(&[&arguments[..], &["--config", "spanlint.toml"]].concat());
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(ran.stderr.contains("spanlint.toml") && ran.stderr.contains("unknown"), "{}", ran.stderr);
}
