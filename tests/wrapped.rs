//! Commands whose spans are sent here: `check -- COMMAND`, and `record` with and without one.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::binary::{Ran, Sandbox};
use crate::live::{FREE, SPAN, http, terminate};

/// Sends its first argument as OTLP/JSON to where the environment says, and ends with the second.
const SEND: &str = r#"
address=${OTEL_EXPORTER_OTLP_ENDPOINT#http://}
exec 3<>/dev/tcp/${address%:*}/${address#*:}
printf 'POST /v1/traces HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: %s\r\n\r\n%s' ${#1} "$1" >&3
cat <&3
exit $2
"#;

/// Runs spanlint with a command that sends one span and ends with `code`.
fn run(sandbox: &Sandbox, arguments: &[&str], code: &str) -> Ran {
    sandbox.run(&[arguments, &["--", "bash", "-c", SEND, "send", SPAN, code]].concat())
}

/// Spans of a recording, as `check` reads it.
fn spans(path: &Path) -> u64 {
    let ran = Sandbox::new().run(&["check", "--format", "json", path.to_str().expect("a UTF-8 path")]);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.report()["input"]["spans"].as_u64().expect("a number of spans")
}

#[test]
fn check_judges_what_a_command_sends() {
    let ran = run(&Sandbox::new(), &["check", "--format", "json"], "0");
    assert_eq!(ran.code, 0, "{ran:?}");
    let report = ran.report();
    assert_eq!((&report["command_exit"], &report["input"]["spans"]), (&0.into(), &1.into()));
    assert!(report["input"]["sources"][0].as_str().expect("a source").starts_with("bash -c"));
    assert!(ran.stderr.contains("HTTP/1.1 200"), "what the command says goes to standard error: {}", ran.stderr);
}

#[test]
fn the_code_of_a_failed_command_is_returned() {
    let ran = run(&Sandbox::new(), &["check", "--format", "json"], "7");
    assert_eq!((ran.code, &ran.report()["command_exit"], &ran.report()["input"]["spans"]), (7, &7.into(), &1.into()));
    let silent = Sandbox::new().run(&["check", "--", "bash", "-c", "exit 5"]);
    assert_eq!((silent.code, silent.stdout.as_str()), (5, ""), "{silent:?}");
    assert!(silent.stderr.contains("ended with 5") && silent.stderr.contains("sent no span"), "{}", silent.stderr);
    let killed = Sandbox::new().run(&["check", "--", "bash", "-c", "kill -KILL $$"]);
    assert_eq!(killed.code, 137, "{killed:?}");
}

#[test]
fn a_command_that_sends_nothing_or_does_not_exist_is_told() {
    let silent = Sandbox::new().run(&["check", "--", "true"]);
    assert_eq!(silent.code, 2);
    assert!(silent.stderr.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{}", silent.stderr);
    let none = Sandbox::new().run(&["check", "--", "no-such-command"]);
    assert_eq!(none.code, 2);
    assert!(none.stderr.contains("cannot run no-such-command"), "{}", none.stderr);
    assert_eq!(Sandbox::new().run(&["check"]).code, 2);
}

#[test]
fn a_command_inherits_nothing_that_a_collector_asks_the_system_for() {
    const LIMITS: &str = "ulimit -Sn; grep THP_enabled /proc/self/status";
    let sandbox = Sandbox::new();
    let told = |command: &mut Command| {
        let output = command.output().expect("bash runs");
        [output.stdout, output.stderr].map(|told| String::from_utf8(told).expect("words")).concat()
    };
    let alone = told(Command::new("bash").args(["-c", &format!("ulimit -Sn 200; {LIMITS}")]));
    assert!(alone.starts_with("200\n"), "{alone}");
    for arguments in ["check", "record --output spans.jsonl"] {
        let script = format!("ulimit -Sn 200; exec \"$0\" {arguments} -- bash -c '{LIMITS}'");
        let mut below = Command::new("bash");
        below.args(["-c", &script, env!("CARGO_BIN_EXE_spanlint")]).current_dir(sandbox.path());
        let below = told(&mut below);
        assert!(below.starts_with(&alone), "{below}");
    }
}

#[test]
fn recordings_and_a_command_are_judged_together() {
    let sandbox = Sandbox::new();
    sandbox.file("before.json", SPAN.replace("000102030405060708090a0b0c0d0e0f", "ff".repeat(16).as_str()));
    let report = run(&sandbox, &["check", "--format", "json", "before.json"], "0").report();
    assert_eq!((&report["input"]["spans"], &report["input"]["traces"]), (&2.into(), &2.into()));
}

#[test]
fn a_signal_reaches_the_command() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&["check", "--", "bash", "-c", "echo up; exec sleep 600"]);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("the binary runs");
    let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
    let mut line = String::new();
    stderr.read_line(&mut line).expect("the command talks");
    assert_eq!(line, "up\n");
    terminate(&child);
    assert_eq!(child.wait().expect("it ends").code(), Some(143));
}

#[test]
fn every_form_of_a_recording_is_read_back() {
    for name in ["a.jsonl", "a.pb", "a.jsonl.gz", "a.pb.zst"] {
        let sandbox = Sandbox::new();
        let ran = run(&sandbox, &["record", "-o", name], "0");
        assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{ran:?}");
        assert!(ran.stderr.contains("1 span in 1 request"), "{}", ran.stderr);
        assert_eq!(spans(&sandbox.path().join(name)), 1, "{name}");
    }
    for name in ["a.graph", "a.graph.gz", "a.graph.zst"] {
        let sandbox = Sandbox::new();
        assert_eq!(run(&sandbox, &["record", "-o", name], "3").code, 3);
        assert_eq!(spans(&sandbox.path().join(name)), 1, "{name}");
    }
    let silent = Sandbox::new().run(&["record", "-o", "a.jsonl", "--", "true"]);
    assert!(silent.code == 0 && silent.stderr.contains("note: `true` sent no span"), "{silent:?}");
}

/// `spanlint record` on ports that the system chose, with their addresses.
pub(crate) fn record(sandbox: &Sandbox, file: &str) -> (Child, BufReader<std::process::ChildStderr>, Vec<String>) {
    let mut command = sandbox.command(&["record", "-o", file, "--otlp-grpc", FREE, "--otlp-http", FREE]);
    let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary runs");
    let mut stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
    let mut line = String::new();
    stderr.read_line(&mut line).expect("it says where it listens");
    let addresses = line.split(' ').filter(|word| word.starts_with("127.0.0.1:")).map(str::to_owned).collect();
    (child, stderr, addresses)
}

#[test]
fn record_writes_what_arrives_until_it_is_ended() {
    let sandbox = Sandbox::new();
    let (mut child, mut stderr, addresses) = record(&sandbox, "a.jsonl.gz");
    assert_eq!(addresses.len(), 2);
    for (number, address) in addresses.iter().enumerate() {
        let span = SPAN.replace("0001020304050607", &format!("000102030405060{number}"));
        assert!(http(address, "POST /v1/traces", &span).starts_with("HTTP/1.1 200"));
    }
    let metrics = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{}]}]}]}"#;
    assert!(http(&addresses[0], "POST /v1/metrics", metrics).starts_with("HTTP/1.1 200"));
    terminate(&child);
    let mut said = String::new();
    stderr.read_to_string(&mut said).expect("it talks");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert!(said.contains("2 spans in 2 requests") && said.contains("1 request of metrics"), "{said}");
    assert_eq!(spans(&sandbox.path().join("a.jsonl.gz")), 2);
}

