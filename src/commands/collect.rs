//! `spanlint collect`: receive without a screen, until a signal ends it.

use spanlint_collector::Collector;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::CollectArguments;
use crate::failure::Ending;
use crate::judge::Judge;
use crate::output;
use crate::service::{self, Service};

pub(crate) fn run(arguments: &CollectArguments) -> anyhow::Result<Ending> {
    output::show_log();
    let judge = Judge::load(&arguments.judge)?;
    let config = service::collector_config(&arguments.receiver, arguments.window, &judge)?;
    service::runtime()?.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let service = Service::start(Collector::start(config).await?, judge, None);
        let addresses = service.collector.addresses();
        let otlp = addresses.otlp_grpc.iter().chain(&addresses.otlp_http);
        let otlp: Vec<String> = otlp.map(ToString::to_string).collect();
        output::say(&format!("receiving OTLP (gRPC and HTTP) on {}", otlp.join(" and ")));
        if let Some(api) = addresses.api {
            output::say(&format!("answering on http://{api}/api/v1/findings"));
        }
        if let Some(zipkin) = addresses.zipkin {
            output::say(&format!("receiving Zipkin v2 on http://{zipkin}/api/v2/spans"));
        }
        if let Some(sentence) = service.collector.recovery().and_then(service::recovery_sentence) {
            output::say(&sentence);
        }
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let status = service.collector.finish().await.status;
        output::say(&format!("{} spans received, {} refused", status.accepted_spans, status.refused_spans));
        Ok(Ending::Clean)
    })
}
