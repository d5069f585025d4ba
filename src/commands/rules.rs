//! `spanlint rules`: the list of rules.

use spanlint_analyzer::explain;

use crate::failure::Ending;
use crate::output;

pub(crate) fn run() -> anyhow::Result<Ending> {
    output::data(&explain::list())?;
    Ok(Ending::Clean)
}
