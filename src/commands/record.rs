//! `spanlint record`: what arrives, in a file.

use std::io::{self, Write};
use std::time::Duration;

use spanlint_collector::assemble::Settle;
use spanlint_collector::live::{Finished, LiveSettings};
use spanlint_collector::receiver::Tap;
use spanlint_collector::{Collector, CollectorConfig};
use spanlint_graph::file;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::cli::RecordArguments;
use crate::failure::Ending;
use crate::recorder::{OutputFile, Sink, Written};
use crate::{output, service, wrapped};

pub(crate) fn run(arguments: &RecordArguments) -> anyhow::Result<Ending> {
    let file = OutputFile::of(&arguments.output)?;
    let config = if arguments.command.is_empty() {
        service::otlp_config(&arguments.otlp)?
    } else {
        // The end of the command is the end of its traces.
        let live = LiveSettings { settle: Settle::AtEnd, ..LiveSettings::default() };
        CollectorConfig { live, ..CollectorConfig::private() }
    };
    let runtime = if arguments.command.is_empty() { service::runtime()? } else { Runtime::new()? };
    runtime.block_on(record(arguments, &file, config))
}

async fn record(arguments: &RecordArguments, file: &OutputFile, config: CollectorConfig) -> anyhow::Result<Ending> {
    let (tap, writing) = Writing::start(file)?;
    let collector = Collector::start(CollectorConfig { tap: tap.clone(), ..config }).await?;
    let addresses = collector.addresses();
    let otlp = addresses.otlp_http;
    let shown = arguments.output.display();
    let code = if arguments.command.is_empty() {
        let otlp = addresses.otlp_grpc.iter().chain(&addresses.otlp_http).map(ToString::to_string);
        let otlp: Vec<String> = otlp.collect();
        output::say(&format!("recording OTLP (gRPC and HTTP) from {} in {shown}", otlp.join(" and ")));
        until_stopped(arguments.duration, tap.as_ref()).await?;
        0
    } else {
        wrapped::run(&arguments.command, otlp.expect("a private collector receives OTLP")).await?
    };
    let finished = collector.finish().await;
    if let (0, false, Some(otlp)) = (finished.status.accepted_spans, arguments.command.is_empty(), otlp) {
        output::say(&format!("note: {}", wrapped::sent_nothing(&arguments.command, otlp)));
    }
    let left_out = tap.as_ref().map_or(0, Tap::left_out);
    // Nothing can be recorded any more, which is how the writer knows its end.
    drop(tap);
    let written = writing.finish(&finished).await.map_err(|error| file.cannot_write(error))?;
    let spans = output::count(finished.status.accepted_spans, "span");
    output::say(&match written {
        Some(Written { requests, bytes }) => {
            format!("{shown} has {spans} in {} of {bytes} bytes", output::count(requests, "request"))
        }
        None => format!("{shown} has the facts of {spans}"),
    });
    if left_out > 0 {
        let requests = output::count(left_out, "request");
        output::say(&format!("note: {requests} of metrics or logs left out, which have no place there"));
    }
    Ok(Ending::of_command(code))
}

/// Waits for a signal, for the time that was asked for, or until nothing can be written any more.
async fn until_stopped(duration: Option<Duration>, tap: Option<&Tap>) -> io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let is_over = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    let is_broken = async {
        match tap {
            Some(tap) => tap.closed().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = is_over => {}
        () = is_broken => {}
    }
    Ok(())
}

/// A file while it is written.
enum Writing {
    /// By a thread of its own, as requests arrive.
    Requests(JoinHandle<io::Result<Written>>),
    /// At the end, in one go.
    Facts(Box<Sink>),
}

impl Writing {
    /// Creates the file; answers where copies of requests go as well.
    fn start(file: &OutputFile) -> anyhow::Result<(Option<Tap>, Self)> {
        let sink = file.create()?;
        let Some(encoding) = file.shape.encoding() else { return Ok((None, Self::Facts(Box::new(sink)))) };
        let (tap, requests) = Tap::new(encoding);
        Ok((Some(tap), Self::Requests(tokio::task::spawn_blocking(move || sink.write_requests(encoding, requests)))))
    }

    /// Writes what is left. Answers how many requests were written, where they were.
    async fn finish(self, finished: &Finished) -> io::Result<Option<Written>> {
        match self {
            Self::Requests(writer) => writer.await?.map(Some),
            Self::Facts(mut sink) => {
                sink.write_all(&file::write(&finished.facts, &finished.vocabulary.names))?;
                sink.finish().map(|()| None)
            }
        }
    }
}
