//! How a span ended, as protocols, instrumentations and exceptions tell it.

use super::attributes::Field;
use super::inputs::Inputs;
use crate::name::cut;
use crate::span::{Outcome, SpanView};

/// How a span ended: by its status, else by the words of its attributes, else by those of status and exception.
pub(super) fn outcome(inputs: &Inputs<'_>) -> Outcome {
    match inputs.int(Field::HttpStatus).unwrap_or_default() {
        408 | 504 => return Outcome::TimedOut,
        499 => return Outcome::Cancelled,
        400..=498 => return Outcome::Rejected,
        500.. => return Outcome::Failed,
        _ => {}
    }
    // Micrometer writes the class of the status, and the status itself under a name that anybody may use.
    match &*inputs.text(Field::OutcomeClass) {
        "CLIENT_ERROR" => return Outcome::Rejected,
        "SERVER_ERROR" => return Outcome::Failed,
        _ => {}
    }
    let is_error = inputs.is_error || inputs.text(Field::ErrorFlag) == "true";
    // Micrometer calls the exception of a call that had none so.
    let error_type = inputs.text(Field::ErrorType);
    let error_type = if error_type.eq_ignore_ascii_case("none") { "" } else { &*error_type };
    let code = inputs.text(Field::RpcStatus);
    if let Some(outcome) = outcome_of_code(&code).or_else(|| outcome_of_code(error_type)) {
        return outcome;
    }
    // Zipkin's libraries put the message of the error where others only say that there was one.
    let flag = inputs.text(Field::ErrorFlag);
    let told = outcome_of_type(if error_type.is_empty() { &flag } else { error_type });
    let is_failure = is_error || !error_type.is_empty();
    told.or(inputs.told).unwrap_or(if is_failure { Outcome::Failed } else { Outcome::Ok })
}

/// How a span failed by the words of its status and its exception; none where they do not say, or it did not fail.
pub(super) fn told(view: &SpanView<'_>) -> Option<Outcome> {
    if !view.is_error {
        return None;
    }
    let told = [outcome_of_type(&view.exception), outcome_of_message(&view.status_message)];
    // A connection that was aborted because its time was up.
    let is_timeout = told.contains(&Some(Outcome::TimedOut));
    if is_timeout { Some(Outcome::TimedOut) } else { told[0].or(told[1]) }
}

/// What the type of an error, or of an exception, says of a call that nobody waited for any longer.
fn outcome_of_type(error: &str) -> Option<Outcome> {
    outcome_of_words(error, &["cancel", "abort"])
}

/// What the message of an error says of a call that nobody waited for any longer. None where it says nothing of that: a
/// transaction that is aborted, or a connection, has failed.
fn outcome_of_message(message: &str) -> Option<Outcome> {
    outcome_of_words(message, &["cancel", "user aborted", "operation was aborted"])
}

/// `given_up` is what says that the caller did not wait.
fn outcome_of_words(words: &str, given_up: &[&str]) -> Option<Outcome> {
    const TIMEOUT: [&str; 4] = ["timeout", "timedout", "timed out", "deadline"];
    if words.is_empty() {
        return None;
    }
    let words = cut(words).to_ascii_lowercase();
    let speaks_of = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
    if speaks_of(&TIMEOUT) { Some(Outcome::TimedOut) } else { speaks_of(given_up).then_some(Outcome::Cancelled) }
}

/// The codes of gRPC in the order of their numbers, and what they say.
const RPC_CODES: [(&str, Outcome); 17] = [
    ("OK", Outcome::Ok),
    ("CANCELLED", Outcome::Cancelled),
    ("UNKNOWN", Outcome::Failed),
    ("INVALID_ARGUMENT", Outcome::Rejected),
    ("DEADLINE_EXCEEDED", Outcome::TimedOut),
    ("NOT_FOUND", Outcome::Rejected),
    ("ALREADY_EXISTS", Outcome::Rejected),
    ("PERMISSION_DENIED", Outcome::Rejected),
    ("RESOURCE_EXHAUSTED", Outcome::Failed),
    ("FAILED_PRECONDITION", Outcome::Rejected),
    ("ABORTED", Outcome::Failed),
    ("OUT_OF_RANGE", Outcome::Rejected),
    ("UNIMPLEMENTED", Outcome::Failed),
    ("INTERNAL", Outcome::Failed),
    ("UNAVAILABLE", Outcome::Failed),
    ("DATA_LOSS", Outcome::Failed),
    ("UNAUTHENTICATED", Outcome::Rejected),
];

/// What a code of gRPC says, given by number or as any language writes its name: `NOT_FOUND`, `NotFound`,
/// `StatusCode.NOT_FOUND`. None for success and for what is no code.
fn outcome_of_code(code: &str) -> Option<Outcome> {
    if code.is_empty() {
        return None;
    }
    let code = code.rsplit('.').next().unwrap_or_default();
    let is_letter = |byte: &u8| *byte != b'_';
    let is_same = |name: &str| {
        let (name, code) = (name.bytes().filter(is_letter), code.bytes().filter(is_letter));
        name.map(|byte| byte.to_ascii_uppercase()).eq(code.map(|byte| byte.to_ascii_uppercase()))
    };
    let by_number = code.parse::<usize>().ok().and_then(|number| RPC_CODES.get(number));
    let by_name = || RPC_CODES.iter().find(|(name, _)| is_same(name));
    let (_, outcome) = by_number.or_else(by_name)?;
    (*outcome != Outcome::Ok).then_some(*outcome)
}
