//! Answers of Tempo and other recordings of OTLP as JSON: any bytes are read or refused, and what is read can be taken further.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spanlint_collector::decode::otlp_json;
use spanlint_graph::BatchBuilder;

fuzz_target!(|bytes: &[u8]| {
    let _ = otlp_json::decode_recording(bytes, &mut BatchBuilder::default());
});
