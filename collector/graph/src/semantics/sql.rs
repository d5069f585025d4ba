//! Query texts: their template, their tables, and what they do to them. A reader of words, not a parser: it must make
//! something of every dialect and of broken text, and is allowed to know less than a database.

use crate::span::Access;

/// What a query text tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Statement {
    /// The text with literals and placeholders replaced by `?`, lists of them shortened, white space folded.
    pub(super) template: String,
    /// Tables in order of appearance, lower case, without quotes, without repetition.
    pub(super) tables: Vec<String>,
    /// The strongest access of the statement.
    pub(super) access: Access,
    /// Whether a value was left out by a placeholder.
    pub(super) has_placeholders: bool,
    /// Whether it sets up a session or a schema, controls a transaction, or locks.
    pub(super) is_set_up: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    Quoted(&'a str),
    Literal,
    Placeholder,
    Sign(char),
}

/// Reads a query text.
pub(super) fn read(text: &str) -> Statement {
    let tokens: Vec<Token<'_>> = Tokens { rest: text }.collect();
    let tables = tables(&tokens);
    Statement {
        template: template(&tokens),
        is_set_up: is_set_up(&tokens, &tables),
        tables,
        access: access(&tokens),
        has_placeholders: tokens.contains(&Token::Placeholder),
    }
}

/// What an operation name (`SELECT`, `findAndModify`, `HGET`) does.
pub(super) fn access_of_operation(operation: &str) -> Access {
    let first = operation.split(|character: char| !character.is_ascii_alphanumeric()).next().unwrap_or_default();
    match first.to_ascii_lowercase().as_str() {
        "select" | "find" | "findone" | "aggregate" | "count" | "distinct" | "getmore" | "get" | "mget" | "hget"
        | "hgetall" | "hmget" | "exists" | "scan" | "query" | "search" | "getitem" | "batchgetitem" | "lrange"
        | "smembers" | "zrange" | "read" | "all" | "first" => Access::Read,
        "insert" | "update" | "delete" | "replace" | "merge" | "upsert" | "findandmodify" | "insertone"
        | "insertmany" | "updateone" | "updatemany" | "deleteone" | "deletemany" | "bulkwrite" | "set" | "hset"
        | "hmset" | "del" | "incr" | "decr" | "expire" | "lpush" | "rpush" | "sadd" | "zadd" | "put" | "putitem"
        | "updateitem" | "deleteitem" | "batchwriteitem" | "index" | "bulk" | "copy" | "write" | "save" | "remove" => {
            Access::Write
        }
        _ => Access::None,
    }
}

struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blanks();
        let first = self.rest.chars().next()?;
        let second = self.rest[first.len_utf8()..].chars().next().unwrap_or(' ');
        Some(match first {
            '\'' => self.quoted('\'', |_| Token::Literal),
            '"' => self.quoted('"', Token::Quoted),
            '`' => self.quoted('`', Token::Quoted),
            '[' if second.is_alphabetic() => self.quoted(']', Token::Quoted),
            '?' => self.sign(Token::Placeholder),
            '$' | ':' | '@' if second.is_alphanumeric() => self.word_after(1, |_| Token::Placeholder),
            '%' if second == 's' || second == '(' => self.percent(),
            '0'..='9' => self.word_after(0, |_| Token::Literal),
            _ if first.is_alphabetic() || first == '_' => self.word_after(0, Token::Word),
            _ => self.sign(Token::Sign(first)),
        })
    }
}

