//! Opens and closes the shop: ports, databases, providers, services, in this order and back.
//!
//! Every service is started by itself from its line of the table; nothing but the directory, the bus and the switches
//! connects them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::chassis::bus::Bus;
use crate::chassis::client::{Http, Transport, local_client};
use crate::chassis::database::Folder;
use crate::chassis::discovery::Directory;
use crate::chassis::telemetry::{self, Export, Identity, OtlpProtocol, Telemetry};
use crate::chassis::{Chassis, Spec, server};
use crate::load::{Load, LoadHandle, LoadPlan, LoadSummary};
use crate::scenarios::{Scenario, Switches};
use crate::services::{GATEWAY, SERVICES};
use crate::{control, provider};

/// How long closing waits for requests and messages that are under way.
const DRAIN: Duration = Duration::from_secs(5);

/// Above every deadline of a call, so that customers wait for the shop and not the reverse.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// How to open a shop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopConfig {
    /// Where spans go, such as `http://127.0.0.1:4317`.
    pub otlp_endpoint: String,
    /// How spans travel.
    pub protocol: OtlpProtocol,
    /// Decides prices, stock and what customers do.
    pub seed: u64,
    /// What is wrong from the start.
    pub scenarios: Vec<Scenario>,
    /// Where the control port listens; port 0 lets the system choose.
    pub control_address: SocketAddr,
}

impl ShopConfig {
    /// A healthy shop with seed 1 that sends its spans over gRPC.
    pub fn new(otlp_endpoint: impl Into<String>) -> Self {
        Self {
            otlp_endpoint: otlp_endpoint.into(),
            protocol: OtlpProtocol::Grpc,
            seed: 1,
            scenarios: Vec::new(),
            control_address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        }
    }
}

