//! Measurements: the few standard metrics that say how a service fares, and how a decoder shows their points.
//!
//! Every other metric is counted by the decoder and never looked into. No rule sees measurements: they are doubles, and
//! facts are integers.

use std::borrow::Cow;

use crate::span::{Attribute, ResourceId};

/// What is kept of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Instrument {
    /// Processors in use: 1.5 are one and a half.
    Processors = 0,
    /// Memory that the system gave the process, in bytes.
    Memory = 1,
    /// Memory that the runtime uses (heap), in bytes.
    RuntimeMemory = 2,
    /// Requests that its server answered, and how long they took in seconds.
    Requests = 3,
}

impl Instrument {
    /// Every instrument.
    pub const ALL: [Self; 4] = [Self::Processors, Self::Memory, Self::RuntimeMemory, Self::Requests];

    /// The word that screens and reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processors => "processors",
            Self::Memory => "memory_bytes",
            Self::RuntimeMemory => "runtime_memory_bytes",
            Self::Requests => "requests",
        }
    }
}

/// A metric that is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standard {
    /// What it measures.
    pub instrument: Instrument,
    /// What its values must be multiplied with, so that they are in the instrument's unit.
    pub scale: f64,
    /// Which metric is taken where a process sends several of one instrument: the greatest rank.
    pub rank: u8,
}

impl Standard {
    /// The metric of this name, if it is one of those that are kept; stable and earlier names of the semantic
    /// conventions are equals.
    pub fn named(name: &str) -> Option<Self> {
        let standard = |instrument, scale, rank| Some(Self { instrument, scale, rank });
        match name {
            "process.cpu.time" | "dotnet.process.cpu.time" | "process.runtime.cpython.cpu_time" => {
                standard(Instrument::Processors, 1.0, 3)
            }
            "jvm.cpu.time" => standard(Instrument::Processors, 1.0, 2),
            "process.cpu.utilization" => standard(Instrument::Processors, 1.0, 1),
            "process.memory.usage" | "dotnet.process.memory.working_set" => standard(Instrument::Memory, 1.0, 2),
            "process.runtime.cpython.memory" => standard(Instrument::Memory, 1.0, 1),
            "jvm.memory.used" | "go.memory.used" | "v8js.memory.heap.used" => {
                standard(Instrument::RuntimeMemory, 1.0, 2)
            }
            "process.runtime.jvm.memory.usage"
            | "process.runtime.go.mem.heap_alloc"
            | "nodejs.memory.heap.used"
            | "dotnet.gc.last_collection.heap.size" => standard(Instrument::RuntimeMemory, 1.0, 1),
            "http.server.request.duration" => standard(Instrument::Requests, 1.0, 2),
            "http.server.duration" => standard(Instrument::Requests, 0.001, 1),
            _ => None,
        }
    }
}

/// How the values of a metric add up over time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Temporality {
    /// Not at all: each value stands for itself.
    #[default]
    Gauge,
    /// Each value is what came since the one before.
    Delta,
    /// Each value is what came since the start.
    Cumulative,
}

impl Temporality {
    /// The temporality behind OTLP's number; whatever else is taken for cumulative, the default of every SDK.
    pub fn from_otlp(number: i64) -> Self {
        if number == 1 { Self::Delta } else { Self::Cumulative }
    }
}

/// The value of one point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// A number.
    Number(f64),
    /// What a histogram holds in all.
    Distribution {
        /// How many values.
        count: u64,
        /// Their sum.
        sum: f64,
    },
}

/// A point of a metric that is kept, as a decoder shows it.
#[derive(Debug, Clone)]
pub struct PointView<'a> {
    /// The name of the metric.
    pub metric: Cow<'a, str>,
    /// How its values add up.
    pub temporality: Temporality,
    /// Since when it counts; Unix time in nanoseconds, 0 where not given.
    pub start_ns: u64,
    /// When it was measured; Unix time in nanoseconds.
    pub time_ns: u64,
    /// The value.
    pub amount: Amount,
    /// In the order sent.
    pub attributes: &'a [Attribute<'a>],
}

/// A point of a metric that is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measurement {
    /// The process that sent it.
    pub resource: ResourceId,
    /// What was measured.
    pub standard: Standard,
    /// Hash of resource, metric and attributes: the points of one series have the same.
    pub series: u64,
    /// How its values add up.
    pub temporality: Temporality,
    /// Since when it counts; Unix time in nanoseconds, 0 where not given.
    pub start_ns: u64,
    /// When it was measured; Unix time in nanoseconds.
    pub time_ns: u64,
    /// The value, as sent.
    pub amount: Amount,
}

/// What a service has of one instrument now.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What was measured.
    pub instrument: Instrument,
    /// The present value over all processes of the service; requests are those of a second.
    pub value: f64,
    /// How long a request took on average, in milliseconds; for requests only.
    pub mean_ms: Option<f64>,
    /// Earlier values, ten seconds apart, the oldest first.
    pub history: Vec<f64>,
}

/// What one service has of every instrument.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceReadings {
    /// `deployment.environment.name`, empty where not given.
    pub environment: String,
    /// The id of its node in the call graph.
    pub node_id: String,
    /// In the order of the instruments.
    pub readings: Vec<Reading>,
}
