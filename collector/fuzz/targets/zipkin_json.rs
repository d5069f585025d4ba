//! Zipkin's v2 JSON: any bytes are read or refused, and what is read can be taken further.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spanlint_collector::decode::zipkin_json;
use spanlint_graph::BatchBuilder;

fuzz_target!(|bytes: &[u8]| {
    let _ = zipkin_json::decode(bytes, &mut BatchBuilder::default());
});
