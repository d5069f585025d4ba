//! An operation that the outside world may ask without saying who it is, beside others that want to know.
//!
//! The signal is identity in the spans of requests: a user, a session, an authorization header. Where an SDK records none
//! nothing can be told, so an operation is only judged against its siblings. Refused: what must be open, to judge by its
//! path: signing in, static files, webhooks, which carry a signature instead.

use spanlint_graph::facts::Entry;
use spanlint_graph::snapshot::Operation;
use spanlint_graph::{CallGraph, NodeIndex};

use crate::case::{Case, Draft, traces_of_service};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Undecided, Verdict};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::{topology, wording};

/// Parts of a path that tell that nobody can be known there yet, or that nobody needs to be.
const OPEN_PARTS: [&str; 31] = [
    ".well-known",
    "about",
    "assets",
    "auth",
    "callback",
    "css",
    "favicon.ico",
    "forgot-password",
    "hooks",
    "images",
    "img",
    "jwks",
    "js",
    "login",
    "logout",
    "oauth",
    "oauth2",
    "openapi.json",
    "password",
    "public",
    "register",
    "reset-password",
    "robots.txt",
    "signin",
    "sign-in",
    "signup",
    "sign-up",
    "static",
    "token",
    "webhook",
    "webhooks",
];

/// The rule.
pub(super) struct UnauthenticatedEndpoint;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "unauthenticated-endpoint",
    category: Category::Security,
    severity: Severity::Note,
    confidence: Confidence::Heuristic,
    status: Status::Stable("0.1.0"),
    summary: "An operation answers the outside world without asking who it is, although its siblings do.",
    looks_like: "Every route of the order service wants a token but one, which was added in a hurry for the old app and lists \
                 all orders to whoever asks.",
    why: "Access control that is written anew for each operation is forgotten at one of them, and that one is found.",
    how: "Of a service's operations that are asked from outside, those whose requests show who is asking in half of all cases \
          are counted. The pattern holds for an operation with `min_requests` requests, none of which shows it, where \
          `min_siblings` siblings or more, and half of them, do.",
    fix: "Refuse requests without identity in one place before all operations, and open single ones by name.",
    limits: "Content that is meant for everybody looks the same; ignore it with that reason. Operations whose path tells that \
             they sign people in, serve files or take webhooks are exempt. Where the SDK records no identity nothing is told.",
    references: &[
        "OWASP: API Security Top 10 (2023), API2 Broken Authentication",
        "CWE-306: Missing Authentication for Critical Function",
        "Ponce, Soldani, Astudillo, Brogi: Smells and refactorings for microservices security (2022), \
         Unauthenticated Traffic",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta { name: "min_requests", default: 100.0, help: "Requests, all without identity, of the operation." },
        OptionMeta { name: "min_siblings", default: 2.0, help: "Siblings whose requests show identity." },
    ],
    absorbs: &[],
};

impl Rule for UnauthenticatedEndpoint {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        if graph.operations.iter().all(|operation| operation.facts.identified == 0) {
            verdict.undecided.push(Undecided::of_input(&META, "no request shows who was asking"));
            return verdict;
        }
        for service in topology::services(graph) {
            let outer = topology::operations_of(graph, service).iter().filter(|operation| is_external(operation));
            let outer: Vec<&Operation> = outer.collect();
            let asking = outer.iter().filter(|operation| asks(operation)).count();
            let never = |operation: &&&Operation| operation.facts.identified == 0 && !is_open(&operation.name);
            let silent: Vec<&Operation> = outer.iter().filter(never).copied().collect();
            let siblings = outer.len().saturating_sub(1);
            if silent.is_empty() || asking * 2 < siblings || (asking as u64) < options.whole("min_siblings") {
                continue;
            }
            judge(graph, options, service, &silent, (asking, siblings), &mut verdict);
        }
        verdict
    }
}

/// Whether the outside world asks it.
fn is_external(operation: &Operation) -> bool {
    operation.facts.entries[Entry::Client as usize] > 0
}

/// Whether it wants to know who is asking.
fn asks(operation: &Operation) -> bool {
    operation.facts.identified > 0 && operation.facts.identified * 2 >= operation.facts.requests
}

