//! The real binary, in a temporary folder, with an environment of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A folder to run in, gone at the end.
pub(crate) struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// Writes a file and answers its path.
    pub(crate) fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("folders can be made");
        std::fs::write(&path, contents).expect("files can be written");
        path
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The command, without what the environment of the tests could change.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spanlint"));
        command.args(arguments).current_dir(self.path()).env_clear().env("TMPDIR", self.path());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).stdin(Stdio::null()).output().expect("the binary runs"))
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(arguments);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("the binary runs");
        child.stdin.take().expect("stdin is piped").write_all(input).expect("input is taken");
        Ran::from(child.wait_with_output().expect("the binary ends"))
    }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("the binary ends by itself"),
            stdout: String::from_utf8(output.stdout).expect("output is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("talk is UTF-8"),
        }
    }
}

impl Ran {
    /// The report of a run with `--format json`.
    pub(crate) fn report(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no report: {error}\n{self:?}"))
    }

    /// Rule and services of each finding that counts, worst first.
    pub(crate) fn findings(&self) -> Vec<(String, String)> {
        findings(&self.report(), "note")
    }
}

/// Rule and services (`a,b`) of each finding at or above a severity.
pub(crate) fn findings(report: &serde_json::Value, least: &str) -> Vec<(String, String)> {
    let rank = |severity: &str| ["note", "warning", "error"].iter().position(|each| *each == severity);
    let findings = report["findings"].as_array().expect("a list of findings").iter();
    let counted = findings.filter(|finding| finding["suppressed"].is_null());
    let loud = counted.filter(|finding| rank(finding["severity"].as_str().expect("a severity")) >= rank(least));
    loud.map(|finding| {
        let services =
            finding["services"].as_array().expect("services").iter().map(|name| name.as_str().expect("a name"));
        (finding["rule"].as_str().expect("a rule").to_owned(), services.collect::<Vec<_>>().join(","))
    })
    .collect()
}
