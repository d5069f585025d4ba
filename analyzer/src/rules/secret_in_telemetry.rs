//! Credentials and personal data in the attributes of spans.
//!
//! The signal is what was masked before a span was stored. The rule names attributes and never a value, since none is
//! left; what is a test value, a hash or redacted already was told apart where the value was seen.

use spanlint_graph::snapshot::SecretUse;
use spanlint_graph::span::SecretKind;
use spanlint_graph::{CallGraph, NodeIndex};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Undecided, Verdict};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::wording;

/// The rule.
pub(super) struct SecretInTelemetry;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "secret-in-telemetry",
    category: Category::Security,
    severity: Severity::Warning,
    confidence: Confidence::Proven,
    status: Status::Stable("0.1.0"),
    summary: "Spans carry credentials or personal data to wherever telemetry goes.",
    looks_like: "Somebody switched on the recording of request headers to find a bug, and since then everybody who may look at \
                 traces can log in as any customer.",
    why: "Telemetry is copied to more places, kept longer and read by more people than the data it came from. A credential in \
          it is a credential that has leaked, and must be replaced.",
    how: "Attribute values and span names are held against the shapes of tokens, keys, passwords, payment card numbers and \
          e-mail addresses when they arrive, and masked before anything stores them. One credential is an error; \
          `min_personal_spans` spans with personal data are a warning.",
    fix: "Stop recording the attribute where the span is made, or redact it in the pipeline; replace every credential that was \
          sent.",
    limits: "Values of unknown shape are not recognised. Test values, hashes and values that are redacted already do not \
             count. Values are masked here, but whoever else receives the spans has them in clear.",
    references: &[
        "OpenTelemetry documentation: Handling sensitive data",
        "OWASP: Logging Cheat Sheet, Data to exclude",
        "CWE-532: Insertion of Sensitive Information into Log File",
    ],
    instrumentation_score: &[],
    options: &[OptionMeta {
        name: "min_personal_spans",
        default: 3.0,
        help: "Spans of one service with personal data that make the pattern.",
    }],
    absorbs: &[],
};

impl Rule for SecretInTelemetry {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for uses in graph.secrets.chunk_by(|left, right| left.service == right.service) {
            verdict.take(judge(graph, options, uses[0].service, uses));
        }
        verdict
    }
}

fn judge(
    graph: &CallGraph,
    options: &Options<'_>,
    service: NodeIndex,
    uses: &[SecretUse],
) -> Result<Finding, Undecided> {
    let case = Case::new(graph, options, [service]);
    let needed = options.whole("min_personal_spans");
    let spans = |is_credential: bool| {
        let of_kind = uses.iter().filter(|secret| (secret.kind == SecretKind::Credential) == is_credential);
        of_kind.map(|secret| secret.facts.spans).sum::<u64>()
    };
    let (credentials, personal) = (spans(true), spans(false));
    if credentials == 0 && personal < needed {
        let seen = wording::count(personal, "span");
        return Err(case.undecided(format!("{seen} with personal data seen, {needed} needed")));
    }
    let node = graph.node(service);
    let name = &node.name;
    let all = node.service.as_ref().map_or(0, |service| service.facts.spans);
    // Credentials come first: kinds are sorted that way.
    let affected = uses.iter().map(|secret| secret.facts.spans).max().unwrap_or_default();
    let support = options.required().sighting(affected, all).map_err(|missing| case.undecided(missing))?;
    let told: Vec<String> = uses.iter().map(told).collect();
    let places: Vec<&str> = uses.iter().map(place).collect();
    let what = match (credentials, personal) {
        (0, _) => "personal data",
        (_, 0) => "credentials",
        _ => "credentials and personal data",
    };
    case.finding(Draft {
        severity: if credentials > 0 { Severity::Error } else { META.severity },
        title: format!("spans of {name} carry {what}"),
        message: format!("Spans of {name} hold {}; the values are masked here.", told.join(", ")),
        fix: match credentials {
            0 => format!("Stop {name} from recording {}.", wording::list(&places)),
            _ => format!(
                "Stop {name} from recording {}, and replace the credentials that it has sent.",
                wording::list(&places)
            ),
        },
        evidence: vec![
            Evidence::of("spans_with_credentials", credentials as f64, "spans").against(1.0),
            Evidence::of("spans_with_personal_data", personal as f64, "spans").against(needed as f64),
        ],
        support,
        traces: uses.iter().filter_map(|secret| secret.facts.exemplars.typical(1)).collect(),
        ..case.draft()
    })
}

/// `a credential in url.full (12 spans)`.
fn told(secret: &SecretUse) -> String {
    let article = if secret.kind == SecretKind::EmailAddress { "an" } else { "a" };
    let spans = wording::count(secret.facts.spans, "span");
    format!("{article} {} in {} ({spans})", secret.kind.as_str(), place(secret))
}

fn place(secret: &SecretUse) -> &str {
    if secret.key.is_empty() { "their names" } else { &secret.key }
}

#[cfg(test)]
mod tests {
    use crate::testing::{analysis, check};

    const TOKEN: &str =
        "http.request.header.authorization=Bearer.eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl";
    const RULE: &str = "secret-in-telemetry";

    #[test]
    fn one_credential_is_an_error() {
        check(
            RULE,
            &format!("cart GET /cart {TOKEN}\n\n500 traces\ncart GET /cart"),
            &["error proven: spans of cart carry credentials"],
        );
    }

    #[test]
    fn three_spans_with_personal_data_are_a_warning() {
        let mail = "cart GET /cart user.email=ann@shop.org";
        check(RULE, &format!("3 traces\n{mail}"), &["warning proven: spans of cart carry personal data"]);
        check(RULE, &format!("2 traces\n{mail}"), &["(cart: 2 spans with personal data seen, 3 needed)"]);
    }

    #[test]
    fn one_service_is_one_finding_that_names_attributes_and_no_value() {
        let traces = format!("cart GET /cart {TOKEN} user.email=ann@shop.org");
        check(RULE, &traces, &["error proven: spans of cart carry credentials and personal data"]);
        let analysis = analysis(&traces, "");
        let finding = analysis.findings.iter().find(|finding| finding.rule.name == RULE).unwrap();
        assert_eq!(
            finding.message,
            "Spans of cart hold a credential in http.request.header.authorization (1 span), an e-mail address in \
             user.email (1 span); the values are masked here."
        );
        assert!(!format!("{finding:?}").contains("eyJ"), "{finding:?}");
    }

    #[test]
    fn what_is_redacted_already_is_none() {
        for value in ["REDACTED", "[Filtered]", "****"] {
            check(RULE, &format!("5 traces\ncart GET /cart http.request.header.authorization={value}"), &[]);
        }
    }
}
