//! Snapshot files that somebody changed and gave the right checksum: refused, or as good as others.
//!
//! Five bytes of the input change one byte of a real snapshot: where, and to what.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use spanlint_collector::decode::layouts::Layouts;
use spanlint_collector::decode::otlp_json;
use spanlint_graph::facts::Fold;
use spanlint_graph::{BatchBuilder, Facts, Trace, file, resolve};

const HEADER_BYTES: usize = 6;
const CHECKSUM_BYTES: usize = 8;

/// A shop that asks its stock twice, the stock a table, and both a topic.
const REQUEST: &str = include_str!("snapshot.json");

static SNAPSHOT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut builder = BatchBuilder::default();
    otlp_json::decode(REQUEST.as_bytes(), &mut Layouts::default(), &mut builder).expect("a request");
    let batch = builder.finish();
    let mut facts = Facts::default();
    facts.add_trace(&Trace::new(batch.spans), &batch.vocabulary);
    file::write(&facts, &batch.vocabulary.names)
});

fuzz_target!(|bytes: &[u8]| {
    let mut body = SNAPSHOT[..SNAPSHOT.len() - CHECKSUM_BYTES].to_vec();
    for change in bytes.as_chunks::<5>().0 {
        let [place @ .., byte] = *change;
        let at = HEADER_BYTES + u32::from_le_bytes(place) as usize % (body.len() - HEADER_BYTES);
        body[at] = byte;
    }
    let checksum = xxhash_rust::xxh3::xxh3_64(&body);
    body.extend(checksum.to_le_bytes());
    let Ok((mut facts, names)) = file::read(&body) else { return };
    let once = facts.clone();
    facts.fold(&once);
    file::write(&facts, &names);
    for environment in resolve::environments(&facts, &names) {
        resolve(&facts, environment, &names).exemplar_traces();
    }
});
