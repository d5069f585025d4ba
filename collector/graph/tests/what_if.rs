//! What if two services were one, or many calls one: the graph and the time that would be left.

use spanlint_graph::span::ServiceKey;
use spanlint_graph::what_if::Change;
use spanlint_graph::{CallGraph, Facts, Name, Vocabulary, resolve};

use crate::notation;

const SHOP: &str = "gateway server \"GET /\" 0+200
  gateway client \"GET\" 10+180
    cart server \"GET /cart\" 20+160
      cart client \"GET\" 30+40
        stock server \"GET /stock\" 40+20
          stock client \"q\" 42+10 db.system=mysql db.name=stock db.statement=SELECT/**/1/**/FROM/**/t
      cart client \"GET\" 80+30
        stock server \"GET /stock\" 85+20
      cart client \"GET\" 120+50
        stock server \"GET /stock\" 130+20";

fn changed(change: impl Fn(&mut Vocabulary) -> Change) -> CallGraph {
    let mut batch = notation::spans(SHOP);
    let change = change(&mut batch.vocabulary);
    let mut facts = Facts::default();
    for trace in notation::traces(batch.spans) {
        facts.add_trace(&change.apply(&trace), &batch.vocabulary);
    }
    resolve(&facts, Name::EMPTY, &batch.vocabulary.names)
}

fn service(name: &str) -> ServiceKey {
    ServiceKey { namespace: Name::EMPTY, name: Name::of(name) }
}

fn latency_ms(graph: &CallGraph, operation: &str) -> u64 {
    let operation = graph.operations.iter().find(|known| known.name == operation).expect("the operation");
    operation.facts.latency.quantile(0.5) / 1_000_000
}

#[test]
fn merged_services_call_each_other_at_no_cost() {
    let graph = changed(|vocabulary| {
        let merged = ServiceKey { namespace: Name::EMPTY, name: vocabulary.names.intern("cart+stock") };
        Change::Merge { first: service("cart"), second: service("stock"), merged }
    });
    assert_eq!(
        notation::edges(&graph),
        "client -> gateway other 1\ncart+stock -> datastore:mysql//stock database 1\ngateway -> cart+stock other 1"
    );
    // 20 + 10 + 30 ms of the network are saved.
    assert_eq!(latency_ms(&graph, "GET /").abs_diff(140), 0, "{}", latency_ms(&graph, "GET /"));
}

#[test]
fn folded_calls_take_as_long_as_the_longest() {
    let graph = changed(|_| Change::Fold { caller: service("cart"), callee: service("stock") });
    assert_eq!(notation::edges(&graph), "client -> gateway other 1\ncart -> stock other 1\ngateway -> cart other 1");
    assert!(latency_ms(&graph, "GET /").abs_diff(130) <= 2, "{}", latency_ms(&graph, "GET /"));
}
