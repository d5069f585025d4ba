//! The catalogue of faults: how each is planted, and what is healthy although it looks like it.

mod boundaries;
mod chatter;
mod contract;
mod data;
mod granularity;
mod resilience;
mod security;
mod telemetry;

use super::land::Land;

/// What was put into a system.
#[derive(Debug, Clone, Default)]
pub(super) struct Planted {
    /// The services that a finding has to name.
    pub(super) services: Vec<String>,
    /// Services that it may name, too.
    pub(super) beside: Vec<String>,
    /// Rules that may say something of these services, since the catalogue leaves it open or the fault has that effect.
    pub(super) may: &'static [&'static str],
    /// Rules that may note something of these services, but no more than that.
    pub(super) notes: &'static [&'static str],
}

impl Planted {
    /// What is about exactly these services.
    fn of(land: &Land, services: &[usize]) -> Self {
        Self { services: services.iter().map(|&service| land.name_of(service)).collect(), ..Self::default() }
    }

    fn beside(self, land: &Land, services: &[usize]) -> Self {
        Self { beside: services.iter().map(|&service| land.name_of(service)).collect(), ..self }
    }

    fn noted(self, notes: &'static [&'static str]) -> Self {
        Self { notes, ..self }
    }

    fn may(self, may: &'static [&'static str]) -> Self {
        Self { may, ..self }
    }
}

/// Puts something into a system.
pub(super) type Plan = fn(&mut Land) -> Planted;

/// A rule, its fault, and its look-alikes by name.
pub(super) struct Plant {
    pub(super) rule: &'static str,
    pub(super) fault: Plan,
    pub(super) alikes: &'static [(&'static str, Plan)],
    /// Look-alikes that are the shape of the system as a whole: each makes one of its own.
    pub(super) systems: &'static [(&'static str, Plan)],
    /// At least so many healthy services stand around it.
    pub(super) least_services: usize,
    /// The fault is the shape of the system as a whole: no healthy system is built first.
    pub(super) is_whole: bool,
    /// No other fault stands in its system.
    pub(super) stands_alone: bool,
}

