//! OTLP in protobuf: what the public types read is read alike, also as the JSON that they write; what they refuse is
//! refused.

#![no_main]

mod seen;

use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use seen::{Seen, expected};
use spanlint_collector::decode::layouts::Layouts;
use spanlint_collector::decode::{otlp_json, otlp_protobuf};

fuzz_target!(|bytes: &[u8]| {
    let mut seen = Seen::default();
    match (ExportTraceServiceRequest::decode(bytes), otlp_protobuf::decode(bytes, &mut seen)) {
        (Ok(request), Ok(_)) => {
            assert_eq!(seen, expected(&request));
            let json = serde_json::to_vec(&request).expect("a request is JSON");
            let mut from_json = Seen::default();
            // The parser takes fewer levels than protobuf does, and JSON has no number for what is not one.
            if otlp_json::decode(&json, &mut Layouts::default(), &mut from_json).is_ok() {
                assert_eq!(from_json, seen);
            }
        }
        (Err(_), Err(_)) => {}
        (oracle, walk) => panic!("oracle {:?}, walk {walk:?}", oracle.map(drop)),
    }
});
