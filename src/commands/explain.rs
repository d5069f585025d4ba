//! `spanlint explain RULE`: the page of a rule.

use anyhow::bail;
use spanlint_analyzer::{explain, rules};

use crate::failure::Ending;
use crate::output;

pub(crate) fn run(name: &str) -> anyhow::Result<Ending> {
    let Some(rule) = rules::find(name) else {
        let names = rules::ALL.iter().map(|rule| rule.meta().name);
        let nearest = names.max_by(|left, right| likeness(name, left).total_cmp(&likeness(name, right)));
        bail!("no rule `{name}`, did you mean `{}`? `spanlint rules` lists them", nearest.unwrap_or_default());
    };
    output::data(&explain::page(rule.meta()))?;
    Ok(Ending::Clean)
}

fn likeness(left: &str, right: &str) -> f64 {
    strsim::jaro_winkler(left, right)
}
