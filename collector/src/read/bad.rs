//! Records that could not be read: all counted, the first few kept with place and reason.

use std::fmt;

use crate::decode::DecodeError;
use crate::limits::MAX_BAD_RECORDS;

/// A line, a message or what follows a byte that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRecord {
    /// `line`, `message` or `byte`.
    pub unit: &'static str,
    /// Which one, from 1.
    pub number: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl BadRecord {
    /// A JSON document that starts in line `number` of its file and cannot be decoded.
    pub(super) fn of_json(number: u64, error: &DecodeError) -> Self {
        match error {
            DecodeError::Json { message, line, column, .. } => Self {
                unit: "line",
                number: number + (*line as u64).saturating_sub(1),
                reason: format!("{message} (column {column})"),
            },
            error => Self { unit: "line", number, reason: error.to_string() },
        }
    }
}

impl fmt::Display for BadRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}: {}", self.unit, self.number, self.reason)
    }
}

/// The records of one file that could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BadRecords {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Vec<BadRecord>,
}

impl BadRecords {
    /// Counts a record and, as long as there is room, keeps it.
    pub(super) fn push(&mut self, record: BadRecord) {
        self.count += 1;
        if self.first.len() < MAX_BAD_RECORDS {
            self.first.push(record);
        }
    }
}
