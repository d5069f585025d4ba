//! What whoever runs the collector says about reading attributes. What their meaning is by convention is not said here.

use super::Redaction;

/// Keys that name the owner of a service where nothing is said, in order of preference; the semantic conventions have
/// none.
const OWNER_KEYS: [&str; 5] = ["service.owner", "service.owner.name", "service.team", "owner", "team"];

/// How attributes are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Attributes that are dropped before anything reads them.
    pub redaction: Redaction,
    /// Keys of resources that name the owner of a service, in order of preference.
    pub owner_keys: Vec<String>,
}

impl Default for Reading {
    fn default() -> Self {
        Self { redaction: Redaction::default(), owner_keys: OWNER_KEYS.map(str::to_owned).into() }
    }
}
