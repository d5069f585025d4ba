//! The JSON Schema of `spanlint.toml`, so that editors complete and check it while it is written.
//!
//! It is made of the same lists that the reader goes by: rules and their options, roles, kinds of sampling.

use serde_json::{Map, Value, json};

use crate::coverage::Sampling;
use crate::roles::Role;
use crate::rule::RuleMeta;
use crate::rules;

/// The schema, indented, with a line feed at its end.
pub fn schema() -> String {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "spanlint.toml",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "architecture": architecture(),
            "baseline": {"type": "string", "description": "An earlier JSON report whose findings do not count any more."},
            "ignore": {"type": "array", "items": ignore()},
            "owners": table(
                "Who owns a service.",
                [("keys".to_owned(), texts("Keys of resource attributes that name the owner, in order of preference."))],
            ),
            "roles": table(
                "What services are for: globs over their names.",
                Role::ALL.iter().map(|(name, _)| ((*name).to_owned(), globs(""))),
            ),
            "rules": table(
                "Levels and thresholds.",
                rules::ALL.iter().map(|rule| (rule.meta().name.to_owned(), rule_options(rule.meta()))),
            ),
            "sampling": table(
                "How the input was sampled.",
                [("kind".to_owned(), json!({"enum": Sampling::ALL.map(|(word, _)| word)}))],
            ),
            "support": table("What a pattern needs to be judged.", support()),
        },
    });
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is a plain value");
    text.push('\n');
    text
}

fn table(description: &str, properties: impl IntoIterator<Item = (String, Value)>) -> Value {
    let properties: Map<String, Value> = properties.into_iter().collect();
    json!({"type": "object", "description": description, "additionalProperties": false, "properties": properties})
}

fn rule_options(rule: &RuleMeta) -> Value {
    let level =
        json!({"enum": ["off", "note", "warning", "error"], "description": "Off, or the severity of every finding."});
    let option = |option: &crate::rule::OptionMeta| {
        let schema = json!({"type": "number", "minimum": 0, "default": option.default, "description": option.help});
        (option.name.to_owned(), schema)
    };
    table(rule.summary, rule.options.iter().map(option).chain([("level".to_owned(), level)]))
}

fn support() -> [(String, Value); 6] {
    let whole = |description: &str| json!({"type": "integer", "minimum": 0, "description": description});
    [
        ("min_calls", whole("Calls that an edge needs.")),
        ("min_minutes", whole("Minutes of input that a rule about time needs.")),
        (
            "min_prevalence",
            json!({"type": "number", "minimum": 0, "maximum": 1, "description": "Lower bound of the share of requests."}),
        ),
        ("min_requests", whole("Requests that a statistic needs.")),
        ("min_services", whole("Services that a rule about the whole system needs.")),
        ("min_traces", whole("Traces that a statistic or an edge needs.")),
    ]
    .map(|(name, schema)| (name.to_owned(), schema))
}

fn ignore() -> Value {
    let names: Vec<_> = rules::ALL.iter().map(|rule| rule.meta().name).collect();
    let mut ignore = table(
        "Findings that are known and do not count.",
        [
            ("rule".to_owned(), json!({"enum": names})),
            ("reason".to_owned(), json!({"type": "string", "minLength": 1})),
            ("services".to_owned(), globs("A finding must have a service for every one of these.")),
            (
                "expires".to_owned(),
                json!({"type": "string", "description": "The last day on which it holds: 2027-03-31."}),
            ),
        ],
    );
    ignore["required"] = json!(["rule", "reason"]);
    ignore
}

fn architecture() -> Value {
    let arrow = json!({"type": "string", "pattern": "^.*\\S.*->.*\\S.*$", "description": "caller -> callee"});
    let budget = json!({
        "type": "object",
        "additionalProperties": false,
        "minProperties": 1,
        "properties": {
            "calls": {"type": "integer", "minimum": 0, "description": "The most calls of one request."},
            "latency_ms_p95": {"type": "number", "minimum": 0, "description": "The 95th percentile, in milliseconds."},
        },
    });
    table(
        "What is declared of the system, for the contract rules and the groups.",
        [
            ("services".to_owned(), globs("Services that belong to the system.")),
            ("allowed".to_owned(), json!({"type": "array", "items": arrow})),
            ("forbidden".to_owned(), json!({"type": "array", "items": arrow})),
            ("optional".to_owned(), json!({"type": "array", "items": arrow})),
            ("groups".to_owned(), json!({"type": "object", "additionalProperties": globs("Services of the group.")})),
            ("budgets".to_owned(), json!({"type": "object", "additionalProperties": budget})),
        ],
    )
}

/// A text, or a list of at least one.
fn texts(description: &str) -> Value {
    let one = json!({"type": "string", "minLength": 1});
    json!({"description": description, "anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})
}

/// A glob, or a list of them.
fn globs(description: &str) -> Value {
    let one = json!({"type": "string"});
    json!({"description": description, "anyOf": [one, {"type": "array", "items": one}]})
}