/// Whether its path tells that nobody can or need be known there.
fn is_open(name: &str) -> bool {
    let path = name.split_once(' ').map_or(name, |(_, path)| path);
    let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
    parts.peek().is_none() || parts.any(|part| OPEN_PARTS.contains(&part.to_ascii_lowercase().as_str()))
}

fn judge(
    graph: &CallGraph,
    options: &Options<'_>,
    service: NodeIndex,
    silent: &[&Operation],
    (asking, siblings): (usize, usize),
    verdict: &mut Verdict,
) {
    let case = Case::new(graph, options, [service]);
    let needed = options.whole("min_requests");
    let from_outside = |operation: &Operation| operation.facts.entries[Entry::Client as usize];
    let (many, few): (Vec<&Operation>, Vec<&Operation>) =
        silent.iter().partition(|operation| from_outside(operation) >= needed);
    if many.is_empty() {
        let most = few.iter().map(|operation| from_outside(operation)).max().unwrap_or_default();
        let seen = wording::count(most, "request");
        verdict.undecided.push(case.undecided(format!("{seen} without identity seen, {needed} needed")));
        return;
    }
    verdict.take(finding(graph, &case, options, service, &many, (asking, siblings)));
}

fn finding(
    graph: &CallGraph,
    case: &Case<'_>,
    options: &Options<'_>,
    service: NodeIndex,
    silent: &[&Operation],
    (asking, siblings): (usize, usize),
) -> Result<Finding, Undecided> {
    let name = &graph.node(service).name;
    let operations: Vec<String> = silent.iter().map(|operation| wording::operation(name, &operation.name)).collect();
    let requests = silent.iter().map(|operation| operation.facts.requests).sum();
    let support = options.required().sighting(requests, requests).map_err(|missing| case.undecided(missing))?;
    let traces =
        silent.iter().flat_map(|operation| operation.facts.exemplars.proof(operation.facts.latency.quantile(0.5)));
    case.finding(Draft {
        title: format!("{} never shows who is asking", wording::list(&operations)),
        message: format!(
            "None of {} of {} shows who is asking, while those of {asking} of {siblings} sibling operations do.",
            wording::count(requests, "request"),
            wording::list(&operations),
        ),
        fix: format!(
            "Let {name} refuse requests without identity before it looks at the operation, or say why this is open."
        ),
        subject: Subject { operations: operations.clone(), ..Subject::default() },
        evidence: vec![
            Evidence::of("requests_without_identity", requests as f64, "requests")
                .against(options.number("min_requests")),
            Evidence::of("siblings_with_identity", asking as f64, "operations").against(options.number("min_siblings")),
        ],
        support,
        traces: traces.chain(traces_of_service(graph, service)).collect(),
        ..case.draft()
    })
}

#[cfg(test)]
mod tests {
    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("unauthenticated-endpoint", traces, expected);
    }

    const SIBLINGS: &str = "\n\n10 traces\nweb GET /cart enduser.id=a\n\n10 traces\nweb POST /orders enduser.id=a";

    #[test]
    fn a_hundred_requests_that_nobody_is_asked_for_beside_siblings_that_ask() {
        check(
            &format!("100 traces\nweb GET /all{SIBLINGS}"),
            &["note heuristic: web GET /all never shows who is asking"],
        );
        check(&format!("99 traces\nweb GET /all{SIBLINGS}"), &["(web: 99 requests without identity seen, 100 needed)"]);
        check(&format!("99 traces\nweb GET /all\n\nweb GET /all session.id=1{SIBLINGS}"), &[]);
    }

    #[test]
    fn without_any_identity_nothing_is_told() {
        check("100 traces\nweb GET /all\n\n100 traces\nweb GET /cart", &["(no request shows who was asking)"]);
    }

    #[test]
    fn most_siblings_must_ask() {
        let open = "100 traces\nweb GET /all\n\nweb GET /a\n\nweb GET /b\n\nweb GET /c";
        check(&format!("{open}{SIBLINGS}"), &[]);
    }

    #[test]
    fn what_signs_people_in_or_serves_files_is_open() {
        for path in ["/login", "/static/app.js", "/", "/webhooks/{provider}", "/oauth/token"] {
            check(&format!("100 traces\nweb POST {path}{SIBLINGS}"), &[]);
        }
    }

    #[test]
    fn operations_for_other_services_are_not_outside() {
        check(&format!("100 traces\nmail GET /\n  web GET /internal{SIBLINGS}"), &[]);
    }
}
