//! Files as they come: good ones, torn ones, ones that are something else, and the recordings of real systems.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use prost::Message as _;
use spanlint_graph::span::{Span, SpanId, SpanKind};
use spanlint_graph::{Name, TraceId, file};
use tempfile::TempDir;

use super::*;
use crate::decode::oracle::{Random, mutate, one_span};

/// A request of one span, as a line of JSON.
fn line(name: &str) -> String {
    serde_json::to_string(&one_span(|span| span.name = name.to_owned())).unwrap()
}

/// A request of one span, as protobuf.
fn message(name: &str) -> Vec<u8> {
    one_span(|span| span.name = name.to_owned()).encode_to_vec()
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn compress_zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// A trace of one span, as Jaeger's API answers.
fn jaeger(name: &str) -> String {
    format!(r#"{{"data":[{{"traceID":"a","spans":[{{"spanID":"1","operationName":"{name}"}}]}}]}}"#)
}

/// A span of Zipkin.
fn zipkin(name: &str) -> String {
    format!(r#"{{"traceId":"a","id":"{:x}","name":"{name}","timestamp":7}}"#, u64::from(name.as_bytes()[0]))
}

fn read_bytes(bytes: &[u8], limits: &Limits) -> Result<ReadResult, ReadError> {
    let reader = Box::new(io::Cursor::new(bytes.to_vec()));
    read(vec![Input::Stream { name: "input".to_owned(), reader }], &Arc::default(), limits)
}

fn each_span(result: &ReadResult) -> impl Iterator<Item = &Span> {
    result.records.spans.spans()
}

fn names(result: &ReadResult) -> Vec<&str> {
    each_span(result).map(|span| span.detail.name()).collect()
}

#[track_caller]
fn check(bytes: &[u8], spans: &[&str], bad: &[&str]) {
    let result = read_bytes(bytes, &Limits::default()).unwrap();
    assert_eq!(names(&result), spans);
    let found: Vec<_> = result.files[0].bad.first.iter().map(ToString::to_string).collect();
    assert_eq!(found, bad);
}

#[track_caller]
fn check_error(bytes: &[u8], expected: &str) {
    let error = read_bytes(bytes, &Limits::default()).unwrap_err().to_string();
    assert!(error.starts_with("input: "), "{error}");
    assert!(error.contains(expected), "{error}");
}

#[test]
fn json_comes_as_lines_objects_and_arrays() {
    let (a, b) = (line("a"), line("b"));
    let pretty = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        serde_json::to_string_pretty(&value).unwrap()
    };
    check(format!("{a}\n{b}\n").as_bytes(), &["a", "b"], &[]);
    check(format!("\n\r\n{a}\r\n\r\n{b}").as_bytes(), &["a", "b"], &[]);
    check(format!("[{a},\n{b}]").as_bytes(), &["a", "b"], &[]);
    check(pretty(&a).as_bytes(), &["a"], &[]);
    check(format!("\n{}\n{}", pretty(&a), pretty(&b)).as_bytes(), &["a", "b"], &[]);
}

#[test]
fn protobuf_comes_alone_and_behind_lengths() {
    let messages = [message("a"), message("b")];
    check(&messages[0], &["a"], &[]);
    check(&messages.concat(), &["a", "b"], &[]);
    let varint: Vec<u8> =
        messages.iter().flat_map(|message| [vec![message.len() as u8], message.clone()].concat()).collect();
    check(&varint, &["a", "b"], &[]);
    let fixed: Vec<u8> =
        messages.iter().flat_map(|message| [vec![0, 0, 0, message.len() as u8], message.clone()].concat()).collect();
    check(&fixed, &["a", "b"], &[]);
    let torn = "message 2: the protobuf message ends in the middle of a field";
    check(&varint[..varint.len() - 3], &["a"], &[torn]);
    check(&fixed[..fixed.len() - 3], &["a"], &[torn]);
}

#[test]
fn compression_is_told_by_content_and_may_have_members() {
    let (first, second) = (format!("{}\n", line("a")), line("b"));
    for compress in [compress, compress_zstd] {
        check(&[compress(first.as_bytes()), compress(second.as_bytes())].concat(), &["a", "b"], &[]);
        check(&compress(&message("a")), &["a"], &[]);
        check(&compress(jaeger("a").as_bytes()), &["a"], &[]);
    }
}

#[test]
fn other_formats_come_as_objects_lines_and_arrays() {
    let pretty = |json: &str| {
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        serde_json::to_string_pretty(&value).unwrap()
    };
    let check_format = |text: &str, spans: &[&str], format: Format| {
        check(text.as_bytes(), spans, &[]);
        assert_eq!(read_bytes(text.as_bytes(), &Limits::default()).unwrap().files[0].format, format);
    };
    let batches = |name: &str| line(name).replace("resourceSpans", "batches");
    check_format(&format!("{}\n{}", jaeger("a"), jaeger("b")), &["a", "b"], Format::JaegerJson);
    check_format(&format!("{}\n{}", pretty(&jaeger("a")), jaeger("b")), &["a", "b"], Format::JaegerJson);
    check_format(&format!("[{},{}]", zipkin("a"), zipkin("b")), &["a", "b"], Format::ZipkinJson);
    check_format(&pretty(&format!("[{}]", zipkin("a"))), &["a"], Format::ZipkinJson);
    check_format(&format!("{}\n[{}]", zipkin("a"), zipkin("b")), &["a", "b"], Format::ZipkinJson);
    check_format(&pretty(&batches("a")), &["a"], Format::TempoJson);
    check_format(&format!("{}\n{}", line("a"), jaeger("b")), &["a", "b"], Format::OtlpJson);
}

#[test]
fn a_zipkin_span_in_pieces_on_several_lines_is_one() {
    let piece = zipkin("a").replace("\"timestamp\":7", "\"duration\":5");
    let result = read_bytes(format!("{}\n{piece}\n", zipkin("a")).as_bytes(), &Limits::default()).unwrap();
    assert_eq!(each_span(&result).map(Span::duration_ns).collect::<Vec<_>>(), [5000]);
}

#[test]
fn bad_lines_among_good_ones_are_counted_with_their_place() {
    let (a, b) = (line("a"), line("b"));
    let half = &b[..20];
    check(
        format!("{a}\nnot json\n{b}\n{half}").as_bytes(),
        &["a", "b"],
        &["line 2: expected `null` (column 2)", "line 4: the JSON text ends too early (column 20)"],
    );
    check(format!("{half}\n{a}\n").as_bytes(), &["a"], &["line 1: the JSON text ends too early (column 20)"]);
    let many = format!("{a}\n{}", "x\n".repeat(20));
    let result = read_bytes(many.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(result.files[0].bad.count, 20);
    assert_eq!(result.files[0].bad.first.len(), crate::limits::MAX_BAD_RECORDS);
}

#[test]
fn a_bad_request_leaves_nothing_of_itself() {
    let two = format!("{{\"resourceSpans\":[{},7]}}", &line("a")[18..line("a").len() - 2]);
    check(
        format!("{}\n{two}\n", line("b")).as_bytes(),
        &["b"],
        &["line 2: expected a resource with its scopes (an object), found a number (column 417)"],
    );
}

#[test]
fn torn_compression_gives_what_was_whole() {
    // Text that does not compress well, so that half of the bytes hold about half of the spans.
    let name = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_string();
    let lines: String = (0..5000).map(|number| line(&name(number)) + "\n").collect();
    let messages: Vec<u8> =
        (0..5000).map(|number| message(&name(number))).flat_map(|it| [vec![it.len() as u8], it].concat()).collect();
    let pretty = (0..5000).map(|number| jaeger(&name(number)).replace(',', ",\n")).collect::<String>();
    for compress in [compress, compress_zstd] {
        for whole in [lines.as_bytes(), &messages, pretty.as_bytes()] {
            let compressed = compress(whole);
            let result = read_bytes(&compressed[..compressed.len() / 2], &Limits::default()).unwrap();
            let found = &result.files[0];
            assert!((500..4500).contains(&found.spans), "{} {:?}", found.spans, found.format);
            // The damage, and the record that it cut, unless it came between two.
            assert!((1..=2).contains(&found.bad.count), "{:?}", found.bad);
        }
    }
    let torn = compress(&message("a"));
    check_error(&torn[..torn.len() - 12], "it is cut off");
}

#[test]
fn what_is_not_a_recording_says_what_it_looks_like() {
    check_error(b"", "is empty");
    check_error(b" \n\n", "is empty");
    check_error(b"hello, world\n", "looks like text");
    check_error(b"\x7fELF\x02\x01\x01\x00\x00", "looks like binary data");
    check_error(br#"{"data":null,"errors":[{"code":404}]}"#, "looks like an answer of Jaeger's API without spans");
    check_error(b"{\n\"trace\":{}\n}", "an answer of Tempo's API without batches");
    check_error(br#"[{"parent":"a","child":"b","callCount":1}]"#, "Jaeger's dependency list, which has no spans");
    check_error(br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{}]}]}]}"#, "OTLP metrics (1 records)");
    check_error(&[0x1f, 0x8b, 1, 2, 3], "cannot be read");
    check_error(&[0x28, 0xb5, 0x2f, 0xfd, 0xff, 0xff], "cannot be read");
}

