//! Log lines and measurements: what is kept of those that a decoder shows.

use std::borrow::Cow;

use super::BatchBuilder;
use super::confidential::{self, Confidentiality};
use crate::detail::Detail;
use crate::facts::bounded::stable_hash;
use crate::log::{LogLine, LogView, MAX_LOG_ATTRIBUTES, Severity};
use crate::measurement::{Measurement, PointView, Standard};
use crate::name::Name;
use crate::span::Value;
use crate::text::scrub;

impl BatchBuilder {
    /// The line as it may be stored and shown. What is confidential in it is masked, and held against nobody: findings
    /// cite spans.
    pub(super) fn log_line(&mut self, view: &LogView<'_>) -> LogLine {
        let kept = view.attributes.iter().filter(|(key, _)| !self.keys.is_redacted(key));
        let mut is_some_less = view.attributes.len() > MAX_LOG_ATTRIBUTES;
        let mut mask = |confidentiality, value: &Value<'_>| {
            let value = value.to_text();
            let masked = confidential::mask(confidentiality, &value);
            is_some_less |= masked.is_less;
            masked.text.into_owned()
        };
        let body = mask(Confidentiality::Unknown, &view.body);
        let attributes: Vec<(Cow<'_, str>, Cow<'_, str>)> = kept
            .take(MAX_LOG_ATTRIBUTES)
            .map(|(key, value)| (scrub(key), Cow::Owned(mask(confidential::of_key(key), value))))
            .collect();
        self.batch.may_be_confidential |= is_some_less;
        LogLine {
            trace_id: view.trace_id,
            time_ns: view.time_ns,
            span_id: view.span_id,
            resource: self.sender.id,
            severity: Severity::of(view.severity_number, &view.severity_text),
            detail: Detail::new(&body, "", attributes),
        }
    }

    /// The point, if its metric is one of those that are kept.
    pub(super) fn measurement(&self, view: &PointView<'_>) -> Option<Measurement> {
        let standard = Standard::named(&view.metric)?;
        let attributes: Vec<(Name, Name)> =
            view.attributes.iter().map(|(key, value)| (Name::of(key), Name::of(&value.to_text()))).collect();
        Some(Measurement {
            resource: self.sender.id,
            standard,
            series: stable_hash(&(self.sender.id, Name::of(&view.metric), attributes)),
            temporality: view.temporality,
            start_ns: view.start_ns,
            time_ns: view.time_ns,
            amount: view.amount,
        })
    }
}
