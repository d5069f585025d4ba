//! What facts know of requests, calls and ways, each by the smallest trace that shows it.

use std::collections::BTreeMap;

use spanlint_graph::facts::histogram::{bucket, bucket_middle};
use spanlint_graph::facts::{Exemplars, Histogram, Parameters};
use spanlint_graph::snapshot::{CallPattern, Edge, Operation};
use spanlint_graph::{CallGraph, TraceId};

use crate::notation::graph;

const QUERY: &str = "db.system.name=postgresql server.address=db db.namespace=shop db.query.text=";

/// Lines of spans one level below the first, one after another, each of `ms` milliseconds.
fn one_after_another(count: u64, ms: u64, line: impl Fn(u64) -> String) -> String {
    (0..count).map(|each| line(each).replace("TIME", &format!("{}+{ms}", each * ms))).collect()
}

fn operation<'a>(graph: &'a CallGraph, name: &str) -> &'a Operation {
    graph.operations.iter().find(|operation| operation.name == name).expect("an operation of that name")
}

fn edge<'a>(graph: &'a CallGraph, from: &str, to: &str) -> &'a Edge {
    let is_between = |edge: &&Edge| graph.node(edge.from).name == from && graph.node(edge.to).name == to;
    graph.edges.iter().find(is_between).expect("an edge between them")
}

fn pattern<'a>(graph: &'a CallGraph, template: &str) -> &'a CallPattern {
    graph.patterns.iter().find(|pattern| pattern.template.contains(template)).expect("a pattern with that template")
}

fn only(histogram: &Histogram) -> u64 {
    assert_eq!(histogram.count(), 1);
    histogram.quantile(1.0)
}

#[test]
fn statements_repeat_under_parents_of_one_name() {
    let queries = |from: u64| {
        let line = |each: u64| {
            let id = from + each;
            format!(
                "  a internal \"Item.load\" {0}+2\n    a client \"q\" {0}+2 {QUERY}SELECT/**/x/**/FROM/**/t/**/WHERE/**/id={id}\n",
                id * 2
            )
        };
        (0..4).map(line).collect::<String>()
    };
    let other = format!(
        "  a internal \"Other.load\" 90+2\n    a client \"q\" 90+2 {QUERY}SELECT/**/x/**/FROM/**/t/**/WHERE/**/id=9\n"
    );
    let graph = graph(&format!("a server \"x\" 0+100\n{}{other}", queries(0)));
    let repetition = pattern(&graph, "SELECT").facts.repetitions.keys().next().copied().unwrap();
    assert_eq!((repetition.distinct, repetition.share, repetition.parameters), (4, 8, Parameters::Known));
    assert_eq!(repetition.union_ns, bucket(8_000_000));
    assert_eq!(pattern(&graph, "SELECT").tables, ["t"]);
}

#[test]
fn resolvers_named_after_their_path_are_one_place() {
    let distinct = |name: &dyn Fn(u64) -> String| {
        let line = |each: u64| {
            let (name, at) = (name(each), each * 2);
            format!(
                "  a internal \"{name}\" {at}+2\n    a client \"q\" {at}+2 {QUERY}SELECT/**/x/**/FROM/**/t/**/WHERE/**/id=$1\n"
            )
        };
        let graph = graph(&format!("a server \"x\" 0+100\n{}", (0..4).map(line).collect::<String>()));
        pattern(&graph, "SELECT").facts.repetitions.keys().next().unwrap().distinct
    };
    assert_eq!(distinct(&|each| format!("graphql.resolve reviews.{each}.author")), 4);
    assert_eq!(distinct(&|each| format!("/reviews[{each}]/author")), 4);
    // Words that hold a digit are names, and so are those that differ in anything else.
    assert_eq!(distinct(&|each| format!("Item{each}Repository.load")), 1);
    assert_eq!(distinct(&|each| ["a.0.owner", "b.0.owner", "c.0.owner", "d.0.owner"][each as usize].to_owned()), 1);
}

#[test]
fn statements_in_turn_are_a_sequence() {
    let line = |each: u64| {
        let table = ["orders", "lines", "prices"][each as usize % 3];
        format!("  a client \"q\" TIME {QUERY}SELECT/**/x/**/FROM/**/{table}/**/WHERE/**/id=?\n")
    };
    let graph = graph(&format!("a server \"x\" 0+200\n{}", one_after_another(9, 10, line)));
    let sequences: Vec<_> = graph.patterns.iter().flat_map(|pattern| pattern.facts.sequences.keys()).collect();
    assert_eq!(sequences.len(), 1);
    assert_eq!((sequences[0].length, sequences[0].repeats, sequences[0].share), (3, 3, 45));
    assert_eq!(pattern(&graph, "orders").facts.sequenced.worst(), Some((3, TraceId(1))));
}