#[test]
fn a_recording_without_one_readable_span_says_where_and_why() {
    check_error(&line("a").as_bytes()[..50], "has no readable span: line 1: the JSON text ends too early");
    check_error(&message("a")[..20], "has no readable span: message 1: the protobuf message ends");
    check_error(br#"{"resourceSpans":[]}"#, "has no readable span: it holds none");
    check_error(br#"{"data":[{"traceID":"1","spans":[]}]}"#, "has no readable span: it holds none");
    check_error(br#"[{"traceId":"1","id":"2","binaryAnnotations":[]}]"#, "no readable span: line 1: this is Zipkin v1");
    let short = line("a").replace("01010101", "01");
    check_error(short.as_bytes(), "has no readable span: span \"a\": trace id has 8 hexadecimal digits, wants 32");
    check_error("[".repeat(1_000_000).as_bytes(), "has no readable span: line 1: ");
}

#[test]
fn bombs_and_giants_stop_at_their_bounds() {
    let limits = Limits { file_bytes: 4000, document_bytes: 500, ..Limits::default() };
    for compress in [compress, compress_zstd] {
        let bomb = compress(&vec![b' '; 1 << 20]);
        assert!(read_bytes(&bomb, &limits).unwrap_err().to_string().contains("is larger than 4000 bytes"));
        let members = compress(&[b' '; 3000]).repeat(2);
        assert!(read_bytes(&members, &limits).unwrap_err().to_string().contains("is larger than 4000 bytes"));
    }
    let giant = format!("{}\n{}{}\n", line("a"), line("b"), " ".repeat(400));
    let result = read_bytes(giant.as_bytes(), &limits).unwrap();
    assert_eq!(names(&result), ["a"]);
    assert_eq!(result.files[0].bad.first[0].to_string(), "line 2: is longer than 500 bytes");
    let protobuf = [message("a"), vec![0x7a, 0x7f], vec![0; 500]].concat();
    assert!(read_bytes(&protobuf, &limits).unwrap_err().to_string().contains("is larger than"));
}

#[test]
fn folders_are_read_in_order_and_what_is_no_recording_is_skipped() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write("b.jsonl", line("b").as_bytes());
    write("a/deep/c.anything", &message("c"));
    write("z.gz", &compress(line("z").as_bytes()));
    write("README.md", b"# read me");
    write("empty", b"");
    let result = read(vec![Input::Path(folder.path().to_owned())], &Arc::default(), &Limits::default()).unwrap();
    assert_eq!(names(&result), ["c", "b", "z"]);
    let skipped: Vec<_> = result.skipped.iter().map(|skipped| skipped.reason.to_string()).collect();
    assert_eq!(skipped.len(), 2);
    assert!(skipped[0].contains("looks like text"), "{skipped:?}");
    assert_eq!(skipped[1], "is empty");
}

#[test]
fn many_files_are_read_in_their_order() {
    let folder = TempDir::new().unwrap();
    let numbers: Vec<String> = (0..200).map(|number| format!("{number:03}")).collect();
    for number in &numbers {
        fs::write(folder.path().join(number), line(number)).unwrap();
    }
    let last = Input::Path(folder.path().join("199"));
    let stream = Input::Stream { name: "input".to_owned(), reader: Box::new(io::Cursor::new(message("stream"))) };
    let result =
        read(vec![last, stream, Input::Path(folder.path().to_owned())], &Arc::default(), &Limits::default()).unwrap();
    let expected: Vec<_> = ["199", "stream"].into_iter().chain(numbers.iter().map(String::as_str)).collect();
    assert_eq!(names(&result), expected);
}

/// The facts of one span.
fn facts() -> (Facts, NameTable) {
    let records = read_bytes(line("a").as_bytes(), &Limits::default()).unwrap().records;
    let mut facts = Facts::default();
    for trace in records.spans.into_traces() {
        facts.add_trace(&trace, &records.vocabulary);
    }
    (facts, records.vocabulary.names)
}

#[test]
fn snapshots_are_read_beside_recordings() {
    let (facts, names) = facts();
    let saved = file::write(&facts, &names);
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("a.graph"), &saved).unwrap();
    fs::write(folder.path().join("b.anything"), compress_zstd(&saved)).unwrap();
    fs::write(folder.path().join("c.jsonl"), line("c")).unwrap();
    fs::write(folder.path().join("d.graph"), &saved[..saved.len() - 1]).unwrap();
    let result = read(vec![Input::Path(folder.path().to_owned())], &Arc::default(), &Limits::default()).unwrap();
    assert_eq!(names_of(&result.snapshots), ["a.graph", "b.anything"]);
    for snapshot in &result.snapshots {
        assert_eq!(snapshot.facts, facts);
        assert_eq!(file::write(&snapshot.facts, &snapshot.names), saved);
    }
    let formats: Vec<_> = result.files.iter().map(|file| (file.format, file.spans)).collect();
    assert_eq!(formats, [(Format::Snapshot, 0), (Format::Snapshot, 0), (Format::OtlpJson, 1)]);
    assert_eq!(result.skipped[0].reason.to_string(), "damaged snapshot: its checksum does not match");
    check_error(b"SPLG\xff\xff and more than a header", "snapshot format 65535, this spanlint reads ");
}

fn names_of(snapshots: &[Snapshot]) -> Vec<String> {
    let name = |snapshot: &Snapshot| Path::new(&snapshot.path).file_name().unwrap().to_str().unwrap().to_owned();
    snapshots.iter().map(name).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files_never_panic(seed in any::<u64>()) {
        let (facts, names) = facts();
        let batches = line("a").replace("resourceSpans", "batches");
        let texts = [line("a"), jaeger("a"), zipkin("a"), batches].map(String::into_bytes);
        let files = texts.into_iter().chain([message("a"), file::write(&facts, &names)]);
        let mut random = Random(seed);
        for file in files.flat_map(|file| [compress(&file), compress_zstd(&file), file]) {
            let _ = read_bytes(&mutate(&file, &mut random), &Limits::default());
        }
    }
}

#[test]
fn a_folder_without_spans_and_a_missing_file_are_errors() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("missing.json");
    let error = read(vec![Input::Path(missing)], &Arc::default(), &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("missing.json: No such file"), "{error}");
    fs::write(folder.path().join("a"), b"").unwrap();
    let error =
        read(vec![Input::Path(folder.path().to_owned())], &Arc::default(), &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("its only file gives no span;") && error.ends_with("a: is empty"), "{error}");
}

