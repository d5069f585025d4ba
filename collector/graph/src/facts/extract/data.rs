//! Datastores, and what must not be in a span: who uses which table, writes twice, asks too much at once, or sends
//! confidential values.

use super::{Made, Reading};
use crate::facts::latest::slice;
use crate::facts::{DualWriteKey, Entry, EnvironmentFacts, PoolKey, SecretKey, UsageKey};
use crate::marks::Marks;
use crate::name::Name;
use crate::span::{Access, DatastoreKey, NodeKey};

/// The most datastores, and the most topics, that one request is seen to write: those with the smallest keys.
const MAX_WRITTEN: usize = 8;

/// Parts of what tables of messages that are yet to be sent are called: by most, by eShop, by Spring Modulith, by
/// Wolverine and by CAP.
const OUTBOXES: [&str; 5] =
    ["outbox", "integrationeventlog", "event_publication", "outgoing_envelopes", "cap.published"];

impl EnvironmentFacts {
    /// Adds everything about datastores.
    pub(super) fn add_data(&mut self, reading: &Reading<'_>) {
        self.add_usages(reading);
        self.add_pools(reading);
    }

    /// Statements within requests. A statement that is itself the root of its trace belongs to none: migrations and
    /// start-up code look so.
    fn add_usages(&mut self, reading: &Reading<'_>) {
        let mut uses: Vec<(UsageKey, Access, bool)> = Vec::new();
        for call in &reading.calls.made {
            let (NodeKey::Service(service), NodeKey::Datastore(datastore)) = (call.caller, call.callee) else {
                continue;
            };
            let opening = reading.opening(call.request);
            let is_outside = opening.shape.call.as_ref().is_some_and(|own| own.peer == Some(call.callee));
            if call.access() == Access::None || is_outside {
                continue;
            }
            // A service that a job asks works for the job.
            let is_scheduled = reading.calls.is_scheduled(reading.spans, call.request);
            let tables = if call.tables().is_empty() { &[Name::EMPTY] } else { call.tables() };
            let key = |&table| (UsageKey { datastore, service, table }, call.access(), is_scheduled);
            uses.extend(tables.iter().map(key));
            let read = |&table| (UsageKey { datastore, service, table }, Access::Read, is_scheduled);
            uses.extend(call.also_read().iter().map(read));
        }
        uses.sort_unstable();
        for group in uses.chunk_by(|left, right| left.0 == right.0) {
            let usage = self.usages.entry(group[0].0);
            let writes = group.iter().filter(|(_, access, _)| *access == Access::Write).count() as u64;
            usage.writes += writes;
            usage.reads += group.len() as u64 - writes;
            usage.scheduled += group.iter().filter(|(.., is_scheduled)| *is_scheduled).count() as u64;
            usage.traces += 1;
            usage.exemplars.offer(group.len() as u64, reading.trace);
        }
    }

    /// How many statements of one instance are under way at once.
    fn add_pools(&mut self, reading: &Reading<'_>) {
        for call in &reading.calls.made {
            let (NodeKey::Service(service), NodeKey::Datastore(datastore)) = (call.caller, call.callee) else {
                continue;
            };
            let instance = reading.vocabulary.resource(reading.opening(call.request).shape.resource).instance;
            let pool = self.pools.entry(PoolKey { service, instance, datastore });
            let slice = pool.slices.entry(slice(call.start_ns));
            slice.calls += 1;
            slice.failures += u64::from(call.outcome.is_failure());
            slice.busy_ns = slice.busy_ns.saturating_add(call.duration_ns());
            pool.exemplars.offer(call.duration_ns(), reading.trace);
        }
    }

    /// A request that writes a datastore and publishes a message, or writes two datastores, unless it touches an
    /// outbox or relays one: Richardson, Microservices Patterns (2018), section 3.3.
    pub(super) fn add_dual_writes(&mut self, reading: &Reading<'_>, request: usize, own: &[&Made<'_>]) {
        let is_outbox = |&table: &Name| {
            let table = reading.vocabulary.names.text(table).to_ascii_lowercase();
            OUTBOXES.iter().any(|outbox| table.contains(outbox))
        };
        let written = |call: &&&Made<'_>| call.access() == Access::Write && !call.marks.has(Marks::SET_UP);
        let datastore = |call: &&Made<'_>| match call.callee {
            NodeKey::Datastore(datastore) => Some(datastore),
            _ => None,
        };
        let mut datastores: Vec<DatastoreKey> = own.iter().filter(written).filter_map(datastore).collect();
        if datastores.is_empty() || own.iter().any(|call| call.tables().iter().any(is_outbox)) {
            return;
        }
        if reading.calls.requests[request].entry == Entry::Schedule && is_relay(own) {
            return;
        }
        datastores.sort_unstable();
        datastores.dedup();
        datastores.truncate(MAX_WRITTEN);
        let topics = own.iter().map(|call| call.callee).filter(|callee| matches!(callee, NodeKey::Topic(_)));
        let mut topics: Vec<NodeKey> = topics.collect();
        topics.sort_unstable();
        topics.dedup();
        topics.truncate(MAX_WRITTEN);
        let operation = reading.operation(request);
        for (place, &datastore) in datastores.iter().enumerate() {
            let others = datastores[place + 1..].iter().map(|&other| NodeKey::Datastore(other));
            for other in others.chain(topics.iter().copied()) {
                let facts = self.dual_writes.entry(DualWriteKey { operation, datastore, other });
                facts.requests += 1;
                facts.exemplars.offer(reading.opening(request).duration_ns(), reading.trace);
            }
        }
    }

    /// Attributes whose values were confidential.
    pub(super) fn add_secrets(&mut self, reading: &Reading<'_>) {
        let mut seen: Vec<SecretKey> = Vec::new();
        for span in reading.spans {
            let service = span.shape.service;
            seen.extend(span.secrets().iter().map(|&secret| SecretKey { service, secret }));
        }
        seen.sort_unstable();
        for group in seen.chunk_by(|left, right| left == right) {
            let facts = self.secrets.entry(group[0]);
            facts.spans += group.len() as u64;
            facts.traces += 1;
            facts.exemplars.offer(group.len() as u64, reading.trace);
        }
    }
}

/// Whether all that is written is what was read before, as whoever polls a table for messages marks those it has sent.
fn is_relay(own: &[&Made<'_>]) -> bool {
    let mut read: Vec<Name> = Vec::new();
    own.iter().all(|call| match call.access() {
        Access::Write => !call.tables().is_empty() && call.tables().iter().all(|table| read.contains(table)),
        Access::Read => {
            read.extend(call.tables());
            true
        }
        Access::None => true,
    })
}