#[test]
fn statements_in_turn_are_a_sequence_below_repositories_of_their_own() {
    let statements = (0..3).flat_map(|round| {
        ["orders", "items", "taxes"].into_iter().enumerate().map(move |(place, table)| {
            let start = round * 30 + place * 10;
            format!(
                "\n  a internal \"{table}Repository.find\" {start}+9\n    \
                 a client \"q\" {start}+8 db.system=postgresql db.name=a db.statement=SELECT/**/*/**/FROM/**/{table}"
            )
        })
    });
    let graph = graph(&format!("a server \"GET /\" 0+100{}", statements.collect::<String>()));
    let sequences: Vec<_> = graph.patterns.iter().flat_map(|pattern| pattern.facts.sequences.keys()).collect();
    assert_eq!(sequences.len(), 1);
    assert_eq!((sequences[0].length, sequences[0].repeats, sequences[0].share), (3, 3, 72));
}

#[test]
fn a_write_in_between_is_no_repetition() {
    let get = "  a client \"GET\" TIME http.request.method=GET url.full=http://b/items/7\n";
    let put = "  a client \"PUT\" TIME http.request.method=PUT url.full=http://b/items/7\n";
    let repeats = |calls: &[&str]| {
        let trace = one_after_another(calls.len() as u64, 5, |each| calls[each as usize].to_owned());
        let graph = graph(&format!("a server \"x\" 0+99\n{trace}"));
        pattern(&graph, "GET").facts.repeats.quantile(1.0)
    };
    assert_eq!(repeats(&[get, get, get]), 3);
    assert_eq!(repeats(&[get, get, put, get]), 2);
    assert_eq!(repeats(&[get, put, get]), 0);
}

#[test]
fn what_one_call_would_have_saved_is_the_union_less_the_longest() {
    let line = |each: u64| format!("  a client \"GET\" TIME http.request.method=GET url.full=http://b/items/{each}\n");
    let graph = graph(&format!("a server \"x\" 0+99\n{}", one_after_another(6, 10, line)));
    assert_eq!(only(&pattern(&graph, "GET").facts.saved), bucket_middle(bucket(50_000_000)));
}

#[test]
fn calls_one_after_another_make_a_run() {
    let line = |each: u64| format!("  a client \"GET\" TIME http.request.method=GET url.full=http://b{each}/x\n");
    let calls = one_after_another(4, 100, line);
    let graph = graph(&format!("a server \"x\" 0+1000\n{calls}  a client \"GET\" 350+90 server.address=c"));
    let run = operation(&graph, "x").facts.serial.keys().next().copied().unwrap();
    assert_eq!((run.floor, run.calls, run.saved_ns, run.share), (0, 4, bucket(300_000_000), 30));
}

#[test]
fn fan_out_counts_calls_without_statements_and_divides_by_the_messages_of_a_batch() {
    let call = |each: u64| format!("  a client \"GET\" TIME server.address=b{each}\n");
    let calls = one_after_another(6, 5, call);
    let statement = format!("  a client \"q\" 60+5 {QUERY}SELECT/**/1/**/FROM/**/t\n");
    let message = "  a producer \"send\" 70+5 messaging.system=kafka messaging.destination.name=t\n";
    let alone = graph(&format!("a server \"x\" 0+99\n{calls}{statement}{message}"));
    let facts = &operation(&alone, "x").facts;
    assert_eq!((only(&facts.fan_out), only(&facts.child_calls), facts.relays), (6, 7, 0));
    let batch = "messaging.system=kafka messaging.destination.name=in messaging.batch.message_count=3";
    let consumed = graph(&format!("a consumer \"process\" 0+99 {batch}\n{calls}"));
    assert_eq!(only(&operation(&consumed, "process in").facts.fan_out), 2);
    let relay = graph("a server \"x\" 0+99\n  a client \"GET\" 0+90 server.address=b");
    assert_eq!(operation(&relay, "x").facts.relays, 1);
    let alone = graph("a client \"GET\" 0+90 server.address=b");
    assert_eq!(operation(&alone, "GET").facts.relays, 0);
    let shard = |each: u64| format!("  a client \"GET\" TIME server.address=b-{each}\n");
    let shards = graph(&format!("a server \"x\" 0+99\n{}", one_after_another(9, 5, shard)));
    assert_eq!((only(&operation(&shards, "x").facts.fan_out), operation(&shards, "x").facts.relays), (1, 0));
    let nowhere = graph("a server \"x\" 0+99\n  a client \"GET\" 0+90");
    assert_eq!((operation(&nowhere, "x").facts.relays, only(&operation(&nowhere, "x").facts.fan_out)), (0, 0));
}

