//! Files of any kind: told apart, decompressed, read, and taken as far as a call graph.

#![no_main]

use std::io::Cursor;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use spanlint_collector::limits::Limits;
use spanlint_collector::read::{Input, read};
use spanlint_graph::{Facts, Name, resolve};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { document_bytes: 1 << 20, file_bytes: 4 << 20, ..Limits::default() };
    let reader = Box::new(Cursor::new(bytes.to_vec()));
    let Ok(result) = read(vec![Input::Stream { name: "input".to_owned(), reader }], &Arc::default(), &limits) else {
        return;
    };
    let mut facts = Facts::default();
    for trace in result.records.spans.into_traces() {
        facts.add_trace(&trace, &result.records.vocabulary);
    }
    resolve(&facts, Name::EMPTY, &result.records.vocabulary.names);
});
