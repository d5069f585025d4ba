//! The house rules that no compiler checks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const MAX_FUNCTION_LINES: usize = 70;
const MAX_FILE_LINES: usize = 500;
/// What stands before the tests of a file.
const TESTS_BEGIN: &str = "\n#[cfg(test)]\nmod ";

/// Each package with the packages of ours that it may depend on: imports go one way.
const MAY_DEPEND: [(&str, &[&str]); 6] = [
    (".", &["spanlint-graph", "spanlint-collector", "spanlint-analyzer", "spanlint-tui", "spanlint-demo-shop"]),
    ("tui", &["spanlint-graph", "spanlint-analyzer"]),
    ("analyzer", &["spanlint-graph"]),
    ("collector", &["spanlint-graph"]),
    ("collector/graph", &[]),
    ("demo-shop", &[]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file that belongs to the project: tracked by git, or new and not ignored.
fn files() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).expect("names are UTF-8");
    let files: Vec<PathBuf> = names.lines().map(PathBuf::from).filter(|path| root().join(path).is_file()).collect();
    assert!(files.len() > 50, "only {} files found", files.len());
    files
}

fn sources() -> impl Iterator<Item = (PathBuf, String)> {
    let sources = files().into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    sources.map(|path| {
        let text = fs::read_to_string(root().join(&path)).expect("sources are UTF-8");
        (path, text)
    })
}

fn assert_none(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn functions_are_short() {
    let mut broken = Vec::new();
    for (path, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (start, line) in lines.iter().enumerate().filter(|(_, line)| starts_function(line)) {
            let end = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
            let length = lines[start..].iter().position(|line| *line == end).map_or(1, |length| length + 1);
            if length > MAX_FUNCTION_LINES {
                broken.push(format!("{}:{}: a function of {length} lines", path.display(), start + 1));
            }
        }
    }
    assert_none(&broken);
}

fn starts_function(line: &str) -> bool {
    let words = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe"];
    let mut rest = line.trim_start();
    while let Some((word, after)) = rest.split_once(' ').filter(|(word, _)| words.contains(word)) {
        rest = after;
        debug_assert!(!word.is_empty());
    }
    rest.starts_with("fn ") && !line.trim_end().ends_with([';', '}'])
}

#[test]
fn files_are_short() {
    let mut broken = Vec::new();
    for (path, text) in sources().filter(|(path, _)| !is_test(path)) {
        let length = text.split(TESTS_BEGIN).next().unwrap_or_default().lines().count();
        if length > MAX_FILE_LINES {
            broken.push(format!("{}: {length} lines without tests", path.display()));
        }
    }
    assert_none(&broken);
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs")
}

#[test]
fn every_module_says_what_it_is() {
    let silent = sources().filter(|(_, text)| !text.starts_with("//! "));
    assert_none(&silent.map(|(path, _)| format!("{}: no module comment", path.display())).collect::<Vec<_>>());
}

#[test]
fn imports_go_one_way() {
    let mut broken = Vec::new();
    for (folder, allowed) in MAY_DEPEND {
        let manifest =
            fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("every package has a manifest");
        let manifest: toml::Table = manifest.parse().expect("manifests are TOML");
        let used =
            ["dependencies", "dev-dependencies"].into_iter().filter_map(|section| manifest.get(section)?.as_table());
        for name in used.flat_map(toml::Table::keys).filter(|name| name.starts_with("spanlint")) {
            if !allowed.contains(&name.as_str()) {
                broken.push(format!("{folder} may not depend on {name}"));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn no_test_file_is_forgotten() {
    let mut broken = Vec::new();
    for folder in ["tests", "collector/graph/tests"] {
        let main = fs::read_to_string(root().join(folder).join("main.rs")).expect("one test program for each folder");
        for entry in fs::read_dir(root().join(folder)).expect("the folder is there") {
            let path = entry.expect("the folder can be read").path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
            let is_source = path.extension().is_some_and(|extension| extension == "rs");
            if is_source && stem != "main" && !main.contains(&format!("mod {stem};")) {
                broken.push(format!("{folder}/{stem}.rs is not named in {folder}/main.rs"));
            }
        }
    }
    assert_none(&broken);
}

#[test]
fn every_package_has_a_readme() {
    let missing = MAY_DEPEND.iter().filter(|(folder, _)| !root().join(folder).join("README.md").is_file());
    assert_none(&missing.map(|(folder, _)| format!("{folder} has no README.md")).collect::<Vec<_>>());
}

#[test]
fn no_test_sleeps_or_is_ignored() {
    // Tests on a paused clock may: their sleep takes no time.
    // Written apart, so that this file does not name what it forbids.
    let forbidden = [concat!("thread::", "sleep"), concat!("time::", "sleep("), concat!("#[", "ignore")];
    let mut broken = Vec::new();
    for (path, text) in sources().filter(|(_, text)| !text.contains("start_paused = true")) {
        let tests = if is_test(&path) { &text } else { text.split_once(TESTS_BEGIN).map_or("", |(_, tests)| tests) };
        let found = forbidden.iter().filter(|word| tests.contains(**word));
        broken.extend(found.map(|word| format!("{}: {word}", path.display())));
    }
    assert_none(&broken);
}

#[test]
fn nothing_names_a_machine() {
    let forbidden = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let mut broken = Vec::new();
    for path in files() {
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        let lines = text.lines().enumerate().filter(|(_, line)| forbidden.iter().any(|word| line.contains(word)));
        broken.extend(lines.map(|(number, line)| format!("{}:{}: {line}", path.display(), number + 1)));
    }
    assert_none(&broken);
}