#[test]
fn requests_from_outside_know_how_far_they_reach() {
    let graph = graph(
        "a server \"x\" 0+100
  a client \"y\" 10+80
    b server \"y\" 20+60
      b client \"z\" 30+40
        c server \"z\" 40+20
      b producer \"send\" 75+1 messaging.system=kafka messaging.destination.name=t
        d consumer \"process\" 90+50 messaging.system=kafka messaging.destination.name=t",
    );
    let facts = &operation(&graph, "x").facts;
    assert_eq!((only(&facts.depth), only(&facts.services_touched), only(&facts.trace_calls)), (2, 4, 2));
    assert_eq!(operation(&graph, "y").facts.depth.count(), 0);
    let critical = |name: &str| {
        let node = graph.nodes.iter().find(|node| node.name == name).unwrap();
        node.service.as_ref().unwrap().facts.critical_ns / 1_000_000
    };
    assert_eq!(["a", "b", "c", "d"].map(critical), [40, 40, 20, 0]);
    assert_eq!(graph.counts.critical_ns, 100_000_000);
}

#[test]
fn the_busiest_request_of_a_trace_stands_for_it() {
    let request = |name: &str, calls: u64| {
        let calls = one_after_another(calls, 10, |at| format!("    stock server \"GET /s\" {at}+5\n"));
        format!("  cart server \"{name}\" 0+900\n{calls}")
    };
    let trace = |requests: &[String]| format!("web server \"GET /\" 0+1000\n{}\n", requests.concat());
    let graph = graph(
        &[
            trace(&[request("GET /a", 7), request("GET /b", 3)]),
            trace(&[request("GET /a", 2), request("GET /a", 7)]),
            trace(&[request("GET /a", 1)]),
        ]
        .concat(),
    );
    let facts = &edge(&graph, "cart", "stock").facts;
    let cell = |calls| (bucket(calls), bucket(1));
    assert_eq!(facts.per_trace, BTreeMap::from([(cell(7), 2)]));
    assert_eq!((facts.traces, facts.requests), (3, 5));
}

#[test]
fn retries_on_two_layers_multiply() {
    let inner = |at: u64| {
        format!(
            "  a client \"y\" {at}+40 server.address=b status=error
    b server \"y\" {at}+40 status=error
      b client \"z\" {at}+9 server.address=c status=error
      b client \"z\" {}+9 server.address=c status=error\n",
            at + 10
        )
    };
    let graph = graph(&format!("a server \"x\" 0+100\n{}{}", inner(0), inner(50)));
    let (outer, inner) = (&edge(&graph, "a", "b").facts, &edge(&graph, "b", "c").facts);
    assert_eq!((outer.retries, outer.layered_retries, only(&outer.attempts)), (1, 0, 2));
    assert_eq!((inner.retries, inner.layered_retries), (2, 2));
}

#[test]
fn a_callee_that_goes_on_after_its_caller_gave_up_is_abandoned() {
    let call = |outcome: &str, end: u64| {
        let trace = format!(
            "a server \"x\" 0+400 host=h\n  a client \"y\" 10+90 {outcome} host=h\n    b server \"y\" 20+{end}"
        );
        edge(&graph(&trace), "a", "b").facts.clone()
    };
    let timed_out = call("error.type=timeout", 280);
    assert_eq!(only(&timed_out.abandoned), bucket_middle(bucket(200_000_000)));
    assert_eq!((timed_out.abandoned_exemplars.worst().unwrap().1, timed_out.skew.count()), (TraceId(1), 0));
    assert_eq!(call("", 280).abandoned.count(), 0);
}

