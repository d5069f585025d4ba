//! What comes beside spans: log lines, measurements, and the services of which nothing else came.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use spanlint_graph::measurement::ServiceReadings;
use spanlint_graph::span::{Resource, ResourceId};
use spanlint_graph::waterfall::LogRow;
use spanlint_graph::{LogLine, Measurement, Name, TraceId, Vocabulary};

use crate::clock::Moment;
use crate::logs::{LogStore, MAX_LOG_BYTES};
use crate::measurements::Measurements;

/// How long a service may keep silent before it counts as one that only logs: the spans of its first request have
/// settled by then.
const PATIENCE: Duration = Duration::from_secs(15);

/// The most resources that are watched for that.
const MAX_SILENT: usize = 4096;

/// Which log lines are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// `service.name`, also with `service.namespace/` before it; any where not given.
    pub service: Option<String>,
    /// The trace; any where not given.
    pub trace_id: Option<TraceId>,
    /// How many lines at most.
    pub limit: usize,
}

/// A resource that sent log lines or measurements.
#[derive(Debug)]
struct Silent {
    first: Duration,
    /// The latest time of a record that is not a fact yet, in Unix nanoseconds.
    news_ns: Option<u64>,
}

/// Everything beside spans.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) logs: LogStore,
    pub(super) measurements: Measurements,
    silent: BTreeMap<ResourceId, Silent>,
    readings: Arc<[ServiceReadings]>,
    /// Whether points came since the readings were made.
    are_readings_old: bool,
}

impl Records {
    pub(super) fn new() -> Self {
        Self {
            logs: LogStore::new(MAX_LOG_BYTES),
            measurements: Measurements::default(),
            silent: BTreeMap::new(),
            readings: Arc::default(),
            are_readings_old: false,
        }
    }

    /// Takes the records of a batch that arrived at `now`.
    pub(super) fn add(
        &mut self,
        logs: Vec<LogLine>,
        measurements: Vec<Measurement>,
        vocabulary: &Vocabulary,
        now: Moment,
    ) {
        for line in logs {
            self.notice(line.resource, now);
            self.logs.insert(line);
        }
        self.are_readings_old |= !measurements.is_empty();
        for point in measurements {
            self.notice(point.resource, now);
            self.measurements.add(point, vocabulary, now.unix_ns);
        }
    }

    fn notice(&mut self, resource: ResourceId, now: Moment) {
        if self.silent.len() < MAX_SILENT || self.silent.contains_key(&resource) {
            let silent = self.silent.entry(resource).or_insert(Silent { first: now.elapsed, news_ns: None });
            silent.news_ns = Some(now.unix_ns);
        }
    }

    /// The services that sent records for a while and no span as far as `is_traced` knows, with the time of their
    /// latest. Each comes again only with news.
    pub(super) fn silent_services(
        &mut self,
        vocabulary: &Vocabulary,
        is_traced: impl Fn(&Resource) -> bool,
        now: Moment,
    ) -> Vec<(Resource, u64)> {
        let mut found = Vec::new();
        for (id, silent) in &mut self.silent {
            let resource = vocabulary.resource(*id);
            if now.elapsed.saturating_sub(silent.first) >= PATIENCE
                && let Some(time_ns) = silent.news_ns.take()
                && !is_traced(&resource)
            {
                found.push((resource, time_ns));
            }
        }
        found
    }

    /// What every service measures now, made anew only where it changed.
    pub(super) fn readings(&mut self, vocabulary: &Vocabulary, now: Moment) -> Arc<[ServiceReadings]> {
        let has_stepped =
            self.measurements.advance(now.unix_ns) && !(self.measurements.is_empty() && self.readings.is_empty());
        if std::mem::take(&mut self.are_readings_old) || has_stepped {
            self.readings = self.measurements.readings(&vocabulary.names).into();
        }
        Arc::clone(&self.readings)
    }

    /// The lines that are asked for, the newest first.
    pub(super) fn answer(&self, query: &LogQuery, vocabulary: &Vocabulary) -> Vec<LogRow> {
        let names = &vocabulary.names;
        let is_service = |line: &LogLine, wanted: &str| {
            let service = vocabulary.resource(line.resource).service;
            let (namespace, name) = (names.text(service.namespace), names.text(service.name));
            name == wanted || wanted.strip_suffix(name).and_then(|start| start.strip_suffix('/')) == Some(namespace)
        };
        let is_wanted = |line: &LogLine| {
            query.trace_id.is_none_or(|id| id == line.trace_id)
                && query.service.as_deref().is_none_or(|wanted| is_service(line, wanted))
        };
        let found = self.logs.newest(query.limit, is_wanted);
        found.into_iter().map(|line| LogRow::new(line, vocabulary)).collect()
    }

    /// Visits every name and resource that is needed to show what is kept.
    pub(super) fn for_each(&self, name: &mut impl FnMut(Name), resource: &mut impl FnMut(ResourceId)) {
        self.measurements.for_each_name(name);
        self.logs.lines().for_each(|line| resource(line.resource));
        self.silent.keys().for_each(|id| resource(*id));
    }
}
