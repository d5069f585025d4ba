//! The few standard metrics of each service: the present value, and a short history in steps of ten seconds.
//!
//! A service has what its processes have in all. Points that count (processor time, requests) become rates between two
//! of them. Bounded by the number of series; what goes over is counted. Nobody judges by measurements.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use spanlint_graph::measurement::{Amount, Instrument, Measurement, Reading, ServiceReadings, Standard, Temporality};
use spanlint_graph::resolve::node_id;
use spanlint_graph::span::{NodeKey, ServiceKey};
use spanlint_graph::{Name, NameTable, Vocabulary};

/// The most series (process, metric, attributes) that are kept.
pub const MAX_SERIES: usize = 16_384;
/// How many steps a history has.
pub const MAX_STEPS: usize = 30;
/// How long a step is.
pub const STEP: Duration = Duration::from_secs(10);
/// After so long without a point a series is forgotten: its process is gone.
const SERIES_LIFETIME: Duration = Duration::from_mins(5);

/// A service within its environment.
type Owner = (Name, ServiceKey);

/// What a service has of one instrument: a value, for requests per second with the seconds they took in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Level {
    value: f64,
    busy: f64,
}

#[derive(Debug)]
struct Series {
    owner: Owner,
    standard: Standard,
    last: Measurement,
    level: Option<Level>,
    /// When a point came last, by the clock of arrival.
    seen_ns: u64,
}

/// The measurements of every service.
#[derive(Debug, Default)]
pub struct Measurements {
    series: HashMap<u64, Series>,
    histories: BTreeMap<(Owner, Instrument), VecDeque<f64>>,
    step: u64,
    taken: u64,
    dropped: u64,
}

impl Measurements {
    /// Takes a point that arrived at `now_ns` (Unix time in nanoseconds).
    pub fn add(&mut self, point: Measurement, vocabulary: &Vocabulary, now_ns: u64) {
        self.taken += 1;
        if let Some(series) = self.series.get_mut(&point.series) {
            series.level = level(&point, Some(&series.last)).or(series.level);
            series.last = point;
            series.seen_ns = now_ns;
            return;
        }
        if self.series.len() >= MAX_SERIES {
            self.dropped += 1;
            return;
        }
        let resource = vocabulary.resource(point.resource);
        let owner = (resource.environment, resource.service);
        let level = level(&point, None);
        self.series
            .insert(point.series, Series { owner, standard: point.standard, last: point, level, seen_ns: now_ns });
    }

