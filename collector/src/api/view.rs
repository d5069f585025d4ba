//! Which window an address asks for: `?window=5m&at=2026-11-21T10:00:00Z`.

use jiff::Timestamp;
use serde::Deserialize;
use spanlint_graph::{View, Window};

use crate::live::{NotKept, ViewError};

/// The part of a query that names a view.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ViewQuery {
    window: Option<String>,
    at: Option<String>,
}

/// Why a view cannot be shown, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ViewProblem {
    /// The query cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// The minute is not there.
    #[error("that minute is not kept, or has not come yet: history begins at {first}")]
    NotKept {
        /// When the first minute begins, in RFC 3339.
        first: String,
    },
    /// Nobody answers any more.
    #[error("the collector is stopping")]
    Stopping,
}

impl ViewQuery {
    /// The view; `window` where the query names none.
    ///
    /// # Errors
    ///
    /// When it names a window that does not exist, or a time that is none.
    pub fn view(&self, window: Window) -> Result<View, ViewProblem> {
        let unreadable = |error: &dyn std::fmt::Display| ViewProblem::Unreadable(error.to_string());
        let window = match &self.window {
            Some(name) => name.parse().map_err(|error| unreadable(&error))?,
            None => window,
        };
        let until_ns = match &self.at {
            Some(text) => Some(moment(text)?),
            None => None,
        };
        Ok(View { window, until_ns })
    }
}

/// A time in RFC 3339, as Unix nanoseconds.
fn moment(text: &str) -> Result<u64, ViewProblem> {
    let at: Option<Timestamp> = text.parse().ok();
    let ns = at.and_then(|at| u64::try_from(at.as_nanosecond()).ok());
    ns.ok_or_else(|| ViewProblem::Unreadable(format!("{text:?} is no time such as 2026-11-21T10:00:00Z")))
}

impl From<ViewError> for ViewProblem {
    fn from(error: ViewError) -> Self {
        match error {
            ViewError::Stopping => Self::Stopping,
            ViewError::NotKept(NotKept { first_ns }) => {
                let first = Timestamp::from_nanosecond(i128::from(first_ns) / 1_000_000_000 * 1_000_000_000);
                Self::NotKept { first: first.map(|first| first.to_string()).unwrap_or_default() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(window: Option<&str>, at: Option<&str>, expected: Result<(&str, Option<u64>), &str>) {
        let query = ViewQuery { window: window.map(str::to_owned), at: at.map(str::to_owned) };
        let view = query.view(Window::FiveMinutes).map(|view| (view.window.as_str(), view.until_ns));
        assert_eq!(view.map_err(|problem| problem.to_string()), expected.map_err(str::to_owned));
    }

    #[test]
    fn views_are_named_by_window_and_time() {
        check(None, None, Ok(("5m", None)));
        check(Some("all"), Some("1970-01-01T00:01:00Z"), Ok(("all", Some(60_000_000_000))));
        check(Some("15m"), Some("1970-01-01T01:00:00+01:00"), Ok(("15m", Some(0))));
        check(Some("7m"), None, Err("no window is called \"7m\"; there are 1m, 5m, 15m and all"));
        check(None, Some("noon"), Err("\"noon\" is no time such as 2026-11-21T10:00:00Z"));
        check(
            None,
            Some("1969-01-01T00:00:00Z"),
            Err("\"1969-01-01T00:00:00Z\" is no time such as 2026-11-21T10:00:00Z"),
        );
    }

    #[test]
    fn a_minute_that_is_gone_says_where_history_begins() {
        let problem = ViewProblem::from(ViewError::NotKept(NotKept { first_ns: 60_000_000_007 }));
        assert!(problem.to_string().ends_with("history begins at 1970-01-01T00:01:00Z"), "{problem}");
    }
}
