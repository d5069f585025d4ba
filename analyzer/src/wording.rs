//! How findings speak: lists of names, plurals, rounded numbers. One tone for every rule.

/// The most names that a list spells out.
pub(crate) const MAX_NAMES_SPELLED: usize = 4;
/// The longest query that a title holds, in characters.
const MAX_STATEMENT_LENGTH: usize = 50;

/// `a`, `a and b`, `a, b and c`, `a, b, c and 5 more`.
pub(crate) fn list<T: AsRef<str>>(names: &[T]) -> String {
    let spelled = |names: &[T]| names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    match names {
        [] => String::new(),
        [only] => only.as_ref().to_owned(),
        [rest @ .., last] if names.len() <= MAX_NAMES_SPELLED => format!("{} and {}", spelled(rest), last.as_ref()),
        _ => {
            let shown = MAX_NAMES_SPELLED - 1;
            format!("{} and {} more", spelled(&names[..shown]), names.len() - shown)
        }
    }
}

/// `1 call`, `2 calls`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        _ => format!("{number} {noun}s"),
    }
}

/// `operation` and what it is called, without a trailing space where it has no name.
pub(crate) fn operation(service: &str, operation: &str) -> String {
    if operation.is_empty() { service.to_owned() } else { format!("{service} {operation}") }
}

/// A query as a title can hold it: a short one whole, of a long one what it does and to which tables.
pub(crate) fn statement<T: AsRef<str>>(template: &str, tables: &[T]) -> String {
    if template.chars().count() <= MAX_STATEMENT_LENGTH {
        return template.to_owned();
    }
    let verb = template.split_whitespace().next().unwrap_or_default();
    let of_tables = format!("{verb} {}", list(tables));
    if !tables.is_empty() && of_tables.chars().count() <= MAX_STATEMENT_LENGTH {
        return of_tables;
    }
    let shown: String = template.chars().take(MAX_STATEMENT_LENGTH - 1).collect();
    format!("{}…", shown.trim_end())
}

/// Nanoseconds as milliseconds.
pub(crate) fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

/// A share in whole percent, rounded down: nothing that is there is said to be nothing.
pub(crate) fn percent(share: u64) -> String {
    if share == 0 { "under 1 %".to_owned() } else { format!("{share} %") }
}

/// A number as people read it: whole where it is whole or large, else with one or two decimals.
pub(crate) fn number(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 100.0 {
        format!("{value:.0}")
    } else if value.abs() >= 1.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_like_a_sentence() {
        assert_eq!(list(&["a"]), "a");
        assert_eq!(list(&["a", "b"]), "a and b");
        assert_eq!(list(&["a", "b", "c", "d"]), "a, b, c and d");
        assert_eq!(list(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    }

    #[test]
    fn a_small_share_is_not_nothing() {
        assert_eq!([0, 1, 42].map(percent), ["under 1 %", "1 %", "42 %"]);
    }

    #[test]
    fn plurals_agree() {
        assert_eq!(count(1, "call"), "1 call");
        assert_eq!(count(2, "call"), "2 calls");
        assert_eq!(count(0, "query"), "0 queries");
    }

    #[test]
    fn long_queries_are_told_by_their_tables() {
        let long = "SELECT id, name, price, weight, color FROM products WHERE id = ? LIMIT ?";
        assert_eq!(statement("SELECT lines", &["lines"]), "SELECT lines");
        assert_eq!(statement(long, &["products"]), "SELECT products");
        assert_eq!(statement::<&str>(long, &[]), "SELECT id, name, price, weight, color FROM produc…");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([14.0, 14.25, 0.058, 1234.5].map(number), ["14", "14.2", "0.06", "1234"]);
    }
}
