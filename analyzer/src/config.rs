//! Configuration, validated: levels, thresholds, support, roles and ignores.
//!
//! Reading the file from disk, finding it and overriding it by flags is the caller's work; the text comes in here.

mod read;

use std::collections::BTreeMap;
use std::fmt;

use globset::GlobSet;
use jiff::civil::Date;

use crate::coverage::Sampling;
use crate::finding::{Finding, Severity};
use crate::roles::DeclaredRoles;
use crate::rule::RuleMeta;

/// A validated configuration. The default is that of an empty file.
#[derive(Debug, Clone, Default)]
pub struct Config {
    rules: BTreeMap<&'static str, RuleConfig>,
    pub(crate) support: SupportConfig,
    sampling: Option<Sampling>,
    roles: DeclaredRoles,
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

    /// How the input was sampled, if the configuration tells.
    pub fn sampling(&self) -> Option<Sampling> {
        self.sampling
    }

    /// Why `finding` does not count on the day `today`, if an `[[ignore]]` says so.
    pub fn ignored(&self, finding: &Finding, today: Date) -> Option<String> {
        self.ignores.iter().find(|ignore| ignore.covers(finding, today)).map(|ignore| match ignore.expires {
            Some(expires) => format!("{} (until {expires})", ignore.reason),
            None => ignore.reason.clone(),
        })
    }

    pub(crate) fn threshold(&self, rule: &RuleMeta, option: &str) -> Option<f64> {
        self.rules.get(rule.name)?.thresholds.get(option).copied()
    }
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
    /// One for each pattern; a finding must have a service for every one of them.
    services: Vec<GlobSet>,
    reason: String,
    /// The last day on which it holds.
    expires: Option<Date>,
}

impl Ignore {
    fn covers(&self, finding: &Finding, today: Date) -> bool {
        let holds = self.expires.is_none_or(|last| today <= last);
        let names_all = || self.services.iter().all(|glob| finding.services.iter().any(|name| glob.is_match(name)));
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

            [sampling]
            kind = "tail"

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
        assert_eq!(config.sampling(), Some(Sampling::Tail));
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
    fn columns_count_characters() {
        check("[roles]\nauth = [\"é\", 1]\n", &["spanlint.toml:2:14: `auth` wants a glob, or a list of globs"]);
    }
}
