//! The `spanlint` command: the only place where the parts are wired together.

mod api;
mod attach;
mod cli;
mod commands;
mod failure;
mod judge;
mod output;
mod recorder;
mod recording;
mod report;
mod safety;
mod service;
mod session;
mod wrapped;

use std::process::ExitCode;

use anyhow::bail;
use clap::Parser;

use crate::cli::{Cli, Command};
use crate::failure::Ending;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(ending) => ending.into(),
        Err(error) if failure::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&failure::message(&error));
            ExitCode::from(failure::FAILED)
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<Ending> {
    if let Some((word, command)) = cli.misspelled() {
        bail!("no command and no file is called `{word}`, did you mean `spanlint {command}`?");
    }
    match cli.command.unwrap_or(Command::Watch(cli.watch)) {
        Command::Watch(arguments) => commands::watch::run(&arguments),
        Command::Collect(arguments) => commands::collect::run(&arguments),
        Command::Check(arguments) => commands::check::run(&arguments),
        Command::Record(arguments) => commands::record::run(&arguments),
        Command::Demo(arguments) => commands::demo::run(&arguments),
        Command::Explain { rule } => commands::explain::run(&rule),
        Command::Rules => commands::rules::run(),
        Command::Init(arguments) => commands::init::run(&arguments),
        Command::WhatIf(arguments) => commands::what_if::run(&arguments),
    }
}