/// The recordings of real systems; they lie beside the project, where they are.
fn datasets() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/datasets");
    if folder.is_dir() {
        return Some(folder);
    }
    // The test runner shows what a failing test prints, and nobody would see that this one did nothing.
    let _ = writeln!(io::stderr(), "skipped, since {} is not there", folder.display());
    None
}

#[track_caller]
fn check_dataset(file: &str, traces: usize, spans: usize, services: usize) {
    let Some(folder) = datasets() else { return };
    let result = read(vec![Input::Path(folder.join(file))], &Arc::default(), &Limits::default()).unwrap();
    let found: BTreeSet<_> = each_span(&result).map(|span| span.trace_id).collect();
    let callers: BTreeSet<_> = each_span(&result).map(|span| span.shape.service).collect();
    assert_eq!((found.len(), result.records.spans.len(), callers.len()), (traces, spans, services), "{file}");
    assert_eq!(result.files.iter().map(|file| file.bad.count).sum::<u64>(), 0, "{file}");
}

#[test]
fn real_recordings_have_the_spans_that_their_list_says() {
    check_dataset("hotrod/hotrod.otlp.jsonl", 14, 379, 6);
    check_dataset("hotrod/hotrod.otlp.pb", 14, 379, 6);
    check_dataset("hotrod/hotrod.jaeger.json", 14, 379, 6);
    check_dataset("online-boutique/faultfree.otlp.jsonl.gz", 502, 22_969, 10);
    check_dataset("train-ticket/faultfree-0850.otlp.jsonl.gz", 71, 4890, 25);
    check_dataset("deathstarbench/socialnetwork.otlp.jsonl", 20, 660, 12);
    check_dataset("deathstarbench/socialnetwork.jaeger.json.gz", 20, 660, 12);
    check_dataset("traceweaver/hotel-reservation.jaeger.json", 150, 1650, 6);
    check_dataset("traceweaver/nodejs.jaeger.json", 150, 900, 6);
    check_dataset("otel-demo/startup.otlp.jsonl", 141, 547, 8);
    check_dataset("otlp-proto/trace.json", 1, 1, 1);
    check_dataset("terrarium/traces.otlp.jsonl", 6, 11, 1);
    check_dataset("bookinfo/tempo-response.json", 1, 8, 5);
    check_dataset("jaeger-ui", 7, 167, 18);
    check_dataset("crisp", 1, 120, 9);
    check_dataset("sentry", 16, 1042, 1);
    check_dataset("captures", 55, 868, 7);
}

