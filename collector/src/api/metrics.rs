//! The collector's own numbers as Prometheus text.

use std::fmt::Write;

use crate::live::Status;
use crate::receiver::Counters;

/// The media type of the text.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Every number, with its help. A name that ends in `_total` is a counter, any other a gauge.
///
/// Sent spans are accepted, rejected or asked to come again, each exactly once per request; those under way make the
/// difference, since their answer is read before they are. So is every request, by its answer.
fn metrics(received: &Counters, live: &Status) -> [(&'static str, &'static str, u64); 33] {
    [
        ("accepted_spans_total", "Spans that are in.", received.accepted_spans.get()),
        ("rejected_spans_total", "Spans refused by name.", received.rejected_spans.get()),
        ("retry_spans_total", "Spans whose sender was asked to come again.", received.retry_spans.get()),
        ("sent_spans_total", "Spans that came: accepted, rejected or asked to come again.", received.sent_spans.get()),
        ("requests_total", "Export requests.", received.requests.get()),
        ("accepted_requests_total", "Requests that are in.", received.accepted_requests.get()),
        ("retry_requests_total", "Requests whose sender was asked to come again.", received.retry_requests.get()),
        ("abandoned_requests_total", "Requests whose sender hung up early.", received.abandoned_requests.get()),
        ("unauthorized_requests_total", "Requests of those who may not send.", received.unauthorized_requests.get()),
        ("unkept_requests_total", "Requests that the data folder could not take.", received.unkept_requests.get()),
        ("malformed_requests_total", "Requests that could not be read.", received.malformed_requests.get()),
        ("oversized_requests_total", "Requests that can never fit.", received.oversized_requests.get()),
        ("other_records_total", "Log records and metrics.", received.other_records.get()),
        ("over_limit_total", "Parts of spans that went over a bound.", received.over_limit.get()),
        ("settled_traces_total", "Traces that settled.", live.settled_traces),
        ("early_traces_total", "Traces that a bound settled before their time.", live.early_traces),
        ("late_spans_total", "Spans that came after their trace had settled.", live.late_spans),
        ("late_duplicate_spans_total", "Spans that came again after their trace had settled.", live.late_duplicates),
        ("misdated_traces_total", "Traces whose time was outside the window.", live.misdated_traces),
        ("dropped_names_total", "Names that the bound of the vocabulary turned away.", live.dropped_names),
        ("evicted_exemplars_total", "Traces thrown away that a graph cites or may cite.", live.evicted_exemplars),
        ("forgotten_minutes_total", "Minutes that cannot be gone back to any more.", live.forgotten_minutes),
        ("log_lines_total", "Log lines taken.", live.log_lines),
        ("dropped_log_lines_total", "Log lines that the bounds turned away or aged out.", live.dropped_log_lines),
        ("measurements_total", "Points of standard metrics taken.", live.measurements),
        ("dropped_measurements_total", "Points of series over the bound.", live.dropped_measurements),
        ("log_bytes", "Bytes of the log lines that can be looked at.", live.log_bytes),
        ("pending_traces", "Traces that are not settled yet.", live.pending_traces),
        ("pending_spans", "Spans of traces that are not settled yet.", live.pending_spans),
        ("pending_bytes", "Bytes of traces that are not settled yet.", live.pending_bytes),
        ("store_exhausted", "1 while the store is too small for cited traces.", u64::from(live.is_store_exhausted)),
        ("stored_traces", "Traces that can be looked at.", live.stored_traces),
        ("stored_bytes", "Bytes of the traces that can be looked at.", live.stored_bytes),
    ]
}

/// The numbers as Prometheus reads them.
pub(super) fn text(received: &Counters, live: &Status) -> String {
    let mut text = String::new();
    for (name, help, value) in metrics(received, live) {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        let name = format!("spanlint_{name}");
        writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}").expect("a string takes any text");
    }
    text
}
