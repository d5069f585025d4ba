//! Snapshot files that somebody changed and gave the right checksum: each is refused, or harmless.

use std::sync::LazyLock;

use proptest::prelude::*;
use spanlint_graph::facts::Fold as _;
use spanlint_graph::{Facts, NameTable, file, resolve};

use crate::notation;

const CHECKSUM_BYTES: usize = 8;
const HEADER_BYTES: usize = 6;

static SNAPSHOT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let batch = notation::spans(
        "gateway server \"GET /\" 0+900 http.request.method=GET http.route=/
  gateway client \"GET\" 10+500 http.request.method=GET url.full=http://cart/items/1
    cart server \"GET /cart\" 15+490 http.request.method=GET http.route=/cart
      cart client \"q\" 20+9 db.system=mysql db.name=shop db.statement=select/**/a/**/from/**/b
      cart client \"q\" 30+9 db.system=mysql db.name=shop db.statement=select/**/a/**/from/**/b
      cart client \"r\" 40+9 db.system=mysql db.name=shop db.statement=select/**/c/**/from/**/d
      cart client \"GET\" 50+50 http.request.method=GET url.full=http://gateway/back status=error
        gateway server \"GET /back\" 55+40 http.request.method=GET http.route=/back status=error
  gateway client \"GET\" 600+100 http.request.method=GET url.full=http://cart/items/2
  gateway client \"GET\" 700+100 http.request.method=GET url.full=http://cart/items/3
  gateway producer \"send\" 800+5 messaging.system=kafka messaging.destination.name=orders
    stock consumer \"process\" 950+5 messaging.system=kafka messaging.destination.name=orders",
    );
    file::write(&notation::facts(&batch), &batch.vocabulary.names)
});

/// The file with some bytes changed and a checksum that matches.
fn forge(file: &[u8], changes: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    let mut body = file[..file.len() - CHECKSUM_BYTES].to_vec();
    for (at, byte) in changes {
        let at = HEADER_BYTES + at.index(body.len() - HEADER_BYTES);
        body[at] = *byte;
    }
    let checksum = xxhash_rust::xxh3::xxh3_64(&body);
    body.extend(checksum.to_le_bytes());
    body
}

/// Everything that is done with facts before a rule sees them.
fn use_facts((mut facts, names): (Facts, NameTable)) {
    let once = facts.clone();
    facts.fold(&once);
    assert!(file::write(&facts, &names).len() > HEADER_BYTES);
    for environment in resolve::environments(&facts, &names) {
        let graph = resolve(&facts, environment, &names);
        graph.exemplar_traces();
        for edge in &graph.edges {
            edge.facts.median_per_request();
            edge.facts.failures();
            edge.facts.caller_latency.quantile(0.95);
        }
    }
}

#[test]
fn an_unchanged_file_is_taken() {
    use_facts(file::read(&forge(&SNAPSHOT, &[])).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_files_are_refused_or_harmless(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        if let Ok(read) = file::read(&forge(&SNAPSHOT, &changes)) {
            use_facts(read);
        }
    }
}
