//! A live session: what the collector publishes is judged, and becomes the pictures that the dashboard and the API
//! show. One task judges; everybody else reads immutable pictures.

use std::sync::{Arc, Weak};

use spanlint_analyzer::{Analysis, Mode};
use spanlint_collector::Collector;
use spanlint_collector::api::ViewProblem;
use spanlint_collector::live::{FactsReader, Published, TraceReader};
use spanlint_demo_shop::{Scenario, Switches};
use spanlint_graph::{CallGraph, TraceId, View, Waterfall};
use spanlint_tui::{Endpoint, Live, ScenarioState, Source, Status};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::judge::Judge;

/// What never changes in the pictures of a session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Frame {
    /// Where spans can be sent.
    pub(crate) endpoints: Vec<Endpoint>,
    /// The switches of the demo's scenarios.
    pub(crate) switches: Option<Switches>,
}

impl Frame {
    /// The picture of a view on what was published.
    fn picture(&self, published: &Published, view: View, graphs: &[Arc<CallGraph>], judge: &Judge) -> Live {
        let graph = graphs.first().cloned().unwrap_or_default();
        let others = graphs.iter().skip(1).map(|graph| graph.environment.as_str());
        let notice = other_environments(&graph.environment, others);
        let is_empty = graphs.is_empty();
        let analysis = if is_empty { Analysis::default() } else { judge.judge(&graph, Mode::Live) };
        Live {
            at_ns: published.at_ns,
            graph,
            findings: analysis.findings.into(),
            undecided: analysis.undecided.into(),
            background: analysis.background.into(),
            view: Some(view),
            readings: Arc::clone(&published.readings),
            status: self.status(published, notice),
        }
    }

    fn status(&self, published: &Published, notice: Option<String>) -> Status {
        let counts = published.status;
        Status {
            endpoints: self.endpoints.clone(),
            spans_per_second: counts.spans_per_second as f64,
            spans: counts.accepted_spans,
            traces: counts.settled_traces,
            rejected: counts.refused_spans,
            late: counts.late_spans,
            pending_traces: counts.pending_traces,
            notice,
            scenarios: self.scenarios(),
        }
    }

    fn scenarios(&self) -> Vec<ScenarioState> {
        let states = self.switches.iter().flat_map(Switches::list);
        let state = |(scenario, is_on): (Scenario, bool)| ScenarioState {
            name: scenario.name().to_owned(),
            description: scenario.description().to_owned(),
            is_on,
        };
        states.map(state).collect()
    }
}

/// What the user must know where more than one environment was seen.
pub(crate) fn other_environments<'a>(shown: &str, others: impl Iterator<Item = &'a str>) -> Option<String> {
    let others: Vec<&str> = others.map(|name| if name.is_empty() { "(none)" } else { name }).collect();
    let shown = if shown.is_empty() { "(none)" } else { shown };
    (!others.is_empty()).then(|| format!("showing environment {shown} only; also seen: {}", others.join(", ")))
}

/// The pictures of a session, and the task that makes them.
#[derive(Debug)]
pub(crate) struct Session {
    frame: Frame,
    judge: Judge,
    published: watch::Receiver<Arc<Published>>,
    facts: FactsReader,
    traces: TraceReader,
    /// Of what is published.
    pictures: watch::Sender<Arc<Live>>,
    /// What the dashboard looks at.
    view: watch::Sender<View>,
    /// Of that.
    shown: watch::Sender<Arc<Live>>,
    runtime: Handle,
}

impl Session {
    /// Starts to judge. The task ends when the collector does, or when the session is dropped.
    pub(crate) fn start(frame: Frame, judge: Judge, collector: &Collector) -> Arc<Self> {
        let published = collector.published();
        let first = Arc::clone(&published.borrow());
        let view = View { window: first.window, until_ns: None };
        let picture = Arc::new(frame.picture(&first, view, &[], &judge));
        let session = Arc::new(Self {
            frame,
            judge,
            published,
            facts: collector.facts(),
            traces: collector.traces(),
            pictures: watch::Sender::new(Arc::clone(&picture)),
            view: watch::Sender::new(view),
            shown: watch::Sender::new(picture),
            runtime: Handle::current(),
        });
        tokio::spawn(Self::follow(Arc::downgrade(&session)));
        session
    }

