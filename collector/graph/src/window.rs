//! The windows of time through which a call graph can be looked at, by name. What is inside one is for its keeper to say.

use std::fmt;
use std::str::FromStr;

/// How far back a graph reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Window {
    /// The last minute.
    Minute,
    /// The last 5 minutes, which live rules judge where nothing else is said.
    #[default]
    FiveMinutes,
    /// The last 15 minutes.
    QuarterHour,
    /// Everything since the start.
    All,
}

impl Window {
    /// Every window, the shortest first.
    pub const ALL: [Self; 4] = [Self::Minute, Self::FiveMinutes, Self::QuarterHour, Self::All];

    /// Its place in [`Window::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// The word that flags and addresses use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "1m",
            Self::FiveMinutes => "5m",
            Self::QuarterHour => "15m",
            Self::All => "all",
        }
    }

    /// How many minutes it has; none for everything.
    pub fn minutes(self) -> Option<u64> {
        match self {
            Self::Minute => Some(1),
            Self::FiveMinutes => Some(5),
            Self::QuarterHour => Some(15),
            Self::All => None,
        }
    }

    /// The next longer one; the shortest after the longest.
    #[must_use]
    pub fn next(self) -> Self {
        Self::ALL[(self.index() + 1) % Self::ALL.len()]
    }
}

impl fmt::Display for Window {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// A text that names no window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no window is called {0:?}; there are 1m, 5m, 15m and all")]
pub struct UnknownWindow(String);

impl FromStr for Window {
    type Err = UnknownWindow;

    fn from_str(text: &str) -> Result<Self, UnknownWindow> {
        Self::ALL.into_iter().find(|window| window.as_str() == text).ok_or_else(|| UnknownWindow(text.to_owned()))
    }
}

/// What is looked at: a window that ends now, or with an earlier minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct View {
    /// How far it reaches back.
    pub window: Window,
    /// A moment of the last minute inside, in Unix nanoseconds; none for now.
    pub until_ns: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_window_has_a_name_of_its_own() {
        for window in Window::ALL {
            assert_eq!(window.as_str().parse(), Ok(window));
        }
        assert_eq!(
            "2m".parse::<Window>().unwrap_err().to_string(),
            "no window is called \"2m\"; there are 1m, 5m, 15m and all"
        );
        assert_eq!(Window::All.next(), Window::Minute);
    }
}
