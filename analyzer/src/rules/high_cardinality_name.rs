//! Span names with something of the request in them: an id, a path, a query. Each becomes an operation of its own.
//!
//! The signal is how many different names a service's spans have.

use spanlint_graph::snapshot::ServiceInfo;
use spanlint_graph::{CallGraph, NodeIndex};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Support, Undecided, Verdict};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::wording;

/// The rule.
pub(super) struct HighCardinalityName;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "high-cardinality-name",
    category: Category::Telemetry,
    severity: Severity::Warning,
    confidence: Confidence::Proven,
    status: Status::Stable("0.1.0"),
    summary: "The spans of a service have too many different names.",
    looks_like: "The list of operations has thousands of lines, each with an order number in it and each called once; no \
                 average, alert or comparison can be made of them.",
    why: "A span's name is what requests are grouped by. Where every request has a name of its own there is nothing to group, \
          and stores that index names grow with every request.",
    how: "Different names of a service's spans are counted. The pattern holds where there are `min_names` or more, and more \
          than `max_names` to a thousand spans, those of sidecars left out.",
    fix: "Name spans by the route or the operation, `GET /orders/{id}`, and put the id into an attribute.",
    limits: "Above 256 different names the count is an estimate, with an error of about 6 %.",
    references: &["OpenTelemetry specification: Span, name", "Instrumentation score specification"],
    instrumentation_score: &["SPA-003"],
    options: &[
        OptionMeta {
            name: "max_names",
            default: 200.0,
            help: "Different names to a thousand spans up to which names tell operations.",
        },
        OptionMeta {
            name: "min_names",
            default: 100.0,
            help: "Different names that make the pattern: fewer may each be an operation that was rarely asked for.",
        },
    ],
    absorbs: &[],
};

impl Rule for HighCardinalityName {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for (index, node) in graph.indexed_nodes() {
            let Some(service) = &node.service else { continue };
            let names = service.facts.span_names.count();
            let spans = own_spans(service);
            if names < options.whole("min_names") || names * 1000 <= options.whole("max_names") * spans {
                continue;
            }
            verdict.take(judge(graph, options, index, service, (names, spans)));
        }
        verdict
    }
}

/// The spans of a service without those of its sidecars, whose names are those of hosts; a proxy that stands alone has no
/// others.
fn own_spans(service: &ServiceInfo) -> u64 {
    let (spans, of_proxies) = (service.facts.spans, service.facts.proxy_spans);
    if of_proxies * 2 > spans { spans } else { spans - of_proxies }
}

fn judge(
    graph: &CallGraph,
    options: &Options<'_>,
    index: NodeIndex,
    service: &ServiceInfo,
    (names, spans): (u64, u64),
) -> Result<Finding, Undecided> {
    let case = Case::new(graph, options, [index]);
    let name = &graph.node(index).name;
    case.finding(Draft {
        title: format!("the spans of {name} have {names} different names"),
        message: format!("{} of {name} have {names} different names.", wording::count(spans, "span")),
        fix: format!("Let {name} name its spans by route or operation, and put what differs into attributes."),
        evidence: vec![
            Evidence::of("names", names as f64, "names").against(options.number("min_names")),
            Evidence::of("names_per_1000_spans", names as f64 * 1000.0 / spans.max(1) as f64, "names")
                .against(options.number("max_names")),
        ],
        support: Support::of(names.min(spans), spans),
        traces: service.facts.exemplars.worst().map_or_else(Vec::new, |(most, _)| service.facts.exemplars.proof(most)),
        ..case.draft()
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_graph, graph};

    fn requests(names: u32, each: u32) -> String {
        (0..names).map(|name| format!("{each} traces\ncart GET /cart/x{name}")).collect::<Vec<_>>().join("\n\n")
    }

    #[test]
    fn a_name_for_each_request_is_too_many() {
        check(
            "high-cardinality-name",
            &requests(100, 1),
            &["warning proven: the spans of cart have 100 different names"],
        );
        check("high-cardinality-name", &requests(99, 1), &[]);
    }

    #[test]
    fn sidecars_hide_no_names() {
        for (of_sidecars, expected) in
            [(0, &[][..]), (250, &["warning proven: the spans of cart have 100 different names"])]
        {
            let mut graph = graph(&requests(100, 5));
            let cart = graph.nodes.iter_mut().find(|node| node.name == "cart").unwrap();
            cart.service.as_mut().unwrap().facts.proxy_spans = of_sidecars;
            check_graph("high-cardinality-name", &graph, "", expected);
        }
    }

    #[test]
    fn many_names_of_many_spans_are_operations() {
        check("high-cardinality-name", &requests(201, 6), &[]);
    }
}