    /// Makes the pictures of everything that is published, and of every view that the dashboard asks for.
    async fn follow(session: Weak<Self>) {
        let Some((mut published, mut view)) =
            session.upgrade().map(|session| (session.published.clone(), session.view.subscribe()))
        else {
            return;
        };
        loop {
            let is_news = tokio::select! {
                changed = published.changed() => if changed.is_ok() { true } else { return },
                changed = view.changed() => if changed.is_ok() { false } else { return },
            };
            let newest = Arc::clone(&published.borrow_and_update());
            let Some(session) = session.upgrade() else { return };
            if is_news {
                session.show_published(&newest).await;
            }
            session.show_view(&newest).await;
        }
    }

    /// The view of what is published.
    fn default_view(&self) -> View {
        View { window: self.published.borrow().window, until_ns: None }
    }

    async fn show_published(self: &Arc<Self>, published: &Arc<Published>) {
        let view = View { window: published.window, until_ns: None };
        let picture = self.judged(Arc::clone(published), view, published.environments.clone()).await;
        self.pictures.send_replace(picture);
    }

    /// Shows the dashboard what it looks at. The past does not change, only what the collector tells of itself does.
    async fn show_view(self: &Arc<Self>, published: &Arc<Published>) {
        let view = *self.view.borrow();
        let is_shown = self.shown.borrow().view == Some(view);
        let picture = if view == self.default_view() {
            Ok(Arc::clone(&self.pictures.borrow()))
        } else if view.until_ns.is_some() && is_shown {
            let shown = Live::clone(&self.shown.borrow());
            let status = self.frame.status(published, shown.status.notice);
            Ok(Arc::new(Live { at_ns: published.at_ns, status, ..shown }))
        } else {
            self.view_of(published, view).await
        };
        let picture = picture.unwrap_or_else(|problem| {
            let status = self.frame.status(published, Some(problem.to_string()));
            Arc::new(Live { at_ns: published.at_ns, view: Some(view), status, ..Live::default() })
        });
        self.shown.send_replace(picture);
    }

    /// The picture of any view, as of now.
    ///
    /// # Errors
    ///
    /// When the last minute of the view is not kept, or the collector is stopping.
    pub(crate) async fn picture(self: &Arc<Self>, view: View) -> Result<Arc<Live>, ViewProblem> {
        if view == self.default_view() {
            return Ok(Arc::clone(&self.pictures.borrow()));
        }
        let published = Arc::clone(&self.published.borrow());
        self.view_of(&published, view).await
    }

    async fn view_of(self: &Arc<Self>, published: &Arc<Published>, view: View) -> Result<Arc<Live>, ViewProblem> {
        let graphs = self.facts.graphs(view).await?;
        Ok(self.judged(Arc::clone(published), view, graphs).await)
    }

    /// A large graph takes the rules a while; the tasks that receive spans must not wait for them.
    async fn judged(self: &Arc<Self>, published: Arc<Published>, view: View, graphs: Vec<Arc<CallGraph>>) -> Arc<Live> {
        let session = Arc::clone(self);
        let picture = move || Arc::new(session.frame.picture(&published, view, &graphs, &session.judge));
        tokio::task::spawn_blocking(picture).await.expect("rules do not panic")
    }

    /// The pictures of what is published, whatever the dashboard looks at.
    pub(crate) fn pictures(&self) -> watch::Receiver<Arc<Live>> {
        self.pictures.subscribe()
    }
}

impl Source for Session {
    fn live(&self) -> watch::Receiver<Arc<Live>> {
        self.shown.subscribe()
    }

    fn trace(&self, trace_id: TraceId) -> Option<Waterfall> {
        self.runtime.block_on(self.traces.waterfall(trace_id))
    }

    fn set_scenario(&self, name: &str, is_on: bool) {
        let (Some(switches), Ok(scenario)) = (&self.frame.switches, name.parse::<Scenario>()) else { return };
        switches.set(scenario, is_on);
        // The switch is shown at once, not with the next spans.
        for pictures in [&self.pictures, &self.shown] {
            pictures.send_modify(|live| {
                let mut shown = Live::clone(live);
                shown.status.scenarios = self.frame.scenarios();
                *live = Arc::new(shown);
            });
        }
    }