#[test]
fn clocks_differ_only_between_hosts() {
    let skewed = |callee: &str| {
        let trace =
            format!("a server \"x\" 0+99 host=one\n  a client \"y\" 10+50 host=one\n    b server \"y\" 5+20 {callee}");
        edge(&graph(&trace), "a", "b").facts.skew.count()
    };
    assert_eq!(["host=two", "host=one", ""].map(skewed), [1, 0, 0]);
    let outlasted = |call: &str| {
        let trace = format!(
            "a server \"x\" 0+99 host=one\n  a client \"y\" 10+50 host=one {call}\n    b server \"y\" 11+80 host=two"
        );
        edge(&graph(&trace), "a", "b").facts.skew.count()
    };
    assert_eq!(["", "status=error"].map(outlasted), [1, 0]);
}

#[test]
fn failures_are_followed_from_where_they_begin_to_the_outside() {
    let graph = graph(
        "a server \"x\" 0+100 status=error
  a client \"y\" 10+80 status=error
    b server \"y\" 20+60 status=error
      b client \"z\" 30+40 status=error
        c server \"z\" 40+20 status=error

a server \"x\" 0+100
  a client \"y\" 10+80
    b server \"y\" 20+60
      b client \"z\" 30+40 status=error
        c server \"z\" 40+20 status=error",
    );
    assert_eq!(graph.failures.len(), 1);
    let path: Vec<_> = graph.failures[0].nodes.iter().map(|&node| graph.node(node).name.as_str()).collect();
    let facts = &graph.failures[0].facts;
    assert_eq!((path, facts.failed, facts.entry_failed), (vec!["c", "b", "a"], 2, 1));
}

#[test]
fn loops_count_their_turns() {
    let graph = graph(
        "a server \"x\" 0+99
  a client \"y\" 1+90
    b server \"y\" 2+80
      b client \"z\" 3+70
        a server \"z\" 4+60
          a client \"y\" 5+50
            b server \"y\" 6+40
              b client \"z\" 7+30
                a server \"z\" 8+20",
    );
    assert_eq!(only(&graph.loops[0].facts.turns), 2);
    assert_eq!(edge(&graph, "b", "a").facts.revisits, 2);
}

#[test]
fn a_loop_too_long_for_its_key_is_counted() {
    let mut trace = String::from("s0 server \"x\" 0+99\n");
    for (depth, service) in [1, 2, 3, 4, 5, 6, 7, 8, 0].into_iter().enumerate() {
        let indent = "  ".repeat(depth * 2 + 1);
        let (caller, from) = (if depth == 0 { 0 } else { depth }, depth * 2 + 1);
        let call = format!("{indent}s{caller} client \"y\" {from}+50\n{indent}  s{service} server \"y\" {from}+50\n");
        trace.push_str(&call);
    }
    let graph = graph(&trace);
    assert!(graph.loops.is_empty());
    assert!(graph.overflow.contains(&("loops", 1)), "{:?}", graph.overflow);
}

#[test]
fn a_request_that_writes_twice_is_told_unless_it_keeps_an_outbox() {
    let insert = |table: &str| format!("  a client \"q\" 0+5 {QUERY}INSERT/**/INTO/**/{table}/**/VALUES/**/(1)\n");
    let send = "  a producer \"send\" 10+5 messaging.system=kafka messaging.destination.name=orders\n";
    let writes = |calls: &str| graph(&format!("a server \"x\" 0+99\n{calls}")).dual_writes.len();
    assert_eq!(writes(&format!("{}{send}", insert("orders"))), 1);
    assert_eq!(writes(&format!("{}{}{send}", insert("orders"), insert("order_outbox"))), 0);
    assert_eq!(writes(&format!("{}{}{send}", insert("orders"), insert("IntegrationEventLog"))), 0);
    assert_eq!(writes(&insert("orders")), 0);
    assert_eq!(writes(send), 0);
}

#[test]
fn a_command_without_its_key_is_never_the_same_again() {
    let repeats = |command: &str| {
        let call = format!("  a client \"q\" 1+2 db.system=redis db.statement={command}\n").repeat(3);
        graph(&format!("a server \"x\" 0+99\n{call}")).patterns[0].facts.repeats.count()
    };
    assert_eq!((repeats("GET/**/cart:7"), repeats("GET")), (1, 0));
}

#[test]
fn steps_of_a_driver_are_no_statements_beside_the_one_that_they_serve() {
    let query = format!("{QUERY}SELECT/**/x/**/FROM/**/t");
    let step = |name: &str, ms: u64| format!("  a client \"{name}\" 1+{ms} {query}\n");
    let steps =
        [step("PDO::prepare", 1), step("PDOStatement::execute", 50), step("PDOStatement::fetchAll", 1)].concat();
    let facts = |calls: &str| graph(&format!("a server \"x\" 0+99\n{calls}")).patterns[0].facts.clone();
    let pattern = facts(&steps);
    assert_eq!((pattern.calls, pattern.set_up_calls, pattern.latency.sum() / 1_000_000), (1, 0, 50));
    let alone = facts(&step("PDO::prepare", 1));
    assert_eq!((alone.calls, alone.set_up_calls), (1, 1));
}

