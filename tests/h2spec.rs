//! The conformance suite of others for HTTP/2 (`github.com/summerwind/h2spec`, RFC 7540 and 7541) against the OTLP port of
//! the real binary. Where it is not installed (`.ci/run` does that where Go is present) the test says so and passes.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::binary::Sandbox;
use crate::live::Collector;

/// How long a row waits for what it expects, in seconds: many times what an answer takes.
const PATIENCE: &str = "2";

/// How often a row is tried that depends on who is faster.
const ATTEMPTS: usize = 20;

/// Rows that cannot hold here, and why.
const EXCEPTIONS: [(&str, &str, &str); 2] = [
    (
        "http2/3.5/2",
        "Sends invalid connection preface",
        "the port speaks HTTP/1.1 as well, in which it says 400 to what is no preface of HTTP/2, and hangs up",
    ),
    (
        "http2/4.2/3",
        "Sends a large size HEADERS frame that exceeds the SETTINGS_MAX_FRAME_SIZE",
        "it sends 20 kB whatever the settings say, where frames of 1 MiB are allowed; with longer headers it passes below",
    ),
];

/// Five headers of this length are more than a frame may hold.
const LONG_HEADER_BYTES: &str = "300000";

/// A row of the suite that did not pass.
#[derive(Debug, PartialEq, Eq)]
struct Failed {
    /// What the suite takes to run this row alone: section and number.
    id: String,
    title: String,
}

/// The suite: `$PATH`, or where `.ci/run` installs it.
fn suite() -> Option<PathBuf> {
    let installed = PathBuf::from(concat!(env!("CARGO_TARGET_TMPDIR"), "/bin/h2spec"));
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&paths).map(|folder| folder.join("h2spec")).chain([installed]);
    let found = places.find(|path| path.is_file());
    if found.is_none() {
        // The test runner shows what a failing test prints, and nobody would see that this one did nothing.
        let _ = writeln!(std::io::stderr(), "skipped, since h2spec is not installed");
    }
    found
}

/// Runs rows, all where none is named; answers how many there were, and which failed.
fn run(suite: &Path, address: &str, arguments: &[&str]) -> (usize, Vec<Failed>) {
    let sandbox = Sandbox::new();
    let (host, port) = address.split_once(':').expect("host and port");
    let report = sandbox.path().join("report.xml");
    let mut command = Command::new(suite);
    command.args(arguments).args(["--strict", "--host", host, "--port", port, "--timeout", PATIENCE]);
    command.args(["--path", "/v1/traces", "--junit-report"]).arg(&report).stdout(Stdio::null());
    assert!(command.status().expect("the suite runs").code() <= Some(1));
    rows(&std::fs::read_to_string(report).expect("it writes a report"))
}

/// Reads a report. Rows of a section are numbered as they stand there.
fn rows(report: &str) -> (usize, Vec<Failed>) {
    let (mut numbers, mut failed) = (HashMap::<&str, usize>::new(), Vec::new());
    let mut count = 0;
    for line in report.lines().filter(|line| line.trim_start().starts_with("<testcase ")) {
        let attribute = |name: &str| line.split(&format!("{name}=\"")).nth(1)?.split('"').next();
        let (section, title) =
            attribute("package").zip(attribute("classname")).expect("a row has a section and a title");
        let number = numbers.entry(section).or_default();
        *number += 1;
        count += 1;
        if !line.ends_with("></testcase>") {
            failed.push(Failed { id: format!("{section}/{number}"), title: title.to_owned() });
        }
    }
    (count, failed)
}

#[test]
fn the_port_speaks_http_2_as_the_standard_has_it() {
    let Some(suite) = suite() else { return };
    let collector = Collector::start_with(Sandbox::new(), &[]);
    let address = &*collector.otlp[0];
    let (count, failed) = run(&suite, address, &[]);
    assert!(count > 100, "the suite has {count} rows");
    for Failed { id, title } in failed {
        if EXCEPTIONS.iter().any(|(known, name, _)| (*known, *name) == (&id, &title)) {
            continue;
        }
        // Some rows send a second frame that is wrong. A refusal of the first may be faster, as the standard allows, and
        // is then taken for the answer. What is really wrong never passes.
        let passes = (0..ATTEMPTS).any(|_| run(&suite, address, &[&id]) == (1, Vec::new()));
        assert!(passes, "{id}: {title}");
    }
    let long = run(&suite, address, &["http2/4.2/3", "--max-header-length", LONG_HEADER_BYTES]);
    assert_eq!(long, (1, Vec::new()));
    assert_eq!(collector.end().0, 0);
}
