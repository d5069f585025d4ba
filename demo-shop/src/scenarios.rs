//! The faults that the shop can be told to have.
//!
//! Each is a real code path inside a service, names the one rule that it should trigger, and can be switched while the
//! shop runs. Nothing else in the shop is wrong on purpose.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One fault, built in on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scenario {
    /// Cart asks warehouse for the stock of its lines one by one.
    ChattyCart,
    /// Recommendation reads and order-processing writes the tables of order-taking.
    SharedDatabase,
    /// Payment calls back into order-processing, which called it.
    CyclicDependency,
}

impl Scenario {
    /// Every scenario, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::ChattyCart, Self::SharedDatabase, Self::CyclicDependency];

    /// The name on the command line and the control port.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChattyCart => "chatty-cart",
            Self::SharedDatabase => "shared-database",
            Self::CyclicDependency => "cyclic-dependency",
        }
    }

    /// The rule that finds the fault.
    pub fn rule(self) -> &'static str {
        match self {
            Self::ChattyCart => "n-plus-one-calls",
            Self::SharedDatabase => "shared-database",
            Self::CyclicDependency => "cyclic-dependency",
        }
    }

    /// What goes wrong, in one sentence.
    pub fn description(self) -> &'static str {
        match self {
            Self::ChattyCart => "cart asks warehouse for the stock of every line with a call of its own",
            Self::SharedDatabase => "recommendation reads and order-processing writes the tables of order-taking",
            Self::CyclicDependency => "payment fetches the order from order-processing, which is waiting for it",
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A scenario name that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("no scenario is called `{name}`; there are chatty-cart, shared-database and cyclic-dependency")]
pub struct UnknownScenario {
    name: String,
}

impl FromStr for Scenario {
    type Err = UnknownScenario;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|scenario| scenario.name() == name)
            .ok_or_else(|| UnknownScenario { name: name.to_owned() })
    }
}

/// Which scenarios are on; clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Switches {
    states: Arc<[AtomicBool; Scenario::ALL.len()]>,
}

impl Switches {
    /// Switches a scenario on or off; requests that begin afterwards follow it.
    pub fn set(&self, scenario: Scenario, on: bool) {
        self.states[scenario as usize].store(on, Ordering::Relaxed);
    }

    /// Whether a scenario is on.
    pub fn is_on(&self, scenario: Scenario) -> bool {
        self.states[scenario as usize].load(Ordering::Relaxed)
    }

    /// Every scenario with its state.
    pub fn list(&self) -> [(Scenario, bool); Scenario::ALL.len()] {
        Scenario::ALL.map(|scenario| (scenario, self.is_on(scenario)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for scenario in Scenario::ALL {
            assert_eq!(scenario.name().parse::<Scenario>().unwrap(), scenario);
        }
    }

    #[test]
    fn an_unknown_name_lists_all_known_ones() {
        let message = "chatty".parse::<Scenario>().unwrap_err().to_string();
        for scenario in Scenario::ALL {
            assert!(message.contains(scenario.name()), "{message}");
        }
    }

    #[test]
    fn clones_share_their_switches() {
        let switches = Switches::default();
        switches.clone().set(Scenario::SharedDatabase, true);
        assert!(switches.is_on(Scenario::SharedDatabase));
        assert!(!switches.is_on(Scenario::ChattyCart));
    }
}
