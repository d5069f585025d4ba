//! One request writes twice, in places that no transaction spans: its database and a message, or two databases. When the
//! second write fails, the two disagree for ever.
//!
//! The signal is the share of an operation's requests that write a datastore and publish, or write a second datastore.
//! Refused: an outbox, caches, two namespaces of one server (one transaction may span them), and steps that a message
//! started, which are a saga's and will be delivered again.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use spanlint_graph::facts::Entry;
use spanlint_graph::snapshot::{DatastoreInfo, DualWrite};
use spanlint_graph::{CallGraph, NodeIndex, NodeKind};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::datastore;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Undecided, Verdict};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::wording;

/// The rule.
pub(super) struct DualWriteRule;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "dual-write",
    category: Category::Data,
    severity: Severity::Note,
    confidence: Confidence::Heuristic,
    status: Status::Stable("0.1.0"),
    summary: "One request writes its database and publishes a message, or writes two databases, without an outbox.",
    looks_like: "Placing an order inserts a row, then publishes `order.placed`. Once in a while the process stops between \
                 the two: the order exists, and nobody ships it.",
    why: "No transaction spans both writes. A crash, a timeout or a full disk between them leaves two truths that nothing \
          repairs, and it happens seldom enough to be found by customers.",
    how: "Requests of one operation that write a datastore and publish to a topic, or write a second datastore, are \
          counted; those that touch a table called like an outbox, and jobs that only mark what they have read and \
          published, are not. The pattern holds from `min_share` of the operation's requests on.",
    fix: "Write the event into an outbox table within the same transaction and let a relay publish it, or write in one \
          place and derive the other from its change log.",
    limits: "Transactions cannot be seen, and an outbox under another name is taken for none. Requests that a message \
             started are a saga's own steps and are exempt, as are caches and two namespaces of one server.",
    references: &[
        "Richardson: Microservices Patterns (2018), section 3.3, Transactional outbox",
        "Kleppmann: Designing Data-Intensive Applications (2017), chapter 11, Keeping systems in sync",
    ],
    instrumentation_score: &[],
    options: &[OptionMeta {
        name: "min_share",
        default: 0.5,
        help: "Share of the operation's requests that write twice, from 0 to 1.",
    }],
    absorbs: &[],
};

impl Rule for DualWriteRule {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut groups: BTreeMap<(NodeIndex, NodeIndex, NodeIndex), Vec<&DualWrite>> = BTreeMap::new();
        for write in graph.dual_writes.iter().filter(|write| is_fault(graph, write, options)) {
            let service = graph.operation(write.operation).node;
            groups.entry((service, write.datastore, write.other)).or_default().push(write);
        }
        let mut verdict = Verdict::default();
        for (_, mut writes) in groups {
            // Stable, so that of two equal operations the one with the smaller name leads.
            writes.sort_by_key(|write| Reverse(write.facts.requests));
            verdict.take(judge(graph, options, &writes));
        }
        verdict
    }
}

fn is_fault(graph: &CallGraph, write: &DualWrite, options: &Options<'_>) -> bool {
    let facts = &graph.operation(write.operation).facts;
    let is_often = write.facts.requests as f64 >= facts.requests as f64 * options.number("min_share");
    let is_step = facts.entries[Entry::Message as usize] * 2 > facts.requests;
    is_often && !is_step && are_apart(graph, write)
}

/// Whether both hold data, and nothing can write both at once.
fn are_apart(graph: &CallGraph, write: &DualWrite) -> bool {
    let keeps = |info: &&DatastoreInfo| datastore::holds_data(info);
    let Some(first) = graph.node(write.datastore).datastore.as_ref().filter(keeps) else { return false };
    graph.node(write.other).datastore.as_ref().is_none_or(|other| {
        let is_one_server = (&first.system, &first.address) == (&other.system, &other.address);
        let is_one = datastore::is_mapper_of(first, other) || datastore::is_mapper_of(other, first);
        keeps(&other) && !is_one_server && !is_one
    })
}