#[test]
fn record_ends_when_its_time_is_over() {
    let sandbox = Sandbox::new();
    let arguments = ["record", "-o", "a.pb", "--for", "10ms", "--otlp-grpc", FREE, "--otlp-http", FREE];
    assert_eq!(sandbox.run(&arguments).code, 0);
    assert_eq!(std::fs::read(sandbox.path().join("a.pb")).expect("it was created"), b"");
    let never = Sandbox::new().run(&["record", "-o", "a.pb", "--for", "soon"]);
    assert!(never.code == 2 && never.stderr.contains("30s"), "{never:?}");
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let unknown = Sandbox::new().run(&["record", "-o", "a.txt"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("*.jsonl"), "{unknown:?}");
    let nowhere = Sandbox::new().run(&["record", "-o", "no/such/folder/a.pb"]);
    assert!(nowhere.code == 2 && nowhere.stderr.contains("no/such/folder/a.pb"), "{nowhere:?}");
    let full = Sandbox::new();
    std::os::unix::fs::symlink("/dev/full", full.path().join("a.jsonl")).expect("links can be made");
    let ran = run(&full, &["record", "-o", "a.jsonl"], "0");
    assert!(ran.code == 2 && ran.stderr.contains("cannot write a.jsonl"), "{ran:?}");
}
