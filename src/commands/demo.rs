//! `spanlint demo`: the shop, its load, the collector and the dashboard (or a report) in one process.

use std::net::{Ipv4Addr, SocketAddr};

use spanlint_analyzer::Mode;
use spanlint_analyzer::report::{Report, ReportInput, Sampling};
use spanlint_collector::assemble::Settle;
use spanlint_collector::live::{Finished, LiveSettings};
use spanlint_collector::{Collector, CollectorConfig};
use spanlint_demo_shop::{LoadPlan, Shop, ShopConfig};

use crate::cli::DemoArguments;
use crate::failure::Ending;
use crate::judge::Judge;
use crate::output;
use crate::service::{self, Service};
use crate::{recording, report};

pub(crate) fn run(arguments: &DemoArguments) -> anyhow::Result<Ending> {
    if !arguments.headless {
        service::require_terminal("`spanlint demo --headless` prints a report instead")?;
    }
    let judge = Judge::named(arguments.config.as_deref())?;
    let runtime = service::runtime()?;
    if arguments.headless {
        runtime.block_on(play_to_the_end(arguments, &judge))
    } else {
        runtime.block_on(show(arguments, judge))
    }
}

async fn show(arguments: &DemoArguments, judge: Judge) -> anyhow::Result<Ending> {
    let live = LiveSettings { window: arguments.window, ..LiveSettings::default() };
    let collector = Collector::start(CollectorConfig { live, ..CollectorConfig::private() }).await?;
    let shop = open_shop(arguments, &collector).await?;
    let load = shop.start_load(LoadPlan::Paced { requests_per_second: arguments.rate });
    let service = Service::start(collector, judge, Some(shop.switches()));
    let shown = service::show(service.session).await;
    load.stop().await;
    let closed = shop.shutdown().await;
    service.collector.finish().await;
    shown?;
    closed?;
    Ok(Ending::Clean)
}

/// The same seed gives the same report, but for ids and times: the load is counted, and everything settles at the end.
async fn play_to_the_end(arguments: &DemoArguments, judge: &Judge) -> anyhow::Result<Ending> {
    let live = LiveSettings { settle: Settle::AtEnd, ..LiveSettings::default() };
    let collector = Collector::start(CollectorConfig { live, ..CollectorConfig::private() }).await?;
    let shop = open_shop(arguments, &collector).await?;
    let played = shop.run_load(LoadPlan::Counted { requests: arguments.requests }).await;
    shop.shutdown().await?;
    let Finished { facts, vocabulary, status } = collector.finish().await;
    output::say(&format!(
        "{} requests, {} orders, {} failures; {} spans",
        played.requests, played.orders, played.failures, status.accepted_spans
    ));
    let graph = recording::graph(&facts, &vocabulary, None)?;
    let analysis = judge.judge(&graph, Mode::Check);
    let input = ReportInput {
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        sources: vec!["demo".to_owned()],
        rejected_spans: status.refused_spans,
        sampling: Sampling::None,
        command_exit: None,
    };
    Ok(report::publish(&Report { input: &input, graph: &graph, analysis: &analysis }, &arguments.report)?)
}

async fn open_shop(arguments: &DemoArguments, collector: &Collector) -> anyhow::Result<Shop> {
    let otlp = collector.addresses().otlp_grpc.expect("a private collector receives OTLP");
    let config = ShopConfig {
        seed: arguments.seed,
        scenarios: arguments.scenario.clone(),
        control_address: arguments.control.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        ..ShopConfig::new(format!("http://{otlp}"))
    };
    Ok(Shop::start(config).await?)
}
