//! Reads `spanlint.toml` strictly: an unknown key is an error that suggests the nearest known one, and every error of the
//! file is found in one go.

mod architecture;
mod values;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Config, ConfigError, Ignore, Level, RuleConfig};
use crate::coverage::Sampling;
use crate::finding::Severity;
use crate::roles::Role;
use crate::rules;

/// The keys of the whole file.
const TABLES: [&str; 8] = ["architecture", "baseline", "ignore", "owners", "roles", "rules", "sampling", "support"];

type Value<'i> = Spanned<DeValue<'i>>;

/// The configuration that `text` describes, or everything that is wrong with it.
pub(super) fn read(text: &str) -> Result<Config, Vec<ConfigError>> {
    let (document, syntax_errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { text, errors: Vec::new() };
    for error in syntax_errors {
        reader.error(error.span().unwrap_or_default(), error.message().to_owned());
    }
    let config = reader.config(document.get_ref());
    if reader.errors.is_empty() {
        return Ok(config);
    }
    reader.errors.sort();
    // The parser may report a line that it could not read more than once.
    reader.errors.dedup();
    Err(reader.errors)
}

struct Reader<'t> {
    text: &'t str,
    errors: Vec<ConfigError>,
}

impl Reader<'_> {
    fn config(&mut self, document: &DeTable<'_>) -> Config {
        let mut config = Config::default();
        for (key, value) in document {
            match key.get_ref().as_ref() {
                "architecture" => self.architecture(value, &mut config),
                "baseline" => config.baseline = self.text_of("baseline", value),
                "ignore" => self.ignores(value, &mut config),
                "owners" => self.owners(value, &mut config),
                "roles" => self.roles(value, &mut config),
                "rules" => self.rules(value, &mut config),
                "sampling" => self.sampling(value, &mut config),
                "support" => self.support(value, &mut config),
                unknown => self.unknown(key.span(), "key", unknown, "", &TABLES),
            }
        }
        config
    }

    fn rules(&mut self, value: &Value<'_>, config: &mut Config) {
        for (key, value) in self.table(value, "[rules]").into_iter().flatten() {
            let name = key.get_ref().as_ref();
            let Some(rule) = rules::find(name) else {
                let known: Vec<_> = rules::ALL.iter().map(|rule| rule.meta().name).collect();
                self.unknown(key.span(), "rule", name, "[rules]", &known);
                continue;
            };
            let place = format!("[rules.{name}]");
            let mut parsed = RuleConfig::default();
            for (key, value) in self.table(value, &place).into_iter().flatten() {
                let name = key.get_ref().as_ref();
                let option = rule.meta().options.iter().find(|option| option.name == name);
                if let Some(option) = option {
                    let number = self.number(name, value, "a number of 0 or more", |number| number >= 0.0);
                    parsed.thresholds.extend(number.map(|number| (option.name, number)));
                } else if name == "level" {
                    parsed.level = self.level(value);
                } else {
                    let options = rule.meta().options.iter().map(|option| option.name);
                    let known: Vec<_> = options.chain(["level"]).collect();
                    self.unknown(key.span(), "key", name, &place, &known);
                }
            }
            config.rules.insert(rule.meta().name, parsed);
        }
    }

    fn level(&mut self, value: &Value<'_>) -> Option<Level> {
        const LEVELS: [(&str, Level); 4] = [
            ("off", Level::Off),
            ("note", Level::Report(Severity::Note)),
            ("warning", Level::Report(Severity::Warning)),
            ("error", Level::Report(Severity::Error)),
        ];
        self.one_of("level", value, &LEVELS)
    }

    fn support(&mut self, value: &Value<'_>, config: &mut Config) {
        const KNOWN: [&str; 6] =
            ["min_calls", "min_minutes", "min_prevalence", "min_requests", "min_services", "min_traces"];
        for (key, value) in self.table(value, "[support]").into_iter().flatten() {
            let name = key.get_ref().as_ref();
            let support = &mut config.support;
            match name {
                "min_calls" => support.min_calls = self.whole(name, value).unwrap_or_default(),
                "min_minutes" => support.min_minutes = self.whole(name, value).unwrap_or_default(),
                "min_requests" => support.min_requests = self.whole(name, value).unwrap_or_default(),
                "min_services" => support.min_services = self.whole(name, value).unwrap_or_default(),
                "min_traces" => support.min_traces = self.whole(name, value),
                "min_prevalence" => {
                    let share = self.number(name, value, "a number from 0 to 1", |share| (0.0..=1.0).contains(&share));
                    support.min_prevalence = share.unwrap_or_default();
                }
                unknown => self.unknown(key.span(), "key", unknown, "[support]", &KNOWN),
            }
        }
    }

    fn sampling(&mut self, value: &Value<'_>, config: &mut Config) {
        for (key, value) in self.table(value, "[sampling]").into_iter().flatten() {
            match key.get_ref().as_ref() {
                "kind" => config.sampling = self.one_of("sampling", value, &Sampling::ALL),
                unknown => self.unknown(key.span(), "key", unknown, "[sampling]", &["kind"]),
            }
        }
    }

    fn owners(&mut self, value: &Value<'_>, config: &mut Config) {
        for (key, value) in self.table(value, "[owners]").into_iter().flatten() {
            match key.get_ref().as_ref() {
                "keys" => config.owner_keys = Some(self.texts("keys", value)),
                unknown => self.unknown(key.span(), "key", unknown, "[owners]", &["keys"]),
            }
        }
    }

    fn roles(&mut self, value: &Value<'_>, config: &mut Config) {
        for (key, value) in self.table(value, "[roles]").into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if let Some((_, role)) = Role::ALL.into_iter().find(|(known, _)| *known == name) {
                let globs = self.globs(name, value);
                config.roles.declare(role, globs.into_iter().map(|pattern| pattern.glob).collect());
            } else {
                self.unknown(key.span(), "key", name, "[roles]", &Role::ALL.map(|(known, _)| known));
            }
        }
    }

    fn ignores(&mut self, value: &Value<'_>, config: &mut Config) {
        let Some(entries) = value.get_ref().as_array() else {
            return self.error(value.span(), "`ignore` is written [[ignore]]".to_owned());
        };
        for entry in entries {
            let ignore = self.ignore(entry);
            config.ignores.extend(ignore);
        }
    }

    fn ignore(&mut self, entry: &Value<'_>) -> Option<Ignore> {
        let (mut rule, mut reason, mut services, mut expires) = (None, None, Vec::new(), None);
        let table = self.table(entry, "[[ignore]]")?;
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "rule" => rule = self.rule_name(value),
                "reason" => reason = self.text_of("reason", value),
                "services" => {
                    let patterns = self.globs("services", value);
                    services = patterns.into_iter().map(|pattern| pattern.glob).collect();
                }
                "expires" => expires = self.date("expires", value),
                unknown => {
                    self.unknown(key.span(), "key", unknown, "[[ignore]]", &["expires", "reason", "rule", "services"]);
                }
            }
        }
        for required in ["rule", "reason"] {
            if !table.iter().any(|(key, _)| key.get_ref() == required) {
                self.error(entry.span(), format!("[[ignore]] wants a `{required}`"));
            }
        }
        Some(Ignore { rule: rule?, services, reason: reason?, expires })
    }

    fn rule_name(&mut self, value: &Value<'_>) -> Option<&'static str> {
        let name = self.text_of("rule", value)?;
        let rule = rules::find(&name);
        if rule.is_none() {
            let known: Vec<_> = rules::ALL.iter().map(|rule| rule.meta().name).collect();
            self.unknown(value.span(), "rule", &name, "", &known);
        }
        rule.map(|rule| rule.meta().name)
    }
}
