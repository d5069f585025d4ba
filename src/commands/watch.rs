//! `spanlint watch`: the dashboard, over live spans, over another collector or over recordings.

use std::path::PathBuf;
use std::sync::Arc;

use spanlint_analyzer::Mode;
use spanlint_collector::Collector;
use spanlint_graph::{TraceId, View, Waterfall};
use spanlint_tui::{Live, Source, Status};
use tokio::sync::watch;

use crate::attach::Attached;
use crate::cli::WatchArguments;
use crate::failure::Ending;
use crate::judge::Judge;
use crate::output;
use crate::recording::Recording;
use crate::safety;
use crate::service::{self, Service};

pub(crate) fn run(arguments: &WatchArguments) -> anyhow::Result<Ending> {
    let judge = Judge::load(&arguments.judge)?;
    service::require_terminal("`spanlint collect` receives without one, `spanlint check` judges recordings")?;
    match &arguments.attach {
        Some(url) => watch_other(url, arguments, judge),
        None if arguments.files.is_empty() => watch_live(arguments, judge),
        None => watch_recording(&arguments.files, &judge),
    }
}

fn watch_other(url: &str, arguments: &WatchArguments, judge: Judge) -> anyhow::Result<Ending> {
    let access = safety::access_of_watch(arguments)?;
    service::runtime()?.block_on(async {
        service::show(Attached::connect(url, &access, arguments.window, judge).await?).await?;
        Ok(Ending::Clean)
    })
}

fn watch_live(arguments: &WatchArguments, judge: Judge) -> anyhow::Result<Ending> {
    let config = service::collector_config(&arguments.receiver, arguments.window.unwrap_or_default(), &judge)?;
    service::runtime()?.block_on(async {
        let service = Service::start(Collector::start(config).await?, judge, None);
        // Seen once the dashboard is left.
        if let Some(sentence) = service.collector.recovery().and_then(service::recovery_sentence) {
            output::say(&sentence);
        }
        let shown = service::show(service.session).await;
        service.collector.finish().await;
        shown?;
        Ok(Ending::Clean)
    })
}

fn watch_recording(files: &[PathBuf], judge: &Judge) -> anyhow::Result<Ending> {
    let recording = Recording::read(files, judge.reading())?;
    let graph = recording.graph(None)?;
    let analysis = judge.judge(&graph, Mode::Check);
    let seen = graph.counts.seen;
    let status = Status {
        spans: graph.counts.spans,
        traces: graph.counts.traces,
        rejected: recording.rejected_spans,
        notice: Some(format!("recording: {}", recording.sources.join(", "))),
        ..Status::default()
    };
    let live = Live {
        at_ns: seen.last_ns,
        graph: Arc::new(graph),
        findings: analysis.findings.into(),
        undecided: analysis.undecided.into(),
        background: analysis.background.into(),
        status,
        ..Live::default()
    };
    let source = Arc::new(Still { live: watch::Sender::new(Arc::new(live)), recording });
    service::runtime()?.block_on(service::show(source))?;
    Ok(Ending::Clean)
}

/// One picture that never changes.
struct Still {
    live: watch::Sender<Arc<Live>>,
    recording: Recording,
}

impl Source for Still {
    fn live(&self) -> watch::Receiver<Arc<Live>> {
        self.live.subscribe()
    }

    fn trace(&self, trace_id: TraceId) -> Option<Waterfall> {
        self.recording.waterfall(trace_id)
    }

    fn set_scenario(&self, _name: &str, _is_on: bool) {}

    fn look(&self, _view: View) {}
}
