//! Configuration, validated: levels, thresholds, support, roles and ignores.
//!
//! Reading the file from disk, finding it and overriding it by flags is the caller's work; the text comes in here.

mod read;
mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use globset::GlobSet;
use jiff::civil::Date;
use serde::Deserialize;

use crate::architecture::Architecture;
use crate::coverage::Sampling;
use crate::finding::{Finding, Severity};
use crate::roles::DeclaredRoles;
use crate::rule::RuleMeta;

pub use schema::schema;

/// A validated configuration. The default is that of an empty file.
#[derive(Debug, Clone, Default)]
pub struct Config {
    rules: BTreeMap<&'static str, RuleConfig>,
    pub(crate) support: SupportConfig,
    sampling: Option<Sampling>,
    roles: DeclaredRoles,
    owner_keys: Option<Vec<String>>,
    architecture: Architecture,
    baseline: Option<String>,
    /// Fingerprints of the findings of the baseline.
    known: BTreeSet<String>,
    ignores: Vec<Ignore>,
}

impl Config {
    /// Reads the text of `spanlint.toml`; `file_name` is how errors call it. All errors are found at once.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, ConfigErrors> {
        read::read(text).map_err(|errors| ConfigErrors { file_name: file_name.to_owned(), errors })
    }

    /// The level that is set for a rule.
    pub fn level(&self, rule: &RuleMeta) -> Option<Level> {
        self.rules.get(rule.name).and_then(|rule| rule.level)
    }

    /// The roles that are declared.
    pub fn roles(&self) -> &DeclaredRoles {
        &self.roles
    }

    /// The keys of resource attributes that name the owner of a service, in order of preference, where they are declared.
    /// They are read when spans are, which is not done here.
    pub fn owner_keys(&self) -> Option<&[String]> {
        self.owner_keys.as_deref()
    }

    /// What is declared of the system.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// The file of the baseline, as written; relative to the configuration.
    pub fn baseline(&self) -> Option<&str> {
        self.baseline.as_deref()
    }

    /// Takes the findings of an earlier report, as JSON, as known: they do not count any more.
    pub fn know(&mut self, report: &str) -> Result<(), serde_json::Error> {
        let report: BaselineReport = serde_json::from_str(report)?;
        self.known.extend(report.findings.into_iter().map(|finding| finding.fingerprint));
        Ok(())
    }

    /// How the input was sampled, if the configuration tells.
    pub fn sampling(&self) -> Option<Sampling> {
        self.sampling
    }

    /// Why `finding` does not count on the day `today`, if an `[[ignore]]` or the baseline says so.
    pub fn ignored(&self, finding: &Finding, today: Date) -> Option<String> {
        let ignored = self.ignores.iter().find(|ignore| ignore.covers(finding, today));
        match ignored {
            Some(Ignore { reason, expires: Some(expires), .. }) => Some(format!("{reason} (until {expires})")),
            Some(Ignore { reason, .. }) => Some(reason.clone()),
            None => self.known.contains(&finding.fingerprint()).then(|| "in the baseline".to_owned()),
        }
    }

    pub(crate) fn threshold(&self, rule: &RuleMeta, option: &str) -> Option<f64> {
        self.rules.get(rule.name)?.thresholds.get(option).copied()
    }
}

/// What is read of a report that serves as a baseline.
#[derive(Debug, Deserialize)]
struct BaselineReport {
    findings: Vec<BaselineFinding>,
}

#[derive(Debug, Deserialize)]
struct BaselineFinding {
    fingerprint: String,
}

/// `[rules.<name>]`.
#[derive(Debug, Clone, Default)]
struct RuleConfig {
    level: Option<Level>,
    thresholds: BTreeMap<&'static str, f64>,
}

/// `level = "…"` of a rule: the user's word wins over the severity that the rule would choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The rule is not run.
    Off,
    /// Every finding of the rule has this severity.
    Report(Severity),
}

/// `[support]`. A pattern short of it is undecided.
#[derive(Debug, Clone, PartialEq)]
pub struct SupportConfig {
    /// Requests that a statistic needs.
    pub min_requests: u64,
    /// Traces that a statistic or an edge needs, where set.
    pub min_traces: Option<u64>,
    /// Calls that an edge needs.
    pub min_calls: u64,
    /// Services that a rule about the whole system needs.
    pub min_services: u64,
    /// Minutes that a rule about time needs.
    pub min_minutes: u64,
    /// Lower bound of the share of requests that show a pattern.
    pub min_prevalence: f64,
}

