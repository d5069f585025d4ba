//! Another collector's graph in this dashboard: `spanlint watch --attach URL`.
//!
//! What is fetched are facts, not verdicts: the graph is resolved and judged here, with the configuration of whoever
//! looks. When the other side is gone, the last picture stays with a notice, and comes alive again with the collector.

pub(crate) mod remote;

use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::Context;
use spanlint_analyzer::Mode;
use spanlint_graph::resolve::environments;
use spanlint_graph::{TraceId, View, Waterfall, Window, file, resolve};
use spanlint_tui::{Live, Source};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use self::remote::{Access, Remote};
use crate::judge::Judge;
use crate::session::other_environments;

/// How often the other collector is asked whether it has news.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The pictures of another collector, and the task that fetches them.
#[derive(Debug)]
pub(crate) struct Attached {
    remote: Remote,
    judge: Judge,
    pictures: watch::Sender<Arc<Live>>,
    /// What is looked at; none for what the other collector shows.
    view: watch::Sender<Option<View>>,
    runtime: Handle,
}

impl Attached {
    /// Fetches the first picture and goes on until this is dropped.
    ///
    /// # Errors
    ///
    /// When nothing answers there, or something that is not a spanlint whose snapshots can be read.
    pub(crate) async fn connect(
        url: &str,
        access: &Access,
        window: Option<Window>,
        judge: Judge,
    ) -> anyhow::Result<Arc<Self>> {
        let remote = Remote::new(url, access)?;
        let view = watch::Sender::new(window.map(|window| View { window, until_ns: None }));
        let (pictures, runtime) = (watch::Sender::default(), Handle::current());
        let attached = Arc::new(Self { remote, judge, pictures, view, runtime });
        attached.update(true).await.with_context(|| format!("cannot attach to {url}"))?;
        tokio::spawn(Self::follow(Arc::downgrade(&attached)));
        Ok(attached)
    }

    async fn follow(attached: Weak<Self>) {
        let mut ticks = tokio::time::interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_gone = false;
        let Some(mut view) = attached.upgrade().map(|attached| attached.view.subscribe()) else { return };
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                changed = view.changed() => if changed.is_err() { return },
            }
            let Some(attached) = attached.upgrade() else { return };
            // Whoever comes back may be another version.
            match attached.update(is_gone).await {
                Ok(()) => is_gone = false,
                Err(error) => {
                    is_gone = true;
                    attached.say_gone(&crate::failure::message(&error));
                }
            }
        }
    }

    /// Fetches what is new. A first contact begins with the version of the other side.
    async fn update(self: &Arc<Self>, is_first: bool) -> anyhow::Result<()> {
        if is_first {
            self.remote.check_version().await?;
        }
        let status = self.remote.status().await?;
        let at_ns: u64 = status.at_unix_ns.parse().context("its status has no time")?;
        let shown = View { window: status.window()?, until_ns: None };
        let view = self.view.borrow().unwrap_or(shown);
        let has_view = self.pictures.borrow().view == Some(view);
        if !is_first && has_view && (self.pictures.borrow().at_ns == at_ns || view.until_ns.is_some()) {
            return Ok(());
        }
        let snapshot = match self.remote.snapshot(Some(view)).await? {
            Ok(snapshot) => snapshot,
            Err(problem) => {
                let status = status.into_status(Some(problem));
                self.pictures.send_replace(Arc::new(Live { at_ns, view: Some(view), status, ..Live::default() }));
                return Ok(());
            }
        };
        let readings = self.remote.readings().await?.into();
        let attached = Arc::clone(self);
        // A large graph takes the rules a while; the dashboard must not wait for them.
        let made = tokio::task::spawn_blocking(move || {
            let (facts, names) = file::read(&snapshot)?;
            let all = environments(&facts, &names);
            let graph = resolve(&facts, all.first().copied().unwrap_or_default(), &names);
            let analysis = attached.judge.judge(&graph, Mode::Live);
            let others = other_environments(&graph.environment, all.iter().skip(1).map(|&name| names.text(name)));
            let notice = attached.remote.other_version().or(others);
            let picture = Live {
                at_ns,
                graph: Arc::new(graph),
                findings: analysis.findings.into(),
                undecided: analysis.undecided.into(),
                background: analysis.background.into(),
                view: Some(view),
                readings,
                status: status.into_status(notice),
            };
            attached.pictures.send_replace(Arc::new(picture));
            anyhow::Ok(())
        });
        made.await?
    }

    /// Keeps the last picture, and says that it is the last.
    fn say_gone(&self, reason: &str) {
        let notice = format!("this is the last picture: {reason}");
        self.pictures.send_if_modified(|live| {
            let is_news = live.status.notice.as_ref() != Some(&notice);
            if is_news {
                let mut shown = Live::clone(live);
                shown.status.spans_per_second = 0.0;
                shown.status.notice = Some(notice);
                *live = Arc::new(shown);
            }
            is_news
        });
    }
}

impl Source for Attached {
    fn live(&self) -> watch::Receiver<Arc<Live>> {
        self.pictures.subscribe()
    }

    fn trace(&self, trace_id: TraceId) -> Option<Waterfall> {
        // Whoever is gone has no trace; the notice of the picture tells why.
        self.runtime.block_on(self.remote.trace(trace_id)).ok()?
    }

    fn set_scenario(&self, _name: &str, _is_on: bool) {}

    fn look(&self, view: View) {
        self.view.send_replace(Some(view));
    }
}

#[cfg(test)]
mod tests;
