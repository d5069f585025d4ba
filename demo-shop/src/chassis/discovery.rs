//! Name to address: who listens where in this shop.
//!
//! Names are what telemetry shows; addresses are ports that the system chose and that mean nothing tomorrow.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug, Default)]
struct Instances {
    addresses: Vec<SocketAddr>,
    turn: AtomicUsize,
}

/// The addresses of every service and of the external provider.
#[derive(Debug, Clone, Default)]
pub(crate) struct Directory {
    entries: Arc<BTreeMap<&'static str, Instances>>,
}

impl Directory {
    /// Takes one entry per instance.
    pub(crate) fn new(addresses: impl IntoIterator<Item = (&'static str, SocketAddr)>) -> Self {
        let mut entries: BTreeMap<&'static str, Instances> = BTreeMap::new();
        for (name, address) in addresses {
            entries.entry(name).or_default().addresses.push(address);
        }
        Self { entries: Arc::new(entries) }
    }

    /// The next instance of a service, in turn.
    pub(crate) fn resolve(&self, name: &str) -> Option<SocketAddr> {
        let instances = self.entries.get(name)?;
        let turn = instances.turn.fetch_add(1, Ordering::Relaxed);
        Some(instances.addresses[turn % instances.addresses.len()])
    }

    /// Every instance of a service.
    pub(crate) fn all(&self, name: &str) -> Vec<SocketAddr> {
        self.entries.get(name).map(|instances| instances.addresses.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_take_turns() {
        let first: SocketAddr = "127.0.0.1:1001".parse().unwrap();
        let second: SocketAddr = "127.0.0.1:1002".parse().unwrap();
        let directory = Directory::new([("user", first), ("user", second)]);
        let turns: Vec<_> = (0..3).map(|_| directory.resolve("user").unwrap()).collect();
        assert_eq!(turns, [first, second, first]);
        assert_eq!(directory.resolve("nobody"), None);
    }
}