    /// Lets the time go on to `now_ns`: each step that has ended becomes a part of the histories. Answers whether one
    /// did.
    pub fn advance(&mut self, now_ns: u64) -> bool {
        let step = now_ns / STEP.as_nanos() as u64;
        if step == self.step {
            return false;
        }
        self.step = step;
        let lifetime_ns = SERIES_LIFETIME.as_nanos() as u64;
        self.series.retain(|_, series| now_ns.saturating_sub(series.seen_ns) <= lifetime_ns);
        let levels = self.levels();
        self.histories.retain(|key, _| levels.contains_key(key));
        for (key, level) in levels {
            let history = self.histories.entry(key).or_default();
            history.push_back(level.value);
            if history.len() > MAX_STEPS {
                history.pop_front();
            }
        }
        true
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// What every service has now, sorted by environment and node id.
    pub fn readings(&self, names: &NameTable) -> Vec<ServiceReadings> {
        let mut services: BTreeMap<Owner, Vec<Reading>> = BTreeMap::new();
        for ((owner, instrument), level) in self.levels() {
            let history = self.histories.get(&(owner, instrument)).map(|steps| steps.iter().copied().collect());
            let mean_ms =
                (instrument == Instrument::Requests && level.value > 0.0).then(|| level.busy / level.value * 1e3);
            let reading = Reading { instrument, value: level.value, mean_ms, history: history.unwrap_or_default() };
            services.entry(owner).or_default().push(reading);
        }
        let service = |((environment, service), readings)| ServiceReadings {
            environment: names.text(environment).to_owned(),
            node_id: node_id(NodeKey::Service(service), names),
            readings,
        };
        let mut services: Vec<ServiceReadings> = services.into_iter().map(service).collect();
        services.sort_by(|left, right| (&left.environment, &left.node_id).cmp(&(&right.environment, &right.node_id)));
        services
    }

    /// Visits every name that is needed to show what is kept.
    pub fn for_each_name(&self, visit: &mut impl FnMut(Name)) {
        for series in self.series.values() {
            visit(series.owner.0);
            [series.owner.1.namespace, series.owner.1.name].into_iter().for_each(&mut *visit);
        }
    }

    /// How many points were taken.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// How many of them belong to series that the bound turned away.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Each service's sum over its series; where it sends several metrics of one instrument, the best one counts.
    fn levels(&self) -> BTreeMap<(Owner, Instrument), Level> {
        let mut sums: BTreeMap<(Owner, Instrument), (u8, Level)> = BTreeMap::new();
        let mut series: Vec<_> = self.series.iter().collect();
        // Sums of doubles depend on their order.
        series.sort_unstable_by_key(|(id, _)| **id);
        for (_, series) in series {
            let Some(level) = series.level else { continue };
            let sum = sums.entry((series.owner, series.standard.instrument)).or_default();
            if series.standard.rank > sum.0 {
                *sum = (series.standard.rank, Level::default());
            }
            if series.standard.rank == sum.0 {
                sum.1.value += level.value;
                sum.1.busy += level.busy;
            }
        }
        sums.into_iter().map(|(key, (_, level))| (key, level)).collect()
    }
}

/// What a point says, given the one before it in its series; none where it takes two.
fn level(point: &Measurement, before: Option<&Measurement>) -> Option<Level> {
    let scale = point.standard.scale;
    let (value, busy) = parts(point.amount);
    let is_rate = |instrument| matches!(instrument, Instrument::Processors | Instrument::Requests);
    let (value, busy, since_ns) = match (point.temporality, before) {
        (Temporality::Gauge, _) => return finite(Level { value: value * scale, busy: 0.0 }),
        (Temporality::Delta, _) => (value, busy, point.start_ns),
        (Temporality::Cumulative, _) if !is_rate(point.standard.instrument) => {
            return finite(Level { value: value * scale, busy: 0.0 });
        }
        (Temporality::Cumulative, Some(before)) => {
            let (value_before, busy_before) = parts(before.amount);
            (value - value_before, busy - busy_before, before.time_ns)
        }
        (Temporality::Cumulative, None) => return None,
    };
    // A process that started anew counts from zero again.
    if since_ns == 0 || since_ns >= point.time_ns || value < 0.0 || busy < 0.0 {
        return None;
    }
    let seconds = (point.time_ns - since_ns) as f64 / 1e9;
    match point.amount {
        Amount::Number(_) => finite(Level { value: value * scale / seconds, busy: 0.0 }),
        Amount::Distribution { .. } => finite(Level { value: value / seconds, busy: busy * scale / seconds }),
    }
}

fn parts(amount: Amount) -> (f64, f64) {
    match amount {
        Amount::Number(value) => (value, 0.0),
        Amount::Distribution { count, sum } => (count as f64, sum),
    }
}

fn finite(level: Level) -> Option<Level> {
    (level.value.is_finite() && level.busy.is_finite()).then_some(level)
}

#[cfg(test)]
mod tests {
    use spanlint_graph::span::{Resource, ResourceId};

    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn vocabulary() -> Vocabulary {
        let mut vocabulary = Vocabulary::default();
        let service = ServiceKey { name: vocabulary.names.intern("cart"), ..ServiceKey::default() };
        vocabulary.resources.insert(ResourceId(1), Resource { service, ..Resource::default() });
        vocabulary
    }