impl SupportConfig {
    /// Traces with the pattern that a statistic needs.
    pub fn statistic_traces(&self) -> u64 {
        self.min_traces.unwrap_or(5)
    }

    /// Traces that an edge of the graph needs.
    pub fn edge_traces(&self) -> u64 {
        self.min_traces.unwrap_or(3)
    }

    /// Requests that prove a pattern in live traffic: three, less only where one trace is said to be enough.
    pub fn live_requests(&self) -> u64 {
        self.min_traces.unwrap_or(3).min(3)
    }
}

impl Default for SupportConfig {
    fn default() -> Self {
        Self {
            min_requests: 30,
            min_traces: None,
            min_calls: 10,
            min_services: 6,
            min_minutes: 5,
            min_prevalence: 0.05,
        }
    }
}

/// `[[ignore]]`: findings that are known and do not count.
#[derive(Debug, Clone)]
struct Ignore {
    rule: &'static str,
    /// One for each pattern; a finding must have a service, or an edge to or from a node with this id, for every one of
    /// them.
    services: Vec<GlobSet>,
    reason: String,
    /// The last day on which it holds.
    expires: Option<Date>,
}

impl Ignore {
    fn covers(&self, finding: &Finding, today: Date) -> bool {
        let holds = self.expires.is_none_or(|last| today <= last);
        let ends = || finding.subject.edges.iter().flat_map(|(from, to)| [from, to]);
        let is_named = |glob: &GlobSet| finding.services.iter().chain(ends()).any(|name| glob.is_match(name));
        let names_all = || self.services.iter().all(is_named);
        holds && self.rule == finding.rule.name && names_all()
    }
}

