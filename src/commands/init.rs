//! `spanlint init`: a `spanlint.toml` to start with, made of observed traffic.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};

use anyhow::{Context, bail};
use spanlint_analyzer::starting_file::starting_file;
use spanlint_graph::Reading;

use crate::cli::InitArguments;
use crate::failure::Ending;
use crate::output;
use crate::recording::Recording;

pub(crate) fn run(arguments: &InitArguments) -> anyhow::Result<Ending> {
    let recording = Recording::read(&arguments.files, Reading::default())?;
    let graph = recording.graph(arguments.environment.as_deref())?;
    let text = starting_file(&graph);
    let path = &arguments.output;
    let mut options = OpenOptions::new();
    options.write(true);
    if arguments.force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let mut file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} is there already; --force replaces it, --output writes elsewhere", path.display())
        }
        Err(error) => return Err(error).with_context(|| format!("cannot write {}", path.display())),
    };
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    output::say(&format!("{} declares what was seen; `spanlint check` holds against it from now on", path.display()));
    Ok(Ending::Clean)
}
