//! The known name that somebody is likely to have meant.

/// How like a name must be to be offered where it is not the only thing to say.
pub const MIN_LIKENESS: f64 = 0.8;

/// The one of `known` that is most like `name`, with how like it is (Jaro and Winkler, from 0 to 1); none where nothing
/// is known.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<(f64, &'a str)> {
    let alike = known.into_iter().map(|known| (strsim::jaro_winkler(known, name), known));
    alike.max_by(|(left, _), (right, _)| left.total_cmp(right))
}