impl<'a> Tokens<'a> {
    fn skip_blanks(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            if let Some(comment) = self.rest.strip_prefix("--") {
                self.rest = comment.find('\n').map_or("", |end| &comment[end..]);
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                self.rest = comment.find("*/").map_or("", |end| &comment[end + 2..]);
            } else {
                return;
            }
        }
    }

    fn sign(&mut self, token: Token<'a>) -> Token<'a> {
        let mut characters = self.rest.chars();
        characters.next();
        self.rest = characters.as_str();
        token
    }

    fn word_after(&mut self, prefix: usize, make: impl Fn(&'a str) -> Token<'a>) -> Token<'a> {
        let ends = |character: char| !(character.is_alphanumeric() || matches!(character, '_' | '.' | '$' | '#'));
        let end = self.rest[prefix..].find(ends).map_or(self.rest.len(), |end| end + prefix);
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        make(word)
    }

    fn percent(&mut self) -> Token<'a> {
        let end = if self.rest.starts_with("%(") { self.rest.find(")s").unwrap_or(0) } else { 0 };
        self.rest = self.rest.get(end + 2..).unwrap_or("");
        Token::Placeholder
    }

    /// Takes text up to `close`, which stands for itself when doubled or behind a backslash.
    fn quoted(&mut self, close: char, make: impl Fn(&'a str) -> Token<'a>) -> Token<'a> {
        let inner = &self.rest[1..];
        let mut characters = inner.char_indices().peekable();
        let mut end = inner.len();
        while let Some((index, character)) = characters.next() {
            if character == '\\' && close == '\'' {
                characters.next();
            } else if character == close {
                if characters.peek().is_some_and(|(_, next)| *next == close) {
                    characters.next();
                    continue;
                }
                end = index;
                break;
            }
        }
        self.rest = inner.get(end + 1..).unwrap_or("");
        make(&inner[..end])
    }
}

fn template(tokens: &[Token<'_>]) -> String {
    let mut template = String::new();
    let mut list = Vec::new();
    for token in tokens {
        let text = match token {
            Token::Word(word) => word,
            Token::Quoted(name) => name,
            Token::Literal | Token::Placeholder => "?",
            Token::Sign(sign) => {
                list.clear();
                list.resize(sign.len_utf8(), 0);
                sign.encode_utf8(&mut list)
            }
        };
        let glued = template.ends_with(['(', '.']) || matches!(text, ")" | "," | "." | ";");
        if !template.is_empty() && !glued {
            template.push(' ');
        }
        template.push_str(text);
        for (long, short) in [("?, ?", "?"), ("(?), (?)", "(?)")] {
            if template.ends_with(long) {
                template.truncate(template.len() - long.len());
                template.push_str(short);
            }
        }
    }
    template
}

fn word<'a>(token: &Token<'a>) -> Option<&'a str> {
    match token {
        Token::Word(word) => Some(word),
        _ => None,
    }
}

fn is(token: Option<&Token<'_>>, words: &[&str]) -> bool {
    token.and_then(word).is_some_and(|word| words.iter().any(|each| word.eq_ignore_ascii_case(each)))
}