    fn point(metric: &str, series: u64, second: u64, temporality: Temporality, amount: Amount) -> Measurement {
        Measurement {
            resource: ResourceId(1),
            standard: Standard::named(metric).unwrap(),
            series,
            temporality,
            start_ns: SECOND_NS,
            time_ns: second * SECOND_NS,
            amount,
        }
    }

    /// What is read after these points (metric, series, second, temporality, amount), as text.
    #[track_caller]
    fn check(points: &[(&str, u64, u64, Temporality, Amount)], expected: &[&str]) {
        let (vocabulary, mut measurements) = (vocabulary(), Measurements::default());
        for &(metric, series, second, temporality, amount) in points {
            measurements.add(point(metric, series, second, temporality, amount), &vocabulary, second * SECOND_NS);
        }
        let readings = measurements.readings(&vocabulary.names);
        let readings = readings.iter().flat_map(|service| &service.readings);
        let shown = readings.map(|reading| {
            let mean = reading.mean_ms.map_or(String::new(), |mean| format!(" {mean} ms"));
            format!("{} {}{mean}", reading.instrument.as_str(), reading.value)
        });
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_counts_becomes_a_rate_and_what_is_stays() {
        use Amount::{Distribution, Number};
        use Temporality::{Cumulative, Delta, Gauge};
        check(&[("process.memory.usage", 1, 5, Gauge, Number(100.0))], &["memory_bytes 100"]);
        check(&[("process.cpu.time", 1, 5, Cumulative, Number(3.0))], &[]);
        let twice =
            [("process.cpu.time", 1, 5, Cumulative, Number(3.0)), ("process.cpu.time", 1, 15, Cumulative, Number(8.0))];
        check(&twice, &["processors 0.5"]);
        let restarted = [twice[0], twice[1], ("process.cpu.time", 1, 25, Cumulative, Number(1.0))];
        check(&restarted, &["processors 0.5"]);
        check(
            &[("http.server.request.duration", 1, 11, Delta, Distribution { count: 20, sum: 1.0 })],
            &["requests 2 50 ms"],
        );
        check(
            &[("http.server.duration", 1, 11, Delta, Distribution { count: 20, sum: 1000.0 })],
            &["requests 2 50 ms"],
        );
    }

    #[test]
    fn a_service_has_what_its_series_have_in_all_and_the_better_metric_counts() {
        use Amount::Number;
        use Temporality::Gauge;
        let points = [
            ("jvm.memory.used", 1, 5, Gauge, Number(100.0)),
            ("jvm.memory.used", 2, 5, Gauge, Number(20.0)),
            ("process.runtime.jvm.memory.usage", 3, 5, Gauge, Number(7.0)),
        ];
        check(&points, &["runtime_memory_bytes 120"]);
        check(&[("process.memory.usage", 1, 5, Gauge, Number(f64::NAN))], &[]);
    }

    #[test]
    fn history_and_series_are_bounded_and_silence_is_forgotten() {
        let (vocabulary, mut measurements) = (vocabulary(), Measurements::default());
        for second in 0..1_000 {
            let amount = Amount::Number(second as f64);
            let memory = point("process.memory.usage", second % 2, second, Temporality::Gauge, amount);
            measurements.add(memory, &vocabulary, second * SECOND_NS);
            measurements.advance(second * SECOND_NS);
        }
        let readings = measurements.readings(&vocabulary.names);
        let history = &readings[0].readings[0].history;
        assert_eq!((history.len(), history[29], history[28]), (MAX_STEPS, 990.0 + 989.0, 980.0 + 979.0));
        for series in 0..MAX_SERIES as u64 {
            let memory = point("process.memory.usage", series, 1_000, Temporality::Gauge, Amount::Number(1.0));
            measurements.add(Measurement { series: series + 1, ..memory }, &vocabulary, 1_000 * SECOND_NS);
        }
        assert_eq!((measurements.series.len(), measurements.dropped()), (MAX_SERIES, 1));
        measurements.advance(2_000 * SECOND_NS);
        assert!(measurements.is_empty() && measurements.readings(&vocabulary.names).is_empty());
    }
}
