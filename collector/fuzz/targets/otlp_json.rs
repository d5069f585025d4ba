//! OTLP in JSON: any bytes are read or refused, what is read can be taken further, and what is learned of it changes
//! nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use spanlint_collector::decode::layouts::Layouts;
use spanlint_collector::decode::otlp_json;
use spanlint_graph::BatchBuilder;

fuzz_target!(|bytes: &[u8]| {
    let (mut layouts, mut builder) = (Layouts::default(), BatchBuilder::default());
    let mut read =
        || otlp_json::decode(bytes, &mut layouts, &mut builder).map(|decoded| (decoded, builder.take().spans));
    let first = read();
    for _ in 0..2 {
        assert_eq!(read(), first);
    }
});
