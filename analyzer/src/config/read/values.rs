//! Single values of `spanlint.toml`, and what is wrong with them.

use std::ops::Range;

use globset::{Glob, GlobSet};
use jiff::civil::Date;
use toml::de::{DeTable, DeValue};

use super::{Reader, Value};
use crate::architecture::Pattern;
use crate::config::ConfigError;
use crate::nearest::{MIN_LIKENESS, nearest};

impl Reader<'_> {
    /// One of the `known` words; `what` is what errors call it.
    pub(super) fn one_of<T: Copy>(&mut self, what: &str, value: &Value<'_>, known: &[(&'static str, T)]) -> Option<T> {
        let text = self.text_of(what, value)?;
        let found = known.iter().find(|(word, _)| *word == text).map(|(_, meant)| *meant);
        if found.is_none() {
            let words: Vec<_> = known.iter().map(|(word, _)| *word).collect();
            self.unknown(value.span(), what, &text, "", &words);
        }
        found
    }

    pub(super) fn table<'v, 'i>(&mut self, value: &'v Value<'i>, place: &str) -> Option<&'v DeTable<'i>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.error(value.span(), format!("{place} wants to be a table"));
        }
        table
    }

    pub(super) fn number(
        &mut self,
        key: &str,
        value: &Value<'_>,
        wanted: &str,
        is_fit: impl Fn(f64) -> bool,
    ) -> Option<f64> {
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

    pub(super) fn whole(&mut self, key: &str, value: &Value<'_>) -> Option<u64> {
        let is_whole = |number: f64| number >= 0.0 && number.fract() == 0.0;
        self.number(key, value, "a whole number of 0 or more", is_whole).map(|number| number as u64)
    }

    pub(super) fn text_of(&mut self, key: &str, value: &Value<'_>) -> Option<String> {
        let text = value.get_ref().as_str().map(str::trim).filter(|text| !text.is_empty());
        if text.is_none() {
            self.error(value.span(), format!("`{key}` wants a text"));
        }
        text.map(str::to_owned)
    }

    /// A text, or a list of at least one.
    pub(super) fn texts(&mut self, key: &str, value: &Value<'_>) -> Vec<String> {
        match value.get_ref().as_array() {
            Some(array) if array.is_empty() => {
                self.error(value.span(), format!("`{key}` wants at least one text"));
                Vec::new()
            }
            Some(array) => array.iter().filter_map(|value| self.text_of(key, value)).collect(),
            None => self.text_of(key, value).into_iter().collect(),
        }
    }

    pub(super) fn globs(&mut self, key: &str, value: &Value<'_>) -> Vec<Pattern> {
        let values = value.get_ref().as_array().map_or_else(|| vec![value], |array| array.iter().collect());
        let mut globs = Vec::with_capacity(values.len());
        for value in values {
            match value.get_ref().as_str() {
                Some(text) => globs.extend(self.glob(key, text, value.span())),
                None => self.error(value.span(), format!("`{key}` wants a glob, or a list of globs")),
            }
        }
        globs
    }

    pub(super) fn glob(&mut self, key: &str, text: &str, span: Range<usize>) -> Option<Pattern> {
        match Glob::new(text).and_then(|glob| GlobSet::new([glob])) {
            Ok(glob) => Some(Pattern { text: text.to_owned(), glob }),
            Err(error) => {
                self.error(span, format!("`{key}` has a glob that cannot be read: {}", error.kind()));
                None
            }
        }
    }

    pub(super) fn date(&mut self, key: &str, value: &Value<'_>) -> Option<Date> {
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

    pub(super) fn unknown(&mut self, span: Range<usize>, what: &str, name: &str, place: &str, known: &[&str]) {
        let hint = match nearest(name, known.iter().copied()) {
            Some((likeness, nearest)) if likeness >= MIN_LIKENESS => format!("did you mean `{nearest}`?"),
            _ => format!("there are {}", known.join(", ")),
        };
        let place = if place.is_empty() { String::new() } else { format!(" in {place}") };
        self.error(span, format!("unknown {what} `{name}`{place}, {hint}"));
    }

    pub(super) fn error(&mut self, span: Range<usize>, message: String) {
        let before = &self.text[..self.text.floor_char_boundary(span.start)];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        self.errors.push(ConfigError { line, column, message });
    }
}
