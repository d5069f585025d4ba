//! What a collector is asked to do. Files and flags are read by the binary; here are only values.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use spanlint_graph::Reading;

use crate::access::Token;
use crate::durable::Retention;
use crate::limits::Limits;
use crate::live::LiveSettings;
use crate::receiver::Tap;
use crate::tls::Tls;

/// The flag that chooses the address for OTLP over gRPC.
pub const OTLP_GRPC_FLAG: &str = "--otlp-grpc";
/// The flag that chooses the address for OTLP over HTTP.
pub const OTLP_HTTP_FLAG: &str = "--otlp-http";
/// The flag that chooses the address for Zipkin.
pub const ZIPKIN_FLAG: &str = "--zipkin";
/// The flag that chooses the address of the API.
pub const API_FLAG: &str = "--api";
/// The flag that chooses the folder of the log.
pub const DATA_DIR_FLAG: &str = "--data-dir";

/// Where a collector listens, and what it keeps.
#[derive(Debug, Clone)]
pub struct CollectorConfig {
    /// Where OTLP/gRPC is expected; OTLP/HTTP is understood as well.
    pub otlp_grpc: Option<SocketAddr>,
    /// Where OTLP/HTTP is expected; OTLP/gRPC is understood as well.
    pub otlp_http: Option<SocketAddr>,
    /// Where spans of Zipkin v2 are expected, if anywhere.
    pub zipkin: Option<SocketAddr>,
    /// Where the API is served.
    pub api: Option<SocketAddr>,
    /// When traces settle, and what is kept of them.
    pub live: LiveSettings,
    /// What a request may cost.
    pub limits: Limits,
    /// Where requests are kept, so that nothing acknowledged is lost and a restart goes on; none keeps nothing.
    pub data_dir: Option<PathBuf>,
    /// How much is kept there, and for how long.
    pub retention: Retention,
    /// What senders and readers must show, if anything.
    pub token: Option<Token>,
    /// How attributes are read, and which are dropped before anything reads them.
    pub reading: Arc<Reading>,
    /// What connections are secured with, if anything.
    pub tls: Option<Tls>,
    /// Where a copy of every request goes that is taken, if anybody records.
    pub tap: Option<Tap>,
}

impl Default for CollectorConfig {
    /// The ports that OpenTelemetry names, on loopback.
    fn default() -> Self {
        let loopback = |port| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        Self {
            otlp_grpc: loopback(4317),
            otlp_http: loopback(4318),
            zipkin: None,
            api: loopback(4319),
            live: LiveSettings::default(),
            limits: Limits::default(),
            data_dir: None,
            retention: Retention::default(),
            token: None,
            reading: Arc::default(),
            tls: None,
            tap: None,
        }
    }
}

impl CollectorConfig {
    /// A collector on loopback whose ports the system chooses, as the demo and a wrapped command want it.
    pub fn private() -> Self {
        let free = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        Self { otlp_grpc: free, otlp_http: free, api: None, ..Self::default() }
    }
}
