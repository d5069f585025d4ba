//! The whole shop, with real sockets and recorded spans: what it sends, that it sends the same again, what a scenario changes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;

use crate::chassis::telemetry::Export;
use crate::chassis::testing::Recorder;
use crate::services::SERVICES;
use crate::{LoadPlan, LoadSummary, Scenario, Shop, ShopConfig};

mod export;

type Spans = Vec<(&'static str, SpanData)>;

async fn play(seed: u64, requests: u64, scenarios: &[Scenario]) -> (LoadSummary, Spans) {
    let recorder = Recorder::default();
    let config = ShopConfig { seed, scenarios: scenarios.to_vec(), ..ShopConfig::new("http://127.0.0.1:1") };
    let shop = Shop::start_exporting(config, Export::Recorder(recorder.clone())).await.unwrap();
    let summary = shop.run_load(LoadPlan::Counted { requests }).await;
    shop.shutdown().await.unwrap();
    (summary, recorder.take())
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    span.attributes.iter().find(|attribute| attribute.key.as_str() == key).map(|found| found.value.to_string())
}

/// Everything about a span that may not differ between two runs, with how often it occurs.
fn shape(spans: &Spans) -> BTreeMap<String, usize> {
    let mut shape = BTreeMap::new();
    let services: HashMap<SpanId, &str> =
        spans.iter().map(|(name, span)| (span.span_context.span_id(), *name)).collect();
    for (service, span) in spans {
        let parent = services.get(&span.parent_span_id).unwrap_or(&"-");
        let details = ["db.namespace", "db.collection.name", "http.response.status_code", "url.full", "error.type"];
        let details = details.map(|key| attribute(span, key).unwrap_or_default());
        let line = format!("{parent} > {service} {:?} {} {details:?}", span.span_kind, span.name);
        *shape.entry(line).or_default() += 1;
    }
    shape
}

/// Calls between services, over HTTP and the bus, and to whoever sends no spans.
fn edges(spans: &Spans) -> BTreeMap<(String, String), usize> {
    let mut edges = BTreeMap::new();
    let services: HashMap<SpanId, &str> =
        spans.iter().map(|(name, span)| (span.span_context.span_id(), *name)).collect();
    for (service, span) in spans {
        if let Some(caller) = services.get(&span.parent_span_id).filter(|caller| *caller != service) {
            *edges.entry(((*caller).to_owned(), (*service).to_owned())).or_default() += 1;
        }
        if attribute(span, "server.address").as_deref() == Some("payment-provider") {
            *edges.entry(((*service).to_owned(), "payment-provider".to_owned())).or_default() += 1;
        }
    }
    edges
}

/// Which service uses which table of whom.
fn tables(spans: &Spans) -> BTreeSet<String> {
    let mut tables = BTreeSet::new();
    for (service, span) in spans {
        if let (Some(owner), Some(table)) = (attribute(span, "db.namespace"), attribute(span, "db.collection.name")) {
            tables.insert(format!("{service} {} {owner}.{table}", attribute(span, "db.operation.name").unwrap()));
        }
    }
    tables
}

/// The most spans of one name that one parent has.
fn most_siblings(spans: &Spans) -> usize {
    let mut siblings: HashMap<(SpanId, &str), usize> = HashMap::new();
    for (_, span) in spans.iter().filter(|(_, span)| matches!(span.span_kind, SpanKind::Client | SpanKind::Producer)) {
        *siblings.entry((span.parent_span_id, span.name.as_ref())).or_default() += 1;
    }
    siblings.into_values().max().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_seed_plays_the_same_day() {
    let (summary, first) = play(7, 150, &[]).await;
    assert_eq!((summary.requests, summary.failures), (150, 0));
    let (_, second) = play(7, 150, &[]).await;
    assert_eq!(shape(&first), shape(&second));
    let (_, other) = play(8, 150, &[]).await;
    assert_ne!(shape(&first), shape(&other));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_shop_is_whole_and_does_nothing_twice() {
    let (_, spans) = play(1, 200, &[]).await;
    let seen: BTreeSet<&str> = spans.iter().map(|(service, _)| *service).collect();
    assert_eq!(seen, SERVICES.iter().map(|spec| spec.name).collect());
    assert_eq!(most_siblings(&spans), 1);
    for (service, span) in &spans {
        assert_eq!(span.status, Status::Unset, "{service} {span:?}");
        let foreign = attribute(span, "db.namespace").is_some_and(|owner| owner != *service);
        assert!(!foreign, "{service} {span:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_span_but_an_entry_has_its_parent() {
    let (_, spans) = play(1, 60, &[]).await;
    let ids: HashSet<SpanId> = spans.iter().map(|(_, span)| span.span_context.span_id()).collect();
    for (service, span) in &spans {
        let entry = (*service == "gateway" && span.span_kind == SpanKind::Server) || span.name == "relay outbox";
        assert_eq!(span.parent_span_id == SpanId::INVALID, entry, "{service} {span:?}");
        assert!(entry || ids.contains(&span.parent_span_id), "{service} {span:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_carries_its_context_across_the_bus() {
    let (_, spans) = play(1, 60, &[]).await;
    let producers: HashMap<SpanId, &SpanData> = (spans.iter().filter(|(_, span)| span.span_kind == SpanKind::Producer))
        .map(|(_, span)| (span.span_context.span_id(), span))
        .collect();
    let consumers: Vec<&SpanData> =
        spans.iter().map(|(_, span)| span).filter(|span| span.span_kind == SpanKind::Consumer).collect();
    assert!(!consumers.is_empty());
    for consumer in consumers {
        let producer = producers[&consumer.parent_span_id];
        assert_eq!(consumer.links.links[0].span_context.span_id(), producer.span_context.span_id());
        assert_eq!(
            attribute(consumer, "messaging.destination.name"),
            attribute(producer, "messaging.destination.name")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_private_is_told() {
    let (_, spans) = play(1, 60, &[]).await;
    let told = format!("{spans:?}");
    for private in ["@shop.example", "open sesame", "Bearer", "Ada"] {
        assert!(!told.contains(private), "{private}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chatty_cart_asks_line_by_line() {
    let (summary, spans) = play(1, 100, &[Scenario::ChattyCart]).await;
    assert_eq!(summary.failures, 0);
    assert!(most_siblings(&spans) >= 6);
    assert_eq!(edges(&spans).keys().collect::<Vec<_>>(), edges(&play(1, 100, &[]).await.1).keys().collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_database_is_used_by_three_services() {
    let (summary, spans) = play(1, 100, &[Scenario::SharedDatabase]).await;
    assert_eq!(summary.failures, 0);
    let tables = tables(&spans);
    let foreign: Vec<&str> = tables
        .iter()
        .filter(|table| table.contains(" order-taking.") && !table.starts_with("order-taking "))
        .map(String::as_str)
        .collect();
    assert_eq!(
        foreign,
        ["order-processing UPDATE order-taking.orders", "recommendation SELECT order-taking.order_lines",]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cycle_adds_one_edge() {
    let (summary, spans) = play(1, 100, &[Scenario::CyclicDependency]).await;
    assert_eq!(summary.failures, 0);
    let healthy = edges(&play(1, 100, &[]).await.1);
    let new: Vec<_> = edges(&spans).into_keys().filter(|edge| !healthy.contains_key(edge)).collect();
    assert_eq!(new, [("payment".to_owned(), "order-processing".to_owned())]);
}