/// Whether a recording is judged, which is complete, or live traffic, which goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A recording.
    Check,
    /// A window of live traffic.
    Live,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    file_name: String,
    /// In the order of the file.
    pub errors: Vec<ConfigError>,
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{}:{}:{}: {}", self.file_name, error.line, error.column, error.message)?;
        }
        Ok(())
    }
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Lower case, no final period.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let errors = Config::parse(text, "spanlint.toml").map_or_else(|errors| errors.to_string(), |_| String::new());
        assert_eq!(errors.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_empty_file_is_the_default() {
        check("", &[]);
        assert_eq!(Config::parse("", "x").unwrap().support, SupportConfig::default());
    }

    #[test]
    fn every_key_of_a_full_file_is_taken() {
        let text = r#"
            baseline = "spanlint-baseline.json"

            [support]
            min_requests = 1
            min_traces = 1
            min_calls = 1
            min_services = 1
            min_minutes = 1
            min_prevalence = 0.0

            [rules.n-plus-one-calls]
            level = "error"
            min_calls = 10
            min_total_ms = 300.5

            [rules.chatty-services]
            level = "off"

            [roles]
            gateway = "edge-*"
            auth = ["login", "shop/token"]

            [owners]
            keys = ["acme.squad", "team"]

            [sampling]
            kind = "tail"

            [architecture]
            services = ["cart", "order-*"]
            allowed = ["cart -> stock", "group:shop -> datastore:postgresql/*"]
            forbidden = ["* -> legacy"]
            optional = ["cart -> advice"]
            groups.shop = ["cart", "order-*"]
            budgets."cart -> stock" = { calls = 3, latency_ms_p95 = 200.5 }

            [[ignore]]
            rule = "shared-database"
            services = ["billing", "order*"]
            reason = "moves out in spring"
            expires = 2027-03-01

            [[ignore]]
            rule = "cyclic-dependency"
            reason = "known"
            expires = "2027-03-01"
        "#;
        let config = Config::parse(text, "x").unwrap();
        assert_eq!(config.support.edge_traces(), 1);
        assert_eq!((config.sampling(), config.baseline()), (Some(Sampling::Tail), Some("spanlint-baseline.json")));
        assert_eq!(config.owner_keys(), Some(["acme.squad".to_owned(), "team".to_owned()].as_slice()));
        let Architecture { services, allowed, forbidden, optional, budgets, groups } = config.architecture();
        let lists = [services.len(), allowed.len(), forbidden.len(), optional.len(), budgets.len(), groups.len()];
        assert_eq!(lists, [2, 2, 1, 1, 1, 1]);
        assert_eq!((budgets[0].calls, budgets[0].latency_ms_p95), (Some(3), Some(200.5)));
        assert_eq!(config.ignores.len(), 2);
        assert!((config.rules["n-plus-one-calls"].thresholds["min_total_ms"] - 300.5).abs() < f64::EPSILON);
        assert_eq!(config.rules["chatty-services"].level, Some(Level::Off));
    }

    #[test]
    fn unknown_keys_suggest_the_nearest() {
        check(
            "[rules.n-plus-one-calls]\nmin_cals = 5\n\n[suport]\n[rules.nplusone-calls]\n[roles]\ngatway = \"x\"\n",
            &[
                "spanlint.toml:2:1: unknown key `min_cals` in [rules.n-plus-one-calls], did you mean `min_calls`?",
                "spanlint.toml:4:2: unknown key `suport`, did you mean `support`?",
                "spanlint.toml:5:8: unknown rule `nplusone-calls` in [rules], did you mean `n-plus-one-calls`?",
                "spanlint.toml:7:1: unknown key `gatway` in [roles], did you mean `gateway`?",
            ],
        );
    }

    #[test]
    fn a_key_that_is_like_no_other_gets_the_list() {
        check(
            "[support]\nzzz = 1\n",
            &["spanlint.toml:2:1: unknown key `zzz` in [support], there are min_calls, min_minutes, min_prevalence, \
               min_requests, min_services, min_traces"],
        );
    }

    #[test]
    fn wrong_values_say_what_is_wanted() {
        check(
            "[support]\nmin_prevalence = 5\nmin_traces = -1\nmin_calls = 1.5\n[rules.shared-database]\nlevel = \"loud\"\n",
            &[
                "spanlint.toml:2:18: `min_prevalence` wants a number from 0 to 1",
                "spanlint.toml:3:14: `min_traces` wants a whole number of 0 or more",
                "spanlint.toml:4:13: `min_calls` wants a whole number of 0 or more",
                "spanlint.toml:6:9: unknown level `loud`, there are off, note, warning, error",
            ],
        );
    }

    #[test]
    fn an_ignore_needs_a_rule_and_a_reason() {
        check(
            "[[ignore]]\nservices = [\"a\", 1]\nexpires = \"soon\"\n",
            &[
                "spanlint.toml:1:1: [[ignore]] wants a `reason`",
                "spanlint.toml:1:1: [[ignore]] wants a `rule`",
                "spanlint.toml:2:18: `services` wants a glob, or a list of globs",
                "spanlint.toml:3:11: `expires` wants a date such as 2027-03-31",
            ],
        );
    }

    #[test]
    fn syntax_errors_are_found_beside_others() {
        let errors = Config::parse("[support]\nmin_calls = \nmin_cals = 1\n", "x").unwrap_err();
        let lines: std::collections::BTreeSet<_> = errors.errors.iter().map(|error| error.line).collect();
        assert_eq!(lines.into_iter().collect::<Vec<_>>(), [2, 3], "{errors}");
    }

    #[test]
    fn what_is_wrong_with_an_architecture_is_said_where_it_stands() {
        check(
            "[architecture]\nallowed = [\"cart\", \"cart ->\", 1]\nforbiden = []\n\
             forbidden = [\"group:shp -> x\"]\nbudgets.\"a -> b\" = { call = 1 }\ngroups.shop = [\"a\"]\n",
            &[
                "spanlint.toml:2:12: `allowed` wants an arrow such as \"cart -> stock\"",
                "spanlint.toml:2:20: `allowed` wants a name on both sides of the arrow",
                "spanlint.toml:2:31: `allowed` wants texts such as \"cart -> stock\"",
                "spanlint.toml:3:1: unknown key `forbiden` in [architecture], did you mean `forbidden`?",
                "spanlint.toml:4:14: unknown group `shp` in [architecture], did you mean `shop`?",
                "spanlint.toml:5:20: a budget wants `calls`, `latency_ms_p95` or both",
                "spanlint.toml:5:22: unknown key `call` in [architecture.budgets], did you mean `calls`?",
            ],
        );
    }

    #[test]
    fn columns_count_characters() {
        check("[roles]\nauth = [\"é\", 1]\n", &["spanlint.toml:2:14: `auth` wants a glob, or a list of globs"]);
    }
}
