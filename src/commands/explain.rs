//! `spanlint explain RULE`: the page of a rule.

use anyhow::bail;
use spanlint_analyzer::nearest::nearest;
use spanlint_analyzer::{explain, rules};

use crate::failure::Ending;
use crate::output;

pub(crate) fn run(name: &str) -> anyhow::Result<Ending> {
    let Some(rule) = rules::find(name) else {
        let (_, nearest) = nearest(name, rules::ALL.iter().map(|rule| rule.meta().name)).unwrap_or_default();
        bail!("no rule `{name}`, did you mean `{nearest}`? `spanlint rules` lists them");
    };
    output::data(&explain::page(rule.meta()))?;
    Ok(Ending::Clean)
}
