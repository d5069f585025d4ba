//! Judging, with the configuration and the date that the outside world has.

use std::path::{Path, PathBuf};

use anyhow::Context;
use spanlint_analyzer::{Analysis, Config, Mode};
use spanlint_graph::{CallGraph, Reading};

use crate::cli::JudgeArguments;

/// The name of the configuration where no flag names one.
const FILE_NAME: &str = "spanlint.toml";

/// A configuration, ready to judge with.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    config: Config,
}

impl Judge {
    /// Reads the configuration: the named file, else `spanlint.toml` in this folder or the nearest one above, else
    /// the defaults.
    pub(crate) fn load(arguments: &JudgeArguments) -> anyhow::Result<Self> {
        let path = match &arguments.config {
            Some(path) => Some(path.clone()),
            None => find_upward(&std::env::current_dir().context("cannot tell the working directory")?),
        };
        Self::named(path.as_deref())
    }

    /// Reads the configuration in a file; the defaults where none is named.
    pub(crate) fn named(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration {}", path.display()))?;
        let mut config = Config::parse(&text, &path.display().to_string())?;
        if let Some(baseline) = config.baseline() {
            let baseline = path.with_file_name(baseline);
            let report = std::fs::read_to_string(&baseline).with_context(|| {
                format!("cannot read the baseline {}, named in {}", baseline.display(), path.display())
            })?;
            config
                .know(&report)
                .with_context(|| format!("{} is no report of `spanlint check --format json`", baseline.display()))?;
        }
        Ok(Self { config })
    }

    /// How attributes of spans are read.
    pub(crate) fn reading(&self) -> Reading {
        let reading = Reading::default();
        match self.config.owner_keys() {
            Some(keys) => Reading { owner_keys: keys.to_vec(), ..reading },
            None => reading,
        }
    }

    /// Judges a graph today, by UTC.
    pub(crate) fn judge(&self, graph: &CallGraph, mode: Mode) -> Analysis {
        spanlint_analyzer::judge(
            graph,
            &self.config,
            mode,
            jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date(),
        )
    }
}

fn find_upward(from: &Path) -> Option<PathBuf> {
    from.ancestors().map(|folder| folder.join(FILE_NAME)).find(|path| path.is_file())
}
