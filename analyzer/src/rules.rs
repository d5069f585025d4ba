//! The registry: every rule, sorted by name.

mod abandoned_work;
mod broken_trace;
mod call_budget_exceeded;
mod cascading_failure;
mod chatty_services;
mod cyclic_dependency;
mod data_monolith;
mod deep_call_chain;
mod distributed_monolith;
mod dual_write;
mod excessive_fan_out;
mod exposed_internal_service;
mod forbidden_dependency;
mod gateway_bypass;
mod god_service;
mod hard_coded_endpoint;
mod high_cardinality_name;
mod hub_service;
mod lockstep_deployment;
mod low_cohesion;
mod missing_circuit_breaker;
mod missing_gateway;
mod missing_owner;
mod missing_timeout;
mod n_plus_one_calls;
mod n_plus_one_messages;
mod n_plus_one_queries;
mod nano_service;
mod pass_through_service;
mod ping_pong;
mod plaintext_traffic;
mod pool_saturation;
mod repeated_calls;
mod retry_storm;
mod secret_in_telemetry;
mod serial_calls;
mod shared_database;
mod single_point_of_failure;
mod slow_call;
mod slow_query;
mod tight_coupling;
mod unauthenticated_endpoint;
mod undeclared_dependency;
mod unnamed_service;
mod unpropagated_context;
mod unused_dependency;
mod unversioned_api;
mod wrong_cut;

use crate::rule::Rule;

/// Every rule, sorted by name.
pub const ALL: &[&dyn Rule] = &[
    &abandoned_work::AbandonedWork,
    &broken_trace::BrokenTrace,
    &call_budget_exceeded::CallBudgetExceeded,
    &cascading_failure::CascadingFailure,
    &chatty_services::ChattyServices,
    &cyclic_dependency::CyclicDependency,
    &data_monolith::DataMonolith,
    &deep_call_chain::DeepCallChain,
    &distributed_monolith::DistributedMonolith,
    &dual_write::DualWriteRule,
    &excessive_fan_out::ExcessiveFanOut,
    &exposed_internal_service::ExposedInternalService,
    &forbidden_dependency::ForbiddenDependency,
    &gateway_bypass::GatewayBypass,
    &god_service::GodService,
    &hard_coded_endpoint::HardCodedEndpoint,
    &high_cardinality_name::HighCardinalityName,
    &hub_service::HubService,
    &lockstep_deployment::LockstepDeployment,
    &low_cohesion::LowCohesion,
    &missing_circuit_breaker::MissingCircuitBreaker,
    &missing_gateway::MissingGateway,
    &missing_owner::MissingOwner,
    &missing_timeout::MissingTimeout,
    &n_plus_one_calls::NPlusOneCalls,
    &n_plus_one_messages::NPlusOneMessages,
    &n_plus_one_queries::NPlusOneQueries,
    &nano_service::NanoService,
    &pass_through_service::PassThroughService,
    &ping_pong::PingPong,
    &plaintext_traffic::PlaintextTraffic,
    &pool_saturation::PoolSaturation,
    &repeated_calls::RepeatedCalls,
    &retry_storm::RetryStorm,
    &secret_in_telemetry::SecretInTelemetry,
    &serial_calls::SerialCalls,
    &shared_database::SharedDatabase,
    &single_point_of_failure::SinglePointOfFailure,
    &slow_call::SlowCall,
    &slow_query::SlowQuery,
    &tight_coupling::TightCoupling,
    &unauthenticated_endpoint::UnauthenticatedEndpoint,
    &undeclared_dependency::UndeclaredDependency,
    &unnamed_service::UnnamedService,
    &unpropagated_context::UnpropagatedContext,
    &unused_dependency::UnusedDependency,
    &unversioned_api::UnversionedApi,
    &wrong_cut::WrongCut,
];

/// The rule called `name`.
pub fn find(name: &str) -> Option<&'static dyn Rule> {
    ALL.iter().copied().find(|rule| rule.meta().name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::rule::RuleMeta;

    /// Whether `text` is a sentence: upper or lower case first, a final period.
    fn is_sentence(text: &str) -> bool {
        text.ends_with('.') && !text.starts_with(char::is_whitespace) && !text.contains("  ")
    }

    #[test]
    fn names_are_unique_and_sorted() {
        let names: Vec<_> = ALL.iter().map(|rule| rule.meta().name).collect();
        assert!(names.is_sorted_by(|left, right| left < right), "{names:?}");
        for name in names {
            assert!(name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-'), "{name}");
            assert_eq!(find(name).unwrap().meta().name, name);
        }
    }

    #[test]
    fn metadata_speaks_in_sentences() {
        for meta in ALL.iter().map(|rule| rule.meta()) {
            for text in [meta.summary, meta.looks_like, meta.why, meta.how, meta.fix, meta.limits] {
                assert!(is_sentence(text), "{}: {text}", meta.name);
            }
            assert!(!meta.references.is_empty(), "{} names no source", meta.name);
        }
    }

    #[test]
    fn options_can_be_configured_and_are_named_once() {
        for meta in ALL.iter().map(|rule| rule.meta()) {
            let names: BTreeSet<_> = meta.options.iter().map(|option| option.name).collect();
            assert_eq!(names.len(), meta.options.len(), "{}", meta.name);
            for option in meta.options {
                let text = format!("[rules.{}]\nlevel = \"note\"\n{} = {:?}\n", meta.name, option.name, option.default);
                Config::parse(&text, "spanlint.toml").unwrap();
                assert!(is_sentence(option.help), "{}: {}", meta.name, option.help);
            }
        }
    }

    #[test]
    fn absorbed_rules_exist() {
        for meta in ALL.iter().map(|rule| rule.meta()) {
            for absorbed in meta.absorbs {
                assert!(find(absorbed).is_some(), "{} absorbs {absorbed}", meta.name);
            }
        }
    }

    /// The other rules that one explains; of its own it only explains what is smaller.
    fn explained_by(meta: &'static RuleMeta) -> impl Iterator<Item = &'static str> {
        meta.absorbs.iter().copied().filter(|rule| *rule != meta.name)
    }

    #[test]
    fn nothing_explains_itself() {
        // Whoever follows what is absorbed step by step comes to an end.
        let mut explained: Vec<&str> = ALL.iter().map(|rule| rule.meta().name).collect();
        for _ in ALL {
            let below: BTreeSet<&str> =
                explained.iter().flat_map(|rule| explained_by(find(rule).unwrap().meta())).collect();
            explained = below.into_iter().collect();
        }
        assert_eq!(explained, Vec::<&str>::new());
    }

    #[test]
    fn every_rule_has_its_fixtures() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
        for meta in ALL.iter().map(|rule| rule.meta()) {
            for file in ["fires.json", "silent.json"] {
                assert!(fixtures.join(meta.name).join(file).is_file(), "{} has no {file}", meta.name);
            }
        }
    }
}
