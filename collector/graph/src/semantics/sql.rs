//! Query texts: their template, their tables, and what they do to them. A reader of words, not a parser: it must make
//! something of every dialect and of broken text, and is allowed to know less than a database.

mod tables;
mod template;
mod tokens;
mod words;

use self::tokens::{Token, Tokens};
pub(super) use self::words::{access_of_operation, is_driver_step, is_set_up_operation, tells_what_is_asked};
use crate::facts::bounded::stable_hash;
use crate::span::Access;

/// The most bytes of a query text that are read; what lies behind them leaves no trace in template and tables.
pub(super) const MAX_TEXT_BYTES: usize = 16 * 1024;

/// The most tables of one text that are kept.
pub(super) const MAX_TABLES: usize = 16;

/// What a query text tells.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Statement {
    /// The text with literals and placeholders replaced by `?`, lists of them shortened, white space folded.
    pub(super) template: String,
    /// Tables with what is done to them, in order of appearance, as [`table_name`] writes them, without repetition.
    pub(super) tables: Vec<Table>,
    /// The strongest access of the text.
    pub(super) access: Access,
    /// Whether a value was left out by a placeholder.
    pub(super) has_placeholders: bool,
    /// Whether it only sets up a session or a schema, controls a transaction, or locks.
    pub(super) is_set_up: bool,
    /// A hash of all the others.
    pub(super) identity: u64,
}

impl Statement {
    /// The same with its identity.
    pub(super) fn identified(self) -> Self {
        Self { identity: stable_hash(&self), ..self }
    }
}

/// A table and the strongest access to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) access: Access,
}

/// How a database reads what stands in quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// As the standard says: `"name"`, and a backslash is a character like others.
    Standard,
    /// As `MySQL` and its relatives do: `"text"`, and a backslash escapes.
    Backslash,
}

impl Dialect {
    /// The dialect of a database system.
    pub(super) fn of(system: &str) -> Self {
        let escapes =
            ["mysql", "mariadb", "gcp.spanner", "bigquery", "gcp.bigquery", "hive", "databricks", "spark", "tidb"];
        if escapes.contains(&system) { Self::Backslash } else { Self::Standard }
    }
}

/// Reads a query text.
pub(super) fn read(text: &str, dialect: Dialect) -> Statement {
    let text = &text[..text.floor_char_boundary(MAX_TEXT_BYTES)];
    let tokens: Vec<Token<'_>> = Tokens::of(text, dialect).collect();
    let tables::Uses { tables, access, is_set_up } = tables::read(&tokens);
    Statement {
        template: template::of(&tokens),
        tables,
        access,
        has_placeholders: tokens.contains(&Token::Placeholder),
        is_set_up,
        identity: 0,
    }
}

/// Names of schemas that a table is in when nobody says so.
const DEFAULT_SCHEMAS: [&str; 3] = ["public", "dbo", "main"];

/// A table's name as every spelling of it gives it: lower case, without quotes, without a default schema.
pub(super) fn table_name(name: &str) -> String {
    let parts = name.split('.').map(|part| part.trim_matches(['"', '`', '[', ']', '\'', ' ']).to_lowercase());
    let mut parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    if parts.len() >= 2 && DEFAULT_SCHEMAS.contains(&parts[parts.len() - 2].as_str()) {
        parts.remove(parts.len() - 2);
    }
    parts.join(".")
}

#[cfg(test)]
mod tests;