#[test]
fn slices_and_pools_say_when_and_how_much_at_once() {
    let graph = graph(&format!(
        "a server \"x\" 0+9 instance=i1\n  a client \"q\" 0+4 instance=i1 {QUERY}SELECT/**/1/**/FROM/**/t\n
a server \"x\" 25000+9 instance=i1\n  a client \"q\" 25000+4 instance=i1 status=error {QUERY}SELECT/**/1/**/FROM/**/t"
    ));
    let slices: Vec<_> = edge(&graph, "a", "shop")
        .facts
        .slices
        .iter()
        .map(|(slice, facts)| (slice, facts.calls, facts.failures))
        .collect();
    assert_eq!(slices, [(0, 1, 0), (2, 1, 1)]);
    assert_eq!((graph.pools.len(), graph.pools[0].instance.as_str(), graph.pools[0].facts.slices.len()), (1, "i1", 2));
}

#[test]
fn a_half_traced_callee_is_one_callee() {
    let call = |each: u64, traced: &str| {
        let client = format!("  a client \"GET\" {each}+1 http.request.method=GET url.full=http://b:80/items/{each}\n");
        let server = format!("    b server \"GET\" {each}+1 http.request.method=GET http.route=/items/:id\n");
        if traced == "yes" { client + &server } else { client }
    };
    let calls: String = (0..6).map(|each| call(each, if each % 2 == 0 { "yes" } else { "no" })).collect();
    let graph = graph(&format!("a server \"x\" 0+99\n{calls}"));
    let facts = &pattern(&graph, "/items/:id").facts;
    assert_eq!((facts.calls, facts.repetitions.keys().next().unwrap().distinct), (6, 6));
    let edge = &edge(&graph, "a", "b").facts;
    assert_eq!((edge.calls, edge.traced_calls, edge.traces), (6, 3, 1));
}

#[test]
fn the_first_trace_cited_shows_the_pattern() {
    let mut exemplars = Exemplars::default();
    (1..=40).for_each(|calls| exemplars.offer(calls, TraceId(calls.into())));
    for calls in [4, 5, 10, 20, 31] {
        assert_eq!(exemplars.typical(calls), Some(TraceId(calls.into())));
    }
}

#[test]
fn who_is_sent_on_asks_one_question() {
    let line = |each: u64| {
        let status = if each == 4 { 200 } else { 302 };
        format!(
            "  a client \"GET\" TIME http.request.method=GET url.full=http://b/{each} http.response.status_code={status}\n"
        )
    };
    let graph = graph(&format!("a server \"x\" 0+100\n{}", one_after_another(5, 5, line)));
    let repetitions: Vec<_> = pattern(&graph, "GET").facts.repetitions.keys().map(|each| each.distinct).collect();
    assert_eq!(repetitions, [1]);
}

#[test]
fn the_time_of_sidecars_is_the_networks() {
    let graph = graph(
        "a server \"x\" 0+99
  a client \"GET\" 10+60 server.address=b
    a.default client \"b/*\" 20+40 component=proxy
      b.default server \"b/*\" 30+20 component=proxy
        b server \"y\" 38+4",
    );
    let time = |ms: u64| bucket_middle(bucket(ms * 1_000_000));
    let called = edge(&graph, "a", "b");
    assert_eq!(only(&operation(&graph, "y").facts.self_time), time(4));
    assert_eq!(only(&called.facts.caller_latency), time(60));
    assert_eq!(only(&called.facts.overhead), time(56));
}

#[test]
fn how_long_a_stream_lasts_says_nothing_whoever_tells_of_it() {
    let stream = "http.request.method=GET http.response.header.content-type=text/event-stream";
    for (sent, taken) in [(stream, ""), ("", stream)] {
        let graph =
            graph(&format!("a server \"x\" 0+99\n  a client \"GET\" 10+60 {sent}\n    b server \"y\" 11+58 {taken}"));
        let called = &edge(&graph, "a", "b").facts;
        assert_eq!((called.streams, called.caller_latency.count()), (1, 0));
    }
}