/// DDL and session control use no table; a reading CTE in front of a write is a write.
fn access(tokens: &[Token<'_>]) -> Access {
    if is(tokens.first(), &["create", "alter", "drop", "truncate", "begin", "commit", "rollback", "savepoint", "grant"])
        || is(tokens.first(), &["release", "set", "show", "pragma", "start", "use", "explain", "analyze", "vacuum"])
    {
        return Access::None;
    }
    let writes = tokens.iter().enumerate().any(|(index, token)| {
        is(Some(token), &["insert", "update", "delete", "replace", "merge", "upsert"])
            && !is(index.checked_sub(1).and_then(|before| tokens.get(before)), &["for", "do", "on", "no"])
            && tokens.get(index + 1) != Some(&Token::Sign('('))
    });
    match tokens.iter().find_map(word) {
        _ if writes => Access::Write,
        Some(first) if first.eq_ignore_ascii_case("with") => Access::Read,
        first => access_of_operation(first.unwrap_or_default()),
    }
}

/// First words of statements that define, connect, or control a session or a transaction.
const SET_UP_WORDS: [&str; 34] = [
    "create",
    "alter",
    "drop",
    "truncate",
    "grant",
    "revoke",
    "comment",
    "begin",
    "commit",
    "rollback",
    "savepoint",
    "release",
    "start",
    "end",
    "abort",
    "set",
    "reset",
    "show",
    "pragma",
    "use",
    "explain",
    "analyze",
    "vacuum",
    "connect",
    "disconnect",
    "close",
    "discard",
    "deallocate",
    "prepare",
    "lock",
    "unlock",
    "ping",
    "hello",
    "auth",
];

/// Calls that take or give back a lock.
const LOCK_CALLS: [&str; 7] = [
    "get_lock",
    "release_lock",
    "pg_advisory_lock",
    "pg_advisory_xact_lock",
    "pg_try_advisory_lock",
    "pg_advisory_unlock",
    "sp_getapplock",
];

/// Tables in which tools for migrations note what they did, and in which databases describe themselves.
const SCHEMA_TABLES: [&str; 14] = [
    "schema_migrations",
    "ar_internal_metadata",
    "flyway_schema_history",
    "databasechangelog",
    "databasechangeloglock",
    "alembic_version",
    "django_migrations",
    "__efmigrationshistory",
    "_prisma_migrations",
    "_sqlx_migrations",
    "knex_migrations",
    "knex_migrations_lock",
    "sequelizemeta",
    "sqlite_master",
];

fn is_set_up(tokens: &[Token<'_>], tables: &[String]) -> bool {
    let locks = |index: usize| {
        is(tokens.get(index), &LOCK_CALLS)
            || is(tokens.get(index), &["for"]) && is(tokens.get(index + 1), &["update", "share", "no", "key"])
    };
    let describes = |table: &String| {
        let name = table.rsplit('.').next().unwrap_or_default();
        SCHEMA_TABLES.contains(&name) || table.starts_with("information_schema.") || table.starts_with("pg_catalog.")
    };
    let probes = matches!(tokens, [Token::Word(word), Token::Literal] if word.eq_ignore_ascii_case("select"));
    is(tokens.first(), &SET_UP_WORDS) || probes || (0..tokens.len()).any(locks) || tables.iter().any(describes)
}

/// Whether the name of an operation (`BEGIN`, `pg-pool.connect`) says that it sets up.
pub(super) fn is_set_up_operation(operation: &str) -> bool {
    let mut words =
        operation.split(|character: char| !character.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let (first, last) = (words.next().unwrap_or_default(), words.next_back());
    let sets_up = |word: &str| SET_UP_WORDS.iter().any(|each| word.eq_ignore_ascii_case(each));
    match last {
        _ if first.eq_ignore_ascii_case("set") => false,
        None => sets_up(first),
        Some(last) => sets_up(first) || last.eq_ignore_ascii_case("connect"),
    }
}

fn tables(tokens: &[Token<'_>]) -> Vec<String> {
    let mut tables: Vec<String> = Vec::new();
    let common = common_table_expressions(tokens);
    let mut index = 0;
    while index < tokens.len() {
        let is_list = is(tokens.get(index), &["from"]);
        let introduces = is_list || is(tokens.get(index), &["join", "into"]) || is_update(tokens, index);
        index += 1;
        while introduces && is(tokens.get(index), &["only", "lateral", "or", "ignore", "replace", "rollback", "abort"])
        {
            index += 1;
        }
        let mut expects = introduces;
        while expects && let Some((table, next)) = table_name(tokens, index) {
            if !common.contains(&table) && !tables.contains(&table) {
                tables.push(table);
            }
            let comma = is_list.then(|| comma_behind_alias(tokens, next)).flatten();
            expects = comma.is_some();
            index = comma.map_or(next, |place| place + 1);
        }
    }
    tables
}

/// Whether an UPDATE statement starts here, rather than `FOR UPDATE`, `DO UPDATE`, `ON UPDATE`.
fn is_update(tokens: &[Token<'_>], index: usize) -> bool {
    let before = index.checked_sub(1).and_then(|before| tokens.get(before));
    is(tokens.get(index), &["update"]) && !is(before, &["for", "do", "on", "key"])
}

/// The place of the comma in `FROM a AS x, b`: an alias may stand between the table, which ends at `next`, and it.
fn comma_behind_alias(tokens: &[Token<'_>], next: usize) -> Option<usize> {
    let alias = next + usize::from(is(tokens.get(next), &["as"]));
    (alias..=alias + 1).find(|&place| tokens.get(place) == Some(&Token::Sign(',')))
}

/// The (possibly qualified) table name at `index`, and the place after it; none before a parenthesis or a call.
fn table_name(tokens: &[Token<'_>], index: usize) -> Option<(String, usize)> {
    let part = |place: usize| match tokens.get(place) {
        Some(Token::Word(name)) if !is(tokens.get(place), &["select", "values", "where", "set", "unnest"]) => {
            Some(*name)
        }
        Some(Token::Quoted(name)) => Some(*name),
        _ => None,
    };
    let mut name = part(index)?.to_lowercase();
    let mut next = index + 1;
    while tokens.get(next) == Some(&Token::Sign('.')) {
        let Some(more) = part(next + 1) else { break };
        name = format!("{name}.{}", more.to_lowercase());
        next += 2;
    }
    let is_call = tokens.get(next) == Some(&Token::Sign('(')) && !is(tokens.get(index.wrapping_sub(1)), &["into"]);
    (!is_call).then_some((name, next))
}

/// The names that `WITH name AS (` defines.
fn common_table_expressions(tokens: &[Token<'_>]) -> Vec<String> {
    if !is(tokens.first(), &["with"]) {
        return Vec::new();
    }
    let defines = |window: &&[Token<'_>]| is(window.get(1), &["as"]) && window[2] == Token::Sign('(');
    tokens.windows(3).filter(defines).filter_map(|window| word(&window[0])).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, template: &str, tables: &[&str], access: Access) {
        let statement = read(text);
        assert_eq!(statement.template, template);
        assert_eq!(statement.tables, tables, "{text}");
        assert_eq!(statement.access, access, "{text}");
    }

    #[test]
    fn literals_leave_the_template() {
        check(
            "SELECT * FROM t WHERE id = 12 AND n='it''s'",
            "SELECT * FROM t WHERE id = ? AND n = ?",
            &["t"],
            Access::Read,
        );
        check("select a from b where c in ($1, $2,$3)", "select a from b where c in (?)", &["b"], Access::Read);
        check("INSERT INTO x(a,b) VALUES (1,2), (3,4)", "INSERT INTO x (a, b) VALUES (?)", &["x"], Access::Write);
    }

    #[test]
    fn tables_are_found_in_every_clause() {
        check(
            "SELECT 1 FROM a JOIN \"b\" ON a.i=b.i",
            "SELECT ? FROM a JOIN b ON a.i = b.i",
            &["a", "b"],
            Access::Read,
        );
        check(
            "SELECT 1 FROM a x, s.b AS y WHERE 1",
            "SELECT ? FROM a x, s.b AS y WHERE ?",
            &["a", "s.b"],
            Access::Read,
        );
        check("UPDATE `orders` SET a=1", "UPDATE orders SET a = ?", &["orders"], Access::Write);
        check("delete from Orders", "delete from Orders", &["orders"], Access::Write);
        check("INSERT OR REPLACE INTO k VALUES (?)", "INSERT OR REPLACE INTO k VALUES (?)", &["k"], Access::Write);
        check("select * from (select 1 from z) q", "select * from (select ? from z) q", &["z"], Access::Read);
        check(
            "WITH w AS (SELECT 1 FROM a) SELECT 1 FROM w",
            "WITH w AS (SELECT ? FROM a) SELECT ? FROM w",
            &["a"],
            Access::Read,
        );
        check("SELECT a FROM t FOR UPDATE", "SELECT a FROM t FOR UPDATE", &["t"], Access::Read);
    }

    #[test]
    fn control_statements_use_nothing() {
        for text in ["BEGIN", "COMMIT", "CREATE TABLE a(b)", "PRAGMA x", "", "SET a = 1"] {
            assert_eq!(read(text).access, Access::None, "{text}");
        }
    }

    #[test]
    fn broken_text_is_read_as_far_as_it_goes() {
        for text in ["'", "\"", "select 'abc", "%(", "/*", "--", "from", "with", "insert into", "é", "$", "[", "%(a)s"]
        {
            read(text);
        }
        assert!(read("select :a").has_placeholders && read("a = %s").has_placeholders);
    }
}