fn judge(graph: &CallGraph, options: &Options<'_>, writes: &[&DualWrite]) -> Result<Finding, Undecided> {
    let lead = writes[0];
    let operation = graph.operation(lead.operation);
    let case = Case::new(graph, options, [operation.node]);
    let affected = lead.facts.requests;
    let requests = operation.facts.requests.max(affected);
    let support = options.required().strong(affected, requests, affected).map_err(|missing| case.undecided(missing))?;
    let [service, first, other] = [operation.node, lead.datastore, lead.other].map(|node| graph.node(node));
    let caller = wording::operation(&service.name, &operation.name);
    let is_message = other.kind == NodeKind::Topic;
    let second = if is_message { format!("publishes to {}", other.name) } else { format!("writes {}", other.name) };
    let others = match writes.len() - 1 {
        0 => String::new(),
        others => format!(" {} of {} do the same.", wording::count(others as u64, "more operation"), service.name),
    };
    case.finding(Draft {
        title: format!("{caller} writes {} and {second} in one request", first.name),
        message: format!(
            "{affected} of {} of {caller} write {} and {}, which no transaction spans: if the second fails, the two \
             disagree.{others}",
            wording::count(requests, "request"),
            first.name,
            if is_message { format!("publish to {}", other.name) } else { format!("write {}", other.name) },
        ),
        fix: if is_message {
            format!(
                "Let {} write the message into an outbox table of {} within the same transaction, and a relay publish it to \
                 {}.",
                service.name, first.name, other.name
            )
        } else {
            format!(
                "Let {} write one of {} and {} only, and derive the other from its changes.",
                service.name, first.name, other.name
            )
        },
        subject: Subject {
            edges: [first, other].map(|node| (service.id.clone(), node.id.clone())).to_vec(),
            datastore: Some(first.id.clone()),
            operations: writes
                .iter()
                .map(|write| wording::operation(&service.name, &graph.operation(write.operation).name))
                .collect(),
            ..Subject::default()
        },
        evidence: vec![
            Evidence::of("share_of_requests", affected as f64 / requests as f64, "share")
                .against(options.number("min_share")),
        ],
        support,
        traces: lead.facts.exemplars.proof(operation.facts.latency.quantile(0.5)),
        ..case.draft()
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::check_with;

    fn check(below: &[&str], expected: &[&str]) {
        let traces = format!("30 traces\norder POST /order\n  {}", below.join("\n  "));
        crate::testing::check("dual-write", &traces, expected);
    }

    const ROW: &str = "sql postgresql db:5432 orders INSERT orders";

    #[test]
    fn a_row_and_a_message_are_two_truths() {
        check(
            &[ROW, "publish order.placed"],
            &["note heuristic: order POST /order writes orders and publishes to order.placed in one request"],
        );
    }

    #[test]
    fn two_databases_are_two_truths() {
        check(
            &[ROW, "sql elasticsearch es:9200 found index orders"],
            &["note heuristic: order POST /order writes orders and writes found in one request"],
        );
    }

    #[test]
    fn a_cache_hides_no_dual_write_and_is_none() {
        let cache = "sql redis cache:6379 0 SET order";
        check(&[ROW, cache], &[]);
        check(
            &[ROW, cache, "publish order.placed"],
            &["note heuristic: order POST /order writes orders and publishes to order.placed in one request"],
        );
    }

    #[test]
    fn reading_is_not_writing() {
        check(&["sql postgresql db:5432 orders SELECT orders", "publish order.seen"], &[]);
    }

    #[test]
    fn an_outbox_is_the_cure() {
        check(&[ROW, "sql postgresql db:5432 orders INSERT outbox_events", "publish order.placed"], &[]);
    }

    #[test]
    fn a_poller_that_marks_what_it_has_sent_is_a_relay() {
        let job = |first: &str| {
            format!(
                "30 traces\nschedule order relay\n  sql postgresql db:5432 orders SELECT {first}\n  publish order.placed\n  \
                 sql postgresql db:5432 orders UPDATE pending"
            )
        };
        crate::testing::check("dual-write", &job("pending"), &[]);
        let title = "note heuristic: order relay writes orders and publishes to order.placed in one request";
        crate::testing::check("dual-write", &job("customers"), &[title]);
    }

    #[test]
    fn two_namespaces_of_one_server_may_share_a_transaction() {
        check(&[ROW, "sql postgresql db:5432 audit INSERT entries"], &[]);
    }

    #[test]
    fn a_step_of_a_saga_is_delivered_again() {
        let traces = format!("30 traces\norder takes payment.done\n  {ROW}\n  publish order.placed");
        crate::testing::check("dual-write", &traces, &[]);
    }

    #[test]
    fn few_requests_are_undecided_and_a_small_share_is_none() {
        let twice = format!("order POST /order\n  {ROW}\n  publish order.placed");
        crate::testing::check("dual-write", &format!("29 traces\n{twice}"), &["(order: 29 requests seen, 30 needed)"]);
        let diluted = format!("10 traces\n{twice}\n\n30 traces\norder POST /order\n  {ROW}");
        crate::testing::check("dual-write", &diluted, &[]);
        let title = "note heuristic: order POST /order writes orders and publishes to order.placed in one request";
        check_with("dual-write", &diluted, "[rules.dual-write]\nmin_share = 0.2", &[title]);
    }
}
