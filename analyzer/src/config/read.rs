//! Reads `spanlint.toml` strictly: an unknown key is an error that suggests the nearest known one, and every error of the
//! file is found in one go.

use std::ops::Range;

use globset::{Glob, GlobSet};
use jiff::civil::Date;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Config, ConfigError, Ignore, Level, RuleConfig};
use crate::coverage::Sampling;
use crate::finding::Severity;
use crate::roles::Role;
use crate::rules;

/// How alike (0 to 1, Jaro-Winkler) a known key must be to be suggested.
const MIN_LIKENESS: f64 = 0.8;

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
                "ignore" => self.ignores(value, &mut config),
                "roles" => self.roles(value, &mut config),
                "rules" => self.rules(value, &mut config),
                "sampling" => self.sampling(value, &mut config),
                "support" => self.support(value, &mut config),
                unknown => {
                    self.unknown(key.span(), "key", unknown, "", &["ignore", "roles", "rules", "sampling", "support"]);
                }
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

    /// One of the `known` words; `what` is what errors call it.
    fn one_of<T: Copy>(&mut self, what: &str, value: &Value<'_>, known: &[(&'static str, T)]) -> Option<T> {
        let text = self.text_of(what, value)?;
        let found = known.iter().find(|(word, _)| *word == text).map(|(_, meant)| *meant);
        if found.is_none() {
            let words: Vec<_> = known.iter().map(|(word, _)| *word).collect();
            self.unknown(value.span(), what, &text, "", &words);
        }
        found
    }

    fn roles(&mut self, value: &Value<'_>, config: &mut Config) {
        for (key, value) in self.table(value, "[roles]").into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if let Some((_, role)) = Role::ALL.into_iter().find(|(known, _)| *known == name) {
                let globs = self.globs(name, value);
                config.roles.declare(role, globs);
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
                "services" => services = self.globs("services", value),
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

    fn table<'v, 'i>(&mut self, value: &'v Value<'i>, place: &str) -> Option<&'v DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.error(value.span(), format!("{place} wants to be a table"));
        }
        table
    }

    fn number(&mut self, key: &str, value: &Value<'_>, wanted: &str, is_fit: impl Fn(f64) -> bool) -> Option<f64> {
        let number = match value.get_ref() {
            DeValue::Integer(integer) => {
                i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(|it| it as f64)
            }
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| number.is_finite() && is_fit(*number));
        if number.is_none() {
            self.error(value.span(), format!("`{key}` wants {wanted}"));
        }
        number
    }

    fn whole(&mut self, key: &str, value: &Value<'_>) -> Option<u64> {
        let is_whole = |number: f64| number >= 0.0 && number.fract() == 0.0;
        self.number(key, value, "a whole number of 0 or more", is_whole).map(|number| number as u64)
    }

    fn text_of(&mut self, key: &str, value: &Value<'_>) -> Option<String> {
        let text = value.get_ref().as_str().map(str::trim).filter(|text| !text.is_empty());
        if text.is_none() {
            self.error(value.span(), format!("`{key}` wants a text"));
        }
        text.map(str::to_owned)
    }

    fn globs(&mut self, key: &str, value: &Value<'_>) -> Vec<GlobSet> {
        let values = value.get_ref().as_array().map_or_else(|| vec![value], |array| array.iter().collect());
        let mut globs = Vec::with_capacity(values.len());
        for value in values {
            match value.get_ref().as_str().map(|text| Glob::new(text).and_then(|glob| GlobSet::new([glob]))) {
                Some(Ok(glob)) => globs.push(glob),
                Some(Err(error)) => {
                    self.error(value.span(), format!("`{key}` has a glob that cannot be read: {}", error.kind()));
                }
                None => self.error(value.span(), format!("`{key}` wants a glob, or a list of globs")),
            }
        }
        globs
    }

    fn date(&mut self, key: &str, value: &Value<'_>) -> Option<Date> {
        let text = match value.get_ref() {
            DeValue::Datetime(date) => date.to_string(),
            other => other.as_str().unwrap_or_default().to_owned(),
        };
        let date = text.parse().ok();
        if date.is_none() {
            self.error(value.span(), format!("`{key}` wants a date such as 2027-03-31"));
        }
        date
    }

    fn unknown(&mut self, span: Range<usize>, what: &str, name: &str, place: &str, known: &[&str]) {
        let likeness = |candidate: &&str| strsim::jaro_winkler(candidate, name);
        let nearest = known.iter().copied().max_by(|left, right| likeness(left).total_cmp(&likeness(right)));
        let hint = match nearest {
            Some(nearest) if likeness(&nearest) >= MIN_LIKENESS => format!("did you mean `{nearest}`?"),
            _ => format!("there are {}", known.join(", ")),
        };
        let place = if place.is_empty() { String::new() } else { format!(" in {place}") };
        self.error(span, format!("unknown {what} `{name}`{place}, {hint}"));
    }

    fn error(&mut self, span: Range<usize>, message: String) {
        let before = &self.text[..self.text.floor_char_boundary(span.start)];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        self.errors.push(ConfigError { line, column, message });
    }
}