impl Plant {
    /// A fault of a corner, which others may stand beside.
    const fn local(rule: &'static str, fault: Plan, alikes: &'static [(&'static str, Plan)]) -> Self {
        Self { rule, fault, alikes, systems: &[], least_services: 6, is_whole: false, stands_alone: false }
    }

    /// A fault that has a system to itself.
    const fn alone(rule: &'static str, fault: Plan, alikes: &'static [(&'static str, Plan)]) -> Self {
        Self { stands_alone: true, ..Self::local(rule, fault, alikes) }
    }

    pub(super) fn is_alone(&self) -> bool {
        self.stands_alone
    }
}

pub(super) static PLANTS: &[Plant] = &[
    Plant::local("n-plus-one-queries", chatter::many_queries, chatter::LIKE_MANY_QUERIES),
    Plant::local("n-plus-one-calls", chatter::many_calls, chatter::LIKE_MANY_CALLS),
    Plant::local("n-plus-one-messages", chatter::many_messages, chatter::LIKE_MANY_MESSAGES),
    Plant::local("repeated-calls", chatter::repeated, chatter::LIKE_REPEATED),
    Plant::local("serial-calls", chatter::serial, chatter::LIKE_SERIAL),
    Plant::local("chatty-services", chatter::chatty, chatter::LIKE_CHATTY),
    Plant::local("excessive-fan-out", chatter::fan_out, chatter::LIKE_FAN_OUT),
    Plant::local("ping-pong", chatter::ping_pong, chatter::LIKE_PING_PONG),
    Plant::local("shared-database", data::shared, data::LIKE_SHARED),
    Plant {
        least_services: 8,
        systems: data::SYSTEMS_LIKE_MONOLITH,
        ..Plant::alone("data-monolith", data::monolith, data::LIKE_MONOLITH)
    },
    Plant::local("dual-write", data::dual_write, data::LIKE_DUAL_WRITE),
    Plant::local("cyclic-dependency", boundaries::cycle, boundaries::LIKE_CYCLE),
    Plant::alone("hub-service", boundaries::hub, boundaries::LIKE_HUB),
    Plant::alone("god-service", boundaries::god, boundaries::LIKE_GOD),
    Plant::local("tight-coupling", boundaries::tight, boundaries::LIKE_TIGHT),
    Plant::alone("wrong-cut", boundaries::wrong_cut, boundaries::LIKE_WRONG_CUT),
    Plant::local("low-cohesion", boundaries::low_cohesion, boundaries::LIKE_LOW_COHESION),
    Plant::alone("lockstep-deployment", boundaries::lockstep, boundaries::LIKE_LOCKSTEP),
    Plant::local("nano-service", granularity::nano, granularity::LIKE_NANO),
    Plant::local("pass-through-service", granularity::pass_through, granularity::LIKE_PASS_THROUGH),
    Plant::local("deep-call-chain", granularity::deep, granularity::LIKE_DEEP),
    Plant {
        is_whole: true,
        systems: granularity::SYSTEMS_LIKE_MONOLITH,
        ..Plant::alone("distributed-monolith", granularity::monolith, &[])
    },
    Plant {
        systems: security::SYSTEMS_LIKE_PLAINTEXT,
        ..Plant::local("plaintext-traffic", security::plaintext, security::LIKE_PLAINTEXT)
    },
    Plant::local("secret-in-telemetry", security::secret, security::LIKE_SECRET),
    Plant {
        systems: security::SYSTEMS_LIKE_UNAUTHENTICATED,
        ..Plant::alone("unauthenticated-endpoint", security::unauthenticated, &[])
    },
    Plant::local("exposed-internal-service", security::exposed, security::LIKE_EXPOSED),
    Plant::local("gateway-bypass", security::bypass, security::LIKE_BYPASS),
    Plant {
        is_whole: true,
        systems: security::SYSTEMS_LIKE_NO_GATEWAY,
        ..Plant::alone("missing-gateway", security::no_gateway, &[])
    },
    Plant::local("retry-storm", resilience::retries, resilience::LIKE_RETRIES),
    Plant::local("abandoned-work", resilience::abandoned, resilience::LIKE_ABANDONED),
    Plant::alone("missing-timeout", resilience::no_timeout, resilience::LIKE_NO_TIMEOUT),
    Plant::local("missing-circuit-breaker", resilience::no_breaker, resilience::LIKE_NO_BREAKER),
    Plant::local("cascading-failure", resilience::cascade, resilience::LIKE_CASCADE),
    Plant::alone("single-point-of-failure", resilience::single_point, resilience::LIKE_SINGLE_POINT),
    Plant::local("slow-query", resilience::slow_query, resilience::LIKE_SLOW_QUERY),
    Plant::alone("slow-call", resilience::slow_call, resilience::LIKE_SLOW_CALL),
    Plant::alone("pool-saturation", resilience::pool, resilience::LIKE_POOL),
    Plant::local("hard-coded-endpoint", telemetry::hard_coded, telemetry::LIKE_HARD_CODED),
    Plant::alone("unversioned-api", telemetry::unversioned, telemetry::LIKE_UNVERSIONED),
    Plant::alone("missing-owner", telemetry::ownerless, &[]),
    Plant::local("broken-trace", telemetry::broken, telemetry::LIKE_BROKEN),
    Plant::local("unpropagated-context", telemetry::unpropagated, telemetry::LIKE_UNPROPAGATED),
    Plant::alone("unnamed-service", telemetry::unnamed, &[]),
    Plant::alone("high-cardinality-name", telemetry::many_names, telemetry::LIKE_MANY_NAMES),
    Plant::local("forbidden-dependency", contract::forbidden, contract::LIKE_FORBIDDEN),
    Plant::alone("undeclared-dependency", contract::undeclared, contract::LIKE_UNDECLARED),
    Plant::alone("unused-dependency", contract::unused, contract::LIKE_UNUSED),
    Plant::local("call-budget-exceeded", contract::over_budget, contract::LIKE_OVER_BUDGET),
];