#[test]
fn real_zipkin_recordings_are_read() {
    check_dataset("zipkin/ascend.json", 1, 8, 3);
    check_dataset("zipkin/envoy.json", 1, 1, 1);
    check_dataset("zipkin/messaging-kafka.json", 1, 28, 2);
    check_dataset("zipkin/messaging.json", 1, 4, 2);
    check_dataset("zipkin/messaging2.json", 1, 11, 4);
    check_dataset("zipkin/simple-db-p6.json", 1, 5, 1);
    check_dataset("zipkin/skew.json", 1, 4, 2);
    check_dataset("zipkin/smartthings-oauth-authorization.json", 1, 175, 8);
    check_dataset("zipkin/yelp.json", 1, 16, 6);
}

/// What a call graph sees of a span.
type Essence = (TraceId, SpanId, SpanId, Name, SpanKind, u64, u64, bool);

fn essence(file: &Path) -> Vec<Essence> {
    let result = read(vec![Input::Path(file.to_owned())], &Arc::default(), &Limits::default()).unwrap();
    let mut spans: Vec<Essence> = each_span(&result)
        .map(|span| {
            let failed = span.shape.outcome.is_failure();
            let ids = (span.trace_id, span.span_id, span.parent_id);
            (ids.0, ids.1, ids.2, span.shape.service.name, span.shape.kind, span.start_ns, span.end_ns, failed)
        })
        .collect();
    spans.sort_unstable();
    spans
}

