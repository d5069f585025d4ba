//! `spanlint explain RULE`: the page of a rule.

use anyhow::bail;
use spanlint_analyzer::nearest::{MIN_LIKENESS, nearest};
use spanlint_analyzer::{explain, rules};

use crate::failure::Ending;
use crate::output;

pub(crate) fn run(name: &str) -> anyhow::Result<Ending> {
    let Some(rule) = rules::find(name) else {
        let nearest = nearest(name, rules::ALL.iter().map(|rule| rule.meta().name));
        let hint = match nearest {
            Some((likeness, nearest)) if likeness >= MIN_LIKENESS => format!(", did you mean `{nearest}`?"),
            _ => ";".to_owned(),
        };
        bail!("no rule `{name}`{hint} `spanlint rules` lists them");
    };
    output::data(&explain::page(rule.meta()))?;
    Ok(Ending::Clean)
}
