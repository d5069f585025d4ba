//! Attributes that their owner wants dropped before anything reads or stores them.

/// Keys of attributes that are dropped, whatever their values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redaction {
    patterns: Vec<String>,
}

impl Redaction {
    /// Drops the attributes whose key is one of `patterns`, in which each `*` stands for any text: `enduser.*`.
    pub fn new(patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { patterns: patterns.into_iter().map(Into::into).collect() }
    }

    /// Whether nothing is dropped.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether attributes of this key are dropped.
    pub fn covers(&self, key: &str) -> bool {
        self.patterns.iter().any(|pattern| matches(pattern, key))
    }
}

/// Whether `key` begins with what stands before the first `*`, ends with what stands behind the last, and has the parts
/// between them in order.
fn matches(pattern: &str, key: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == key };
    let Some(mut key) = key.strip_prefix(first) else { return false };
    let (between, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in between.split('*') {
        match key.find(part) {
            Some(place) => key = &key[place + part.len()..],
            None => return false,
        }
    }
    key.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        let check = |pattern: &str, key: &str, expected: bool| {
            assert_eq!(Redaction::new([pattern]).covers(key), expected, "{pattern} {key}");
        };
        check("user.id", "user.id", true);
        check("user.id", "user.id.hash", false);
        check("enduser.*", "enduser.id", true);
        check("enduser.*", "user.id", false);
        check("*.body", "http.request.body", true);
        check("http.*.header.*", "http.request.header.cookie", true);
        check("http.*.header.*", "http.header.cookie", false);
        check("a*a", "a", false);
        check("*", "anything", true);
        check("", "anything", false);
    }
}