/// Why the shop could not be opened or closed.
#[derive(Debug, thiserror::Error)]
pub enum ShopError {
    /// A port could not be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// There is no place for the databases.
    #[error("cannot use a temporary folder")]
    Folder(#[source] std::io::Error),
    /// The receiver's address cannot be used.
    #[error("cannot set up the export of spans")]
    Export(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A service did not start.
    #[error("cannot start the service {service}")]
    Service {
        /// Its name.
        service: &'static str,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The last spans did not reach the receiver.
    #[error("cannot send the last spans of {service}")]
    Flush {
        /// Whose spans they were.
        service: &'static str,
        /// What the exporter said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A running shop. Close it with [`Shop::shutdown`]; dropping it loses the last spans.
#[derive(Debug)]
pub struct Shop {
    switches: Switches,
    control_address: SocketAddr,
    gateway_address: SocketAddr,
    load: Load,
    bus: Bus,
    stop: CancellationToken,
    servers: JoinSet<std::io::Result<()>>,
    providers: Vec<(&'static str, SdkTracerProvider)>,
    folder: TempDir,
}

impl Shop {
    /// Opens the shop: afterwards every service answers.
    pub async fn start(config: ShopConfig) -> Result<Self, ShopError> {
        let export = Export::Otlp { endpoint: config.otlp_endpoint.clone(), protocol: config.protocol };
        Self::start_exporting(config, export).await
    }

    pub(crate) async fn start_exporting(config: ShopConfig, export: Export) -> Result<Self, ShopError> {
        let switches = Switches::default();
        for scenario in &config.scenarios {
            switches.set(*scenario, true);
        }
        let control = listen(config.control_address).await?;
        let outside = listen(loopback()).await?;
        let mut doors = Vec::new();
        for (spec, instance) in SERVICES.iter().flat_map(|spec| (1..=spec.instances).map(move |number| (spec, number)))
        {
            doors.push((spec, instance, listen(loopback()).await?));
        }
        let addresses = doors.iter().map(|(spec, _, listener)| (spec.name, address_of(listener)));
        let directory = Directory::new(addresses.chain([(provider::NAME, address_of(&outside))]));
        let client = local_client(CALL_TIMEOUT);
        let gateway = directory.all(GATEWAY);
        let bus = Bus::default();
        let mut shop = Self {
            control_address: address_of(&control),
            gateway_address: gateway[0],
            load: Load {
                seed: config.seed,
                gateway,
                client: client.clone(),
                work: bus.work().clone(),
                customers: Arc::new(AtomicU64::new(1)),
            },
            switches: switches.clone(),
            bus,
            stop: CancellationToken::new(),
            servers: JoinSet::new(),
            providers: Vec::new(),
            folder: tempfile::Builder::new().prefix("spanlint-shop-").tempdir().map_err(ShopError::Folder)?,
        };
        shop.answer(outside, provider::router());
        shop.answer(control, control::router(switches));
        let transport: Arc<dyn Transport> = Arc::new(Http::new(client, directory));
        for (spec, instance, listener) in doors {
            shop.start_service(spec, instance, listener, &transport, &export)?;
        }
        Ok(shop)
    }

    /// Starts one instance of one service on its own port.
    fn start_service(
        &mut self,
        spec: &'static Spec,
        instance: usize,
        listener: TcpListener,
        transport: &Arc<dyn Transport>,
        export: &Export,
    ) -> Result<(), ShopError> {
        let identity = Identity { name: spec.name, owner: spec.owner, version: spec.version, instance };
        let provider = telemetry::provider(identity, export).map_err(|error| ShopError::Export(error.into()))?;
        let telemetry = Telemetry::new(&provider);
        self.providers.push((spec.name, provider));
        let chassis = Chassis {
            name: spec.name,
            seed: self.load.seed,
            switches: self.switches.clone(),
            telemetry: telemetry.clone(),
            transport: Arc::clone(transport),
            bus: self.bus.clone(),
            folder: Folder::new(self.folder.path()),
        };
        let build = (spec.build)(&chassis);
        let service = build.map_err(|error| ShopError::Service { service: spec.name, source: error.into() })?;
        for subscription in service.subscriptions {
            self.bus.subscribe(spec.name, telemetry.clone(), subscription);
        }
        self.servers.spawn(server::serve(listener, service.router, spec.name, telemetry, self.stop.clone()));
        Ok(())
    }

    /// Serves a router that sends no telemetry.
    fn answer(&mut self, listener: TcpListener, router: Router) {
        let stop = self.stop.clone();
        self.servers
            .spawn(async move { axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await });
    }

    /// The switches of the scenarios; a clone can be kept.
    pub fn switches(&self) -> Switches {
        self.switches.clone()
    }

    /// Where `GET /scenarios`, `PUT /scenarios/{name}` and `DELETE /scenarios/{name}` are answered.
    pub fn control_address(&self) -> SocketAddr {
        self.control_address
    }

    /// Where customers come in.
    pub fn gateway_address(&self) -> SocketAddr {
        self.gateway_address
    }

    /// Lets customers in.
    pub fn start_load(&self, plan: LoadPlan) -> LoadHandle {
        self.load.start(plan)
    }

    /// Lets customers in and waits for the last; paced load never ends, see [`Shop::start_load`].
    pub async fn run_load(&self, plan: LoadPlan) -> LoadSummary {
        self.start_load(plan).finished().await
    }

    /// Finishes what is under way, sends the last spans and removes the databases.
    pub async fn shutdown(mut self) -> Result<(), ShopError> {
        if timeout(DRAIN, self.bus.work().idle()).await.is_err() {
            tracing::warn!("messages are left on the bus");
        }
        self.stop.cancel();
        // Connections that are kept alive would keep their servers waiting.
        if timeout(DRAIN, async { while self.servers.join_next().await.is_some() {} }).await.is_err() {
            tracing::warn!("requests are left unanswered");
            self.servers.abort_all();
        }
        self.bus.close();
        let mut closing = JoinSet::new();
        for (service, provider) in self.providers.drain(..) {
            closing.spawn_blocking(move || (service, provider.shutdown()));
        }
        let mut outcome = Ok(());
        while let Some(flushed) = closing.join_next().await {
            let (service, flushed) = flushed.expect("flushing does not panic");
            if let Err(error) = flushed {
                outcome = Err(ShopError::Flush { service, source: error.into() });
            }
        }
        self.folder.close().map_err(ShopError::Folder)?;
        outcome
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ShopError> {
    TcpListener::bind(address).await.map_err(|source| ShopError::Listen { address, source })
}

fn address_of(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("a bound socket has an address")
}
