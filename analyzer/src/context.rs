//! What a rule is told beside the graph: its own thresholds, the support that it needs, and what all rules share.

use std::sync::OnceLock;

use spanlint_graph::{CallGraph, NodeIndex};

use crate::analysis::Background;
use crate::architecture::Architecture;
use crate::config::{Config, Level, Mode};
use crate::coverage::Coverage;
use crate::groups::Groups;
use crate::roles::Roles;
use crate::rule::RuleMeta;
use crate::support::Required;
use crate::topology::Calls;

/// What all rules share about one graph; made once.
#[derive(Debug)]
pub struct Context<'a> {
    config: &'a Config,
    mode: Mode,
    roles: Roles<'a>,
    coverage: Coverage,
    groups: Groups,
    calls: Calls,
    circles: OnceLock<Vec<Vec<NodeIndex>>>,
}

impl<'a> Context<'a> {
    /// What is known of `graph` under `config`.
    pub fn of(graph: &CallGraph, config: &'a Config, mode: Mode) -> Self {
        let calls = Calls::of(graph);
        Self {
            config,
            mode,
            roles: Roles::of(graph, config.roles(), &calls),
            coverage: Coverage::of(graph, config.sampling()),
            groups: Groups::of(graph, config.architecture()),
            calls,
            circles: OnceLock::new(),
        }
    }

    /// What outlives the judgement.
    pub fn into_background(self, graph: &CallGraph) -> Background {
        Background { roles: self.roles.assigned(graph), coverage: self.coverage, groups: self.groups }
    }
}

/// What one rule is given.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    rule: &'static RuleMeta,
    context: &'a Context<'a>,
}

impl<'a> Options<'a> {
    /// What `rule` is given in `context`.
    pub fn new(rule: &'static RuleMeta, context: &'a Context<'a>) -> Self {
        Self { rule, context }
    }

    /// What another rule is given, for one that builds on it.
    #[must_use]
    pub(crate) fn of(&self, rule: &'static RuleMeta) -> Self {
        Self { rule, ..*self }
    }

    /// The rule itself.
    pub fn rule(&self) -> &'static RuleMeta {
        self.rule
    }

    /// Whether the configuration sets a level for the rule, so that it is wanted.
    pub fn is_level_set(&self) -> bool {
        self.context.config.level(self.rule).is_some()
    }

    /// Whether the configuration switches the rule off.
    pub fn is_off(&self) -> bool {
        self.context.config.level(self.rule) == Some(Level::Off)
    }

    /// Whether the configuration tells where owners are named, so that they are wanted.
    pub fn are_owners_wanted(&self) -> bool {
        self.context.config.owner_keys().is_some()
    }

    /// The value of one of the rule's own options.
    pub fn number(&self, option: &str) -> f64 {
        let declared = self.rule.options.iter().find(|declared| declared.name == option);
        let declared = declared.expect("a rule asks only for options that its metadata declares");
        self.context.config.threshold(self.rule, option).unwrap_or(declared.default)
    }

    /// The value of an option that counts something.
    pub fn whole(&self, option: &str) -> u64 {
        self.number(option) as u64
    }

    /// The support that patterns need.
    pub fn required(&self) -> Required<'a> {
        Required::new(&self.context.config.support, self.context.mode)
    }

    /// What services are for.
    pub fn roles(&self) -> &'a Roles<'a> {
        &self.context.roles
    }

    /// Which services belong together.
    pub fn groups(&self) -> &'a Groups {
        &self.context.groups
    }

    /// What is declared of the system.
    pub fn architecture(&self) -> &'a Architecture {
        self.context.config.architecture()
    }

    /// Which services call which, and wait.
    pub(crate) fn calls(&self) -> &'a Calls {
        &self.context.calls
    }

    /// The services of each circle of calls; the first rule that asks finds them for all.
    pub(crate) fn circles(&self, find: impl FnOnce() -> Vec<Vec<NodeIndex>>) -> &'a [Vec<NodeIndex>] {
        self.context.circles.get_or_init(find)
    }

    /// How far the input can be trusted.
    pub fn coverage(&self) -> &'a Coverage {
        &self.context.coverage
    }
}
