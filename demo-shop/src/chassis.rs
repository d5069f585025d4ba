//! What every service stands on: telemetry, serving, calling, storing, publishing.
//!
//! The chassis holds the only types that services share. A service describes itself with a [`Spec`], gets a [`Chassis`]
//! and returns a [`Service`]; it never meets OpenTelemetry or an HTTP client itself.

pub(crate) mod bus;
pub(crate) mod client;
pub(crate) mod database;
pub(crate) mod discovery;
pub(crate) mod error;
pub(crate) mod outbox;
pub(crate) mod resilience;
pub(crate) mod server;
pub(crate) mod telemetry;
#[cfg(test)]
pub(crate) mod testing;

use std::sync::Arc;

use axum::Router;

use crate::scenarios::Switches;
use bus::{Bus, Subscription};
use client::{Peer, Transport};
use database::{Database, Folder};
use error::Error;
use outbox::Outbox;
use telemetry::Telemetry;

/// One line of the table of services.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    /// The team that answers for the service.
    pub(crate) owner: &'static str,
    pub(crate) version: &'static str,
    /// How many instances run. A service that subscribes to topics has one, because each instance would get every message.
    pub(crate) instances: usize,
    pub(crate) build: fn(&Chassis) -> Result<Service, Error>,
}

/// A service that is ready to run.
pub(crate) struct Service {
    pub(crate) router: Router,
    pub(crate) subscriptions: Vec<Subscription>,
}

impl Service {
    /// A service that only answers requests.
    pub(crate) fn new(router: Router) -> Self {
        Self { router, subscriptions: Vec::new() }
    }

    /// Lets the service hear of a topic.
    pub(crate) fn with(mut self, subscription: Subscription) -> Self {
        self.subscriptions.push(subscription);
        self
    }
}

/// What one service instance is given.
#[derive(Clone)]
pub(crate) struct Chassis {
    pub(crate) name: &'static str,
    pub(crate) seed: u64,
    pub(crate) switches: Switches,
    pub(crate) telemetry: Telemetry,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) bus: Bus,
    pub(crate) folder: Folder,
}

impl Chassis {
    /// Another service of the shop, or somebody outside.
    pub(crate) fn peer(&self, name: &'static str) -> Peer {
        Peer::new(name, Arc::clone(&self.transport), self.telemetry.clone())
    }

    /// The service's own database.
    pub(crate) fn database(&self) -> Result<Database, Error> {
        self.foreign_database(self.name)
    }

    /// The database of another service, which only a scenario may open.
    pub(crate) fn foreign_database(&self, owner: &'static str) -> Result<Database, Error> {
        self.folder.open(owner, self.telemetry.clone())
    }

    /// A place for events in the service's own database.
    pub(crate) fn outbox(&self, database: &Database) -> Result<Outbox, Error> {
        Outbox::start(self.name, database.clone(), self.bus.clone(), self.telemetry.clone())
    }
}