    fn look(&self, view: View) {
        self.view.send_replace(view);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use jiff::Timestamp;
    use spanlint_collector::CollectorConfig;
    use spanlint_collector::assemble::Settle;
    use spanlint_collector::live::LiveSettings;
    use spanlint_graph::Window;
    use tower::ServiceExt as _;

    use super::*;
    use crate::api;

    /// A session over a collector that holds one span, what receives for it, and the time of the span.
    async fn session() -> (Collector, Arc<Session>, Timestamp) {
        let settle = Settle::Quiet { complete: Duration::ZERO, incomplete: Duration::ZERO };
        let live = LiveSettings { settle, window: Window::FiveMinutes, ..LiveSettings::default() };
        let collector = Collector::start(CollectorConfig { live, ..CollectorConfig::private() }).await.unwrap();
        let session = Session::start(Frame::default(), Judge::default(), &collector);
        let now = Timestamp::now();
        let at_ns = now.as_nanosecond();
        let body = format!(
            r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"shop"}}}}]}},"scopeSpans":[{{"spans":[{{"traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0001020304050607","name":"GET /","kind":2,"startTimeUnixNano":"{at_ns}","endTimeUnixNano":"{at_ns}"}}]}}]}}]}}"#
        );
        let url = format!("http://{}/v1/traces", collector.addresses().otlp_http.unwrap());
        let request = reqwest::Client::new().post(url).header("content-type", "application/json");
        assert_eq!(request.body(body).send().await.unwrap().status(), 200);
        let mut pictures = session.pictures();
        pictures.wait_for(|live| !live.graph.nodes.is_empty()).await.unwrap();
        (collector, session, now)
    }

    fn minutes_ago(minutes: i64) -> Timestamp {
        Timestamp::now() - jiff::SignedDuration::from_mins(minutes)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_dashboard_looks_where_it_wants_and_others_see_what_is_published() {
        let (collector, session, at) = session().await;
        let mut shown = session.live();
        for view in [
            View { window: Window::All, until_ns: None },
            View { window: Window::Minute, until_ns: Some(at.as_nanosecond() as u64) },
            View { window: Window::FiveMinutes, until_ns: None },
        ] {
            session.look(view);
            let picture = shown.wait_for(|live| live.view == Some(view)).await.unwrap().clone();
            assert_eq!((picture.graph.counts.spans, &picture.status.notice), (1, &None), "{view:?}");
        }
        let gone = View { window: Window::Minute, until_ns: Some(minutes_ago(60).as_nanosecond() as u64) };
        session.look(gone);
        let picture = shown.wait_for(|live| live.view == Some(gone)).await.unwrap().clone();
        assert!(picture.graph.nodes.is_empty());
        assert!(picture.status.notice.as_ref().unwrap().contains("not kept"), "{:?}", picture.status.notice);
        let published = session.pictures().borrow().clone();
        assert_eq!((published.view, published.graph.counts.spans), (Some(session.default_view()), 1));
        collector.finish().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn findings_are_those_of_the_window_that_is_asked_for() {
        let (collector, session, at) = session().await;
        let routes = api::routes(Arc::clone(&session), collector.stopping());
        let check = async |query: &str, expected: StatusCode, words: &str| {
            let request = Request::get(format!("/api/v1/findings{query}")).body(Body::empty()).unwrap();
            let answer = routes.clone().oneshot(request).await.unwrap();
            let status = answer.status();
            let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            let body = String::from_utf8(body.into()).unwrap();
            assert!(status == expected && body.contains(words), "{query}: {status} {body}");
        };
        for query in ["", "?window=1m", "?window=all", &format!("?window=15m&at={at}")] {
            check(query, StatusCode::OK, "service:shop").await;
        }
        check("?window=7m", StatusCode::BAD_REQUEST, "15m").await;
        check("?at=noon", StatusCode::BAD_REQUEST, "no time").await;
        check(&format!("?at={}", minutes_ago(60)), StatusCode::NOT_FOUND, "history begins").await;
        collector.finish().await;
    }
}
