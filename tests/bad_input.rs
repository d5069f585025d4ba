//! Rubbish gets one clear error that says what, where and what to do, or is counted; everything else goes on.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::binary::{Ran, Sandbox};

/// A request with these spans, each given as the fields that differ from a good one.
fn request(spans: &[&str]) -> String {
    let good = r#""traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0001020304050607","name":"GET /","kind":2,"startTimeUnixNano":"1000","endTimeUnixNano":"2000""#;
    let spans: Vec<String> = spans
        .iter()
        .map(|span| {
            let overridden: Vec<&str> = span.split(',').filter_map(|field| field.split(':').next()).collect();
            let kept =
                good.split(',').filter(|field| !overridden.contains(&field.split(':').next().unwrap_or_default()));
            let fields: Vec<&str> = kept.chain((!span.is_empty()).then_some(*span)).collect();
            format!("{{{}}}", fields.join(","))
        })
        .collect();
    let resource = r#"{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]}"#;
    format!(r#"{{"resourceSpans":[{{"resource":{resource},"scopeSpans":[{{"spans":[{}]}}]}}]}}"#, spans.join(","))
}

fn check(contents: impl AsRef<[u8]>) -> Ran {
    let sandbox = Sandbox::new();
    sandbox.file("input", contents);
    sandbox.run(&["check", "--format", "json", "input"])
}

#[track_caller]
fn refused(contents: impl AsRef<[u8]>, words: &[&str]) {
    let ran = check(contents);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    for word in words.iter().chain(&["error: input: "]) {
        assert!(ran.stderr.contains(word), "{word} is not in {}", ran.stderr);
    }
}

/// Spans and refused spans of input that is read.
#[track_caller]
fn counted(contents: impl AsRef<[u8]>) -> (u64, u64, Ran) {
    let ran = check(contents);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let input = &ran.report()["input"];
    (input["spans"].as_u64().unwrap(), input["rejected_spans"].as_u64().unwrap(), ran)
}

#[test]
fn a_misspelled_command_is_told_from_a_missing_file() {
    let ran = Sandbox::new().run(&["chek"]);
    let expected = "error: no command and no file is called `chek`, did you mean `spanlint check`?\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (2, expected));
    assert_eq!(Sandbox::new().run(&["chek", "traces.json"]).stderr, expected);
    assert!(!Sandbox::new().run(&["traces.json"]).stderr.contains("did you mean"));
}

#[test]
fn what_is_no_recording_is_refused_with_what_it_is() {
    refused("", &["is empty"]);
    refused("hello", &["looks like text", "spanlint reads OTLP"]);
    refused([0u8, 159, 146, 150, 255, 254].repeat(1000), &["looks like binary data"]);
    refused(r#"{"a":1}"#, &["looks like JSON without resourceSpans"]);
    let logs = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"hello"}}]}]}]}"#;
    let ran = check(logs);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("log lines only"), "{}", ran.stderr);
    let metrics = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"requests"}]}]}]}"#;
    refused(metrics, &["looks like OTLP metrics"]);
    refused(&request(&[""])[..150], &["no readable span", "line 1"]);
}

