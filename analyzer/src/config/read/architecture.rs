//! Reads `[architecture]`.

use std::ops::Range;

use super::{Reader, Value};
use crate::architecture::{Arrow, Budget, GROUP_PREFIX, Side};
use crate::config::Config;

/// The keys of `[architecture]`.
const KEYS: [&str; 6] = ["allowed", "budgets", "forbidden", "groups", "optional", "services"];
/// The keys of a budget.
const BUDGET_KEYS: [&str; 2] = ["calls", "latency_ms_p95"];
const PLACE: &str = "[architecture]";

impl Reader<'_> {
    pub(super) fn architecture(&mut self, value: &Value<'_>, config: &mut Config) {
        // Groups come first, so that arrows can be held against them.
        let table = self.table(value, PLACE);
        for (_, value) in table.into_iter().flatten().filter(|(key, _)| key.get_ref() == "groups") {
            self.groups(value, config);
        }
        for (key, value) in table.into_iter().flatten() {
            match key.get_ref().as_ref() {
                "allowed" => config.architecture.allowed = self.arrows("allowed", value, config),
                "budgets" => self.budgets(value, config),
                "forbidden" => config.architecture.forbidden = self.arrows("forbidden", value, config),
                "groups" => {}
                "optional" => config.architecture.optional = self.arrows("optional", value, config),
                "services" => config.architecture.services = self.globs("services", value),
                unknown => self.unknown(key.span(), "key", unknown, PLACE, &KEYS),
            }
        }
    }

    fn groups(&mut self, value: &Value<'_>, config: &mut Config) {
        for (key, value) in self.table(value, "[architecture.groups]").into_iter().flatten() {
            let name = key.get_ref().to_string();
            let services = self.globs(&name, value);
            config.architecture.groups.push((name, services));
        }
        config.architecture.groups.sort_by(|left, right| left.0.cmp(&right.0));
    }

    fn arrows(&mut self, key: &str, value: &Value<'_>, config: &Config) -> Vec<Arrow> {
        let Some(values) = value.get_ref().as_array() else {
            self.error(value.span(), format!("`{key}` wants a list such as [\"cart -> stock\"]"));
            return Vec::new();
        };
        let mut arrows = Vec::with_capacity(values.len());
        for value in values {
            match value.get_ref().as_str() {
                Some(text) => arrows.extend(self.arrow(key, text, value.span(), config)),
                None => self.error(value.span(), format!("`{key}` wants texts such as \"cart -> stock\"")),
            }
        }
        arrows
    }

    fn arrow(&mut self, key: &str, text: &str, span: Range<usize>, config: &Config) -> Option<Arrow> {
        let Some((from, to)) = text.split_once("->").map(|(from, to)| (from.trim(), to.trim())) else {
            self.error(span, format!("`{key}` wants an arrow such as \"cart -> stock\""));
            return None;
        };
        let (from, to) = (self.side(key, from, span.clone(), config), self.side(key, to, span, config));
        Some(Arrow { text: text.to_owned(), from: from?, to: to? })
    }

    fn side(&mut self, key: &str, text: &str, span: Range<usize>, config: &Config) -> Option<Side> {
        if text.is_empty() {
            self.error(span, format!("`{key}` wants a name on both sides of the arrow"));
            return None;
        }
        let Some(group) = text.strip_prefix(GROUP_PREFIX) else { return self.glob(key, text, span).map(Side::Nodes) };
        let known: Vec<_> = config.architecture.groups.iter().map(|(name, _)| name.as_str()).collect();
        // Without declared groups, names are namespaces or owners, which only the spans tell.
        if !known.is_empty() && !known.contains(&group) {
            self.unknown(span, "group", group, PLACE, &known);
            return None;
        }
        Some(Side::Group(group.to_owned()))
    }

    fn budgets(&mut self, value: &Value<'_>, config: &mut Config) {
        let place = "[architecture.budgets]";
        for (key, value) in self.table(value, place).into_iter().flatten() {
            let Some(arrow) = self.arrow("budgets", key.get_ref(), key.span(), config) else { continue };
            let mut budget = Budget { arrow, calls: None, latency_ms_p95: None };
            for (key, value) in self.table(value, "a budget").into_iter().flatten() {
                match key.get_ref().as_ref() {
                    "calls" => budget.calls = self.whole("calls", value),
                    "latency_ms_p95" => {
                        let wanted = "a number of 0 or more";
                        budget.latency_ms_p95 = self.number("latency_ms_p95", value, wanted, |number| number >= 0.0);
                    }
                    unknown => self.unknown(key.span(), "key", unknown, place, &BUDGET_KEYS),
                }
            }
            if budget.calls.is_none() && budget.latency_ms_p95.is_none() {
                self.error(value.span(), "a budget wants `calls`, `latency_ms_p95` or both".to_owned());
            }
            config.architecture.budgets.push(budget);
        }
    }
}