#[test]
fn recordings_in_several_formats_give_the_same_spans() {
    let Some(folder) = datasets() else { return };
    let hotrod = folder.join("hotrod");
    let jaeger = essence(&hotrod.join("hotrod.jaeger.json"));
    assert_eq!(jaeger, essence(&hotrod.join("hotrod.otlp.jsonl")));
    assert_eq!(jaeger, essence(&hotrod.join("hotrod.otlp.pb")));
    let social = folder.join("deathstarbench");
    assert_eq!(
        essence(&social.join("socialnetwork.jaeger.json.gz")),
        essence(&social.join("socialnetwork.otlp.jsonl"))
    );
}

#[test]
fn captures_give_the_same_spans_in_both_formats() {
    let Some(folder) = datasets() else { return };
    let files = folder::files(&folder.join("captures")).unwrap();
    let mut compared = 0;
    for json in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "json")) {
        let [json, protobuf] = [json.clone(), json.with_extension("pb")]
            .map(|file| source::read(File::open(file).unwrap(), &Arc::default(), &Limits::default()));
        match (json, protobuf) {
            (Ok(json), Ok(protobuf)) => {
                assert!(json.records.spans.spans().eq(protobuf.records.spans.spans()));
                compared += 1;
            }
            (Err(json), Err(protobuf)) => assert_eq!(json.to_string(), protobuf.to_string()),
            (json, protobuf) => panic!("{json:?} against {protobuf:?}"),
        }
    }
    assert!(compared > 20, "{compared}");
}

#[test]
fn every_folder_of_datasets_can_be_read_or_says_why_not() {
    let Some(folder) = datasets() else { return };
    let result = read(vec![Input::Path(folder)], &Arc::default(), &Limits::default()).unwrap();
    assert_eq!(result.records.refused, 0, "{:?}", result.records.refusals);
    let is_other = |path: &str| !path.contains("captures/") && path.contains(".json");
    let others = result.skipped.iter().map(|skipped| skipped.path.as_str()).filter(|path| is_other(path));
    let names: Vec<_> = others.map(|path| path.split("datasets/").nth(1).unwrap()).collect();
    assert_eq!(names, ["dependencies/large.json", "terrarium/traces.json"]);
    for skipped in &result.skipped {
        assert!(matches!(skipped.reason, SourceError::NotTraces { .. }), "{}: {}", skipped.path, skipped.reason);
    }
}