#[test]
fn wrong_usage_says_what_is_right() {
    for (arguments, words) in [
        (&["check"][..], "name recordings (files, folders, `-` for standard input)"),
        (&["collect", "--api", "4319"], "not an IP address and a port, such as 127.0.0.1:4317"),
        (&["collect", "--settle-after", "2m"], "give it at least as long"),
        (&["collect", "--settle-after", "soon"], "not a duration such as 30s, 5m or 1h"),
        (&["explain", "n-plus-one"], "no rule `n-plus-one`, did you mean `n-plus-one-calls`?"),
        (&["explain", "x"], "no rule `x`; `spanlint rules` lists them"),
    ] {
        let ran = Sandbox::new().run(arguments);
        assert!(ran.code == 2 && ran.stderr.contains(words), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn nesting_without_end_is_refused_without_falling_over() {
    refused("[".repeat(1_000_000), &["no readable span"]);
    refused(r#"{"resourceSpans":"#.repeat(300_000), &["no readable span"]);
    let value = r#"{"arrayValue":{"values":["#.repeat(100_000);
    refused(format!(r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"a","value":{value}"#), &["line 1"]);
}

#[test]
fn a_bomb_is_refused() {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![0u8; 1 << 20];
    for _ in 0..600 {
        bomb.write_all(&zeros).unwrap();
    }
    refused(bomb.finish().unwrap(), &["is larger than 536870912 bytes"]);
}

#[test]
fn half_a_line_at_the_end_is_counted() {
    let whole = request(&[""]);
    let (spans, _, ran) = counted(format!("{whole}\n{}", &whole[..80]));
    assert_eq!(spans, 1);
    assert!(ran.stderr.contains("1 bad record passed over; line 2"), "{}", ran.stderr);
}

#[test]
fn a_span_with_a_wrong_id_is_refused_by_name_and_its_neighbour_lives() {
    let short = r#""traceId":"abc","name":"short""#;
    let (spans, refused_spans, ran) = counted(request(&[short, ""]));
    assert_eq!((spans, refused_spans), (1, 1));
    assert!(ran.stderr.contains("span \"short\": trace id has 3 hexadecimal digits, wants 32"), "{}", ran.stderr);
    refused(request(&[short]), &["no readable span", "span \"short\""]);
}

#[test]
fn times_that_run_backwards_and_parents_in_a_circle_are_read() {
    let (spans, ..) = counted(request(&[r#""startTimeUnixNano":"9000""#]));
    assert_eq!(spans, 1);
    let circle = [
        r#""spanId":"0000000000000001","parentSpanId":"0000000000000002""#,
        r#""spanId":"0000000000000002","parentSpanId":"0000000000000001""#,
        r#""spanId":"0000000000000003","parentSpanId":"0000000000000003""#,
    ];
    let (spans, ..) = counted(request(&circle));
    assert_eq!(spans, 3);
}

#[test]
fn control_characters_never_reach_the_screen() {
    let sandbox = Sandbox::new();
    let hostile = request(&[r#""name":"\u001b[2J\u202e\u0007evil""#]).replace("shop", "sh\\u001b]0;op");
    sandbox.file("hostile", &hostile);
    for format in ["text", "json"] {
        let ran = sandbox.run(&["check", "--format", format, "hostile"]);
        let shown = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{shown:?}");
    }
    let ran = sandbox.run(&["check", "no\u{1b}[2Jfile"]);
    assert!(!ran.stderr.contains('\u{1b}'), "{:?}", ran.stderr);
}

#[test]
fn what_cannot_be_opened_is_named() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path().join("folder")).unwrap();
    for (name, words) in [("missing", "cannot read missing"), ("folder", "folder: is a folder without files")] {
        let ran = sandbox.run(&["check", name]);
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}

#[test]
fn in_a_folder_other_signals_and_formats_are_skipped_and_counted() {
    let sandbox = Sandbox::new();
    sandbox.file("folder/a/spans.json", request(&[""]));
    sandbox.file("folder/logs.json", r#"{"resourceLogs":[]}"#);
    sandbox.file("folder/notes.txt", "to do");
    let ran = sandbox.run(&["check", "folder"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("2 files without spans skipped"), "{}", ran.stderr);
}

#[test]
fn the_configuration_tells_every_error_at_once() {
    let sandbox = Sandbox::new();
    sandbox.file("input", request(&[""]));
    sandbox.file("spanlint.toml", "[rules.n-plus-one-calls]\nmin_cals = 3\nlevel = \"loud\"\n[suport]\n");
    let ran = sandbox.run(&["check", "input"]);
    assert_eq!(ran.code, 2);
    for words in ["spanlint.toml:2", "min_calls", "spanlint.toml:3", "spanlint.toml:4", "support"] {
        assert!(ran.stderr.contains(words), "{words} is not in {}", ran.stderr);
    }
}

#[test]
fn standard_input_is_read() {
    let ran = Sandbox::new().run_with_input(&["check", "-"], request(&[""]).as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let ran = Sandbox::new().run_with_input(&["check", "-"], b"{}");
    assert!(ran.stderr.contains("error: standard input: "), "{}", ran.stderr);
}

#[test]
fn the_order_of_files_and_lines_changes_no_byte_of_a_report() {
    let sandbox = Sandbox::new();
    let spans: Vec<String> = (1..40u32)
        .map(|number| {
            let trace = format!(r#""traceId":"{:032x}","spanId":"{number:016x}""#, number % 7 + 1);
            request(&[&format!(r#"{trace},"parentSpanId":"{:016x}""#, number.saturating_sub(7))])
        })
        .collect();
    let report = |lines: Vec<&String>, split: usize| {
        let (first, second) = lines.split_at(split);
        let text = |lines: &[&String]| lines.iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n");
        sandbox.file("a", text(first));
        sandbox.file("b", text(second));
        sandbox.run(&["check", "--format", "json", "a", "b"]).stdout
    };
    let forward = report(spans.iter().collect(), 10);
    assert!(forward.contains("\"spans\""));
    assert_eq!(report(spans.iter().rev().collect(), 25), forward);
}
