//! Which tables a query text touches, and how: one walk over its words that keeps, for each open parenthesis, whether a
//! table's name is due.

use super::tokens::{Token, is};
use super::words::{LOCK_CALLS, access_of_operation, is_schema_table, is_session_call, sets_up};
use super::{MAX_TABLES, Table, table_name};
use crate::span::Access;

/// The most parentheses and common table expressions that are kept apart.
const MAX_DEPTH: usize = 64;

/// What the statements of a text do to tables.
#[derive(Debug, Default)]
pub(super) struct Uses {
    pub(super) tables: Vec<Table>,
    pub(super) access: Access,
    pub(super) is_set_up: bool,
}

/// Reads the words of a text, which may hold several statements.
pub(super) fn read(tokens: &[Token<'_>]) -> Uses {
    let mut uses = Uses::default();
    let mut sets_up_only = true;
    for statement in tokens.split(|token| *token == Token::Sign(';')).filter(|statement| !statement.is_empty()) {
        let first = statement.iter().find_map(Token::word).unwrap_or_default();
        let walk = if sets_up(first) && !first.eq_ignore_ascii_case("begin") {
            Walk::of(&[])
        } else {
            Walk::of(statement).run()
        };
        let access = walk.access(first);
        let is_own = |table: &Table| !is_schema_table(&table.name);
        let is_set_up = access == Access::None && sets_up(first)
            || locks(statement)
            || is_probe(statement)
            || !walk.tables.is_empty() && !walk.tables.iter().any(is_own);
        sets_up_only &= is_set_up;
        uses.access = uses.access.max(access);
        walk.tables.into_iter().for_each(|table| add(&mut uses.tables, table));
    }
    uses.is_set_up = sets_up_only && !tokens.is_empty();
    uses
}

/// `FOR UPDATE`, `FOR NO KEY UPDATE`, `FOR SHARE`, `FOR KEY SHARE`, `GET_LOCK(…)` and the like.
fn locks(tokens: &[Token<'_>]) -> bool {
    (0..tokens.len()).any(|index| {
        is(tokens.get(index), &LOCK_CALLS)
            || is(tokens.get(index), &["for"]) && is(tokens.get(index + 1), &["update", "share", "no", "key"])
    })
}

/// `SELECT 1`, `SELECT version()`: whether the connection still works, and what is on its other end.
fn is_probe(tokens: &[Token<'_>]) -> bool {
    let [Token::Word(verb), asked @ ..] = tokens else { return false };
    let asks = matches!(asked, [Token::Literal])
        || matches!(asked, [Token::Word(call), Token::Sign('('), Token::Sign(')')] if is_session_call(call));
    verb.eq_ignore_ascii_case("select") && asks
}

fn add(tables: &mut Vec<Table>, table: Table) {
    if let Some(known) = tables.iter_mut().find(|known| known.name == table.name) {
        known.access = known.access.max(table.access);
    } else if tables.len() < MAX_TABLES {
        tables.push(table);
    }
}

/// What is known within one parenthesis.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    verb: Verb,
    /// Whether names of tables stand here, separated by commas.
    is_list: bool,
    /// Whether the next name is a table, and what is done to it.
    due: Option<Access>,
    /// Whether the names of common table expressions stand here.
    defines: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
enum Verb {
    #[default]
    None,
    Select,
    Insert,
    Update,
    Delete,
    Merge,
}

struct Walk<'a, 't> {
    tokens: &'t [Token<'a>],
    levels: Vec<Level>,
    tables: Vec<Table>,
    /// Other names of tables, and the tables.
    aliases: Vec<(String, String)>,
    /// Names of common table expressions.
    common: Vec<String>,
    writes: bool,
    reads: bool,
}

impl<'a, 't> Walk<'a, 't> {
    fn of(tokens: &'t [Token<'a>]) -> Self {
        Self {
            tokens,
            levels: vec![Level::default()],
            tables: Vec::new(),
            aliases: Vec::new(),
            common: Vec::new(),
            writes: false,
            reads: false,
        }
    }

    fn run(mut self) -> Self {
        let mut index = 0;
        while index < self.tokens.len() {
            index = self.step(index);
        }
        self.resolve_aliases();
        self
    }

    fn access(&self, first: &str) -> Access {
        if self.writes {
            Access::Write
        } else if self.reads {
            Access::Read
        } else if sets_up(first) {
            Access::None
        } else {
            access_of_operation(first)
        }
    }

    fn level(&mut self) -> &mut Level {
        self.levels.last_mut().expect("the outermost level is never left")
    }

    /// Reads the token at `index`; answers where to go on.
    fn step(&mut self, index: usize) -> usize {
        let token = self.tokens[index];
        match token {
            Token::Sign('(') => {
                self.enter();
                return index + 1;
            }
            Token::Sign(')') => self.leave(),
            Token::Sign(',') if self.level().is_list => {
                let level = self.level();
                level.due = level.due.or(Some(if level.verb == Verb::Update { Access::Write } else { Access::Read }));
                return index + 1;
            }
            Token::Sign(',') if self.level().defines => return index + 1,
            Token::Word(word) => {
                if self.keyword(word, index) {
                    return index + 1;
                }
                return self.name(index);
            }
            Token::Quoted(_) => return self.name(index),
            _ => {}
        }
        self.level().due = None;
        index + 1
    }

    /// A parenthesis where a table is due holds tables or a query, any other an expression or a query.
    fn enter(&mut self) {
        let verb = self.level().verb;
        let due = self.level().due.take().filter(|_| verb != Verb::Insert);
        if self.levels.len() < MAX_DEPTH {
            self.levels.push(Level { due, is_list: due.is_some(), ..Level::default() });
        }
    }

    fn leave(&mut self) {
        if self.levels.len() > 1 {
            self.levels.pop();
        }
    }

    /// Takes a word that changes what is due; answers whether it is one.
    fn keyword(&mut self, word: &str, index: usize) -> bool {
        let before = index.checked_sub(1).and_then(|before| self.tokens.get(before));
        let next = self.tokens.get(index + 1);
        let is_first = index == 0;
        let begins = !is(before, &["for", "do", "on", "key", "then", "as", "instead", "of", "no"])
            && matches!(next, Some(Token::Word(_) | Token::Quoted(_)));
        let is_column_list = self.is_column_list(index + 1);
        // Directly behind these no clause can begin: tables are named `order`, too.
        let is_name = is(before, &["from", "join", "into", "update"]) && self.level().due.is_some();
        let level = self.level();
        let lower = word.to_ascii_lowercase();
        match lower.as_str() {
            "select" => *level = Level { verb: Verb::Select, ..Level::default() },
            "insert" | "replace" | "upsert" if begins => *level = Level::writing(Verb::Insert),
            "merge" if begins => *level = Level::writing(Verb::Merge),
            "update" if begins => *level = Level::writing(Verb::Update),
            "delete" if begins => *level = Level::writing(Verb::Delete),
            "copy" if is_first => *level = Level::writing(Verb::Insert),
            "with" if !matches!(next, Some(Token::Sign('('))) => level.defines = true,
            "recursive" if level.defines => {}
            "from" if is(before, &["distinct"]) => {}
            "from" if level.verb == Verb::Delete && level.due.is_some() => {}
            "from" if level.verb != Verb::None && level.verb != Verb::Insert || is_first => level.list(),
            "join" | "straight_join" | "apply" => level.due = Some(Access::Read),
            "using" if matches!(level.verb, Verb::Delete | Verb::Merge) && !is_column_list => {
                level.list();
            }
            "into" if matches!(level.verb, Verb::Insert | Verb::Merge) => level.due = Some(Access::Write),
            "set" | "where" | "group" | "order" | "having" | "limit" | "union" | "intersect" | "except" | "minus"
            | "returning" | "window" | "fetch" | "offset" | "values" | "for" | "qualify" | "when" | "output" | "to"
                if !is_name =>
            {
                level.is_list = false;
                level.due = None;
            }
            "on" => level.due = None,
            "only" | "lateral" | "ignore" | "low_priority" | "high_priority" | "delayed" | "quick" | "overwrite"
            | "or" | "rollback" | "abort" | "fail" | "table" => return level.due.is_some(),
            _ => return false,
        }
        let Level { verb, due, .. } = *self.level();
        self.reads |= lower == "select";
        self.writes |= due == Some(Access::Write) && verb != Verb::None;
        self.reads |= is_first && lower == "from";
        true
    }

    /// Whether `USING (a, b)` of a join begins at `index`, not a query.
    fn is_column_list(&self, index: usize) -> bool {
        self.tokens.get(index) == Some(&Token::Sign('('))
            && !is(self.tokens.get(index + 1), &["select", "with", "values"])
    }

    /// Takes a name, with the parts behind its dots and its alias, as what is due; answers where to go on.
    fn name(&mut self, index: usize) -> usize {
        let (name, next) = self.qualified(index);
        let level = self.level();
        if level.defines && level.verb == Verb::None {
            return self.define(index);
        }
        let Some(access) = level.due.take() else { return index + 1 };
        let is_call = self.tokens.get(next) == Some(&Token::Sign('('));
        if is_call && self.level().verb != Verb::Insert {
            return next;
        }
        let name = table_name(&name);
        if !name.is_empty() && !self.common.contains(&name) {
            let next = self.alias(next, &name);
            add(&mut self.tables, Table { name, access });
            return next;
        }
        self.alias(next, &name)
    }

    /// `name AS (` of a common table expression.
    fn define(&mut self, index: usize) -> usize {
        let before = index.checked_sub(1).and_then(|before| self.tokens.get(before));
        let introduces = is(before, &["with", "recursive"]) || before == Some(&Token::Sign(','));
        if let Token::Word(name) | Token::Quoted(name) = self.tokens[index]
            && introduces
            && self.common.len() < MAX_DEPTH
        {
            self.common.push(table_name(name));
        }
        index + 1
    }

    /// The name at `index` with everything behind its dots, and the place after it.
    fn qualified(&self, index: usize) -> (String, usize) {
        let part = |place: usize| match self.tokens.get(place) {
            Some(Token::Word(name) | Token::Quoted(name)) => Some(*name),
            _ => None,
        };
        let mut name = part(index).unwrap_or_default().to_owned();
        let mut next = index + 1;
        loop {
            // `[dbo]..[orders]` leaves the schema out, and `s."orders"` begins with a word that ends in a dot.
            let is_open = name.ends_with('.');
            let is_dot = self.tokens.get(next) == Some(&Token::Sign('.'));
            if is_dot {
                name.push('.');
                next += 1;
            } else if let Some(more) = part(next).filter(|_| is_open) {
                name.push_str(more);
                next += 1;
            } else {
                return (name, next);
            }
        }
    }

    /// Takes `AS alias` or `alias` at `index` as another name of `table`; answers where to go on.
    fn alias(&mut self, index: usize, table: &str) -> usize {
        const NO_ALIASES: [&str; 37] = [
            "where",
            "set",
            "join",
            "left",
            "right",
            "inner",
            "outer",
            "full",
            "cross",
            "natural",
            "on",
            "using",
            "group",
            "order",
            "having",
            "limit",
            "union",
            "intersect",
            "except",
            "minus",
            "returning",
            "window",
            "fetch",
            "offset",
            "values",
            "for",
            "select",
            "default",
            "with",
            "when",
            "use",
            "force",
            "straight_join",
            "from",
            "tablesample",
            "into",
            "output",
        ];
        let place = index + usize::from(is(self.tokens.get(index), &["as"]));
        let alias = match self.tokens.get(place) {
            Some(Token::Word(word)) if !is(self.tokens.get(place), &NO_ALIASES) => word,
            Some(Token::Quoted(word)) => word,
            _ => return index,
        };
        if self.aliases.len() < MAX_DEPTH {
            self.aliases.push((alias.to_lowercase(), table.to_owned()));
        }
        place + 1
    }

    /// `UPDATE o SET … FROM orders o` and `DELETE o FROM orders o` write the table behind the alias.
    fn resolve_aliases(&mut self) {
        for (alias, table) in std::mem::take(&mut self.aliases) {
            let Some(place) = self.tables.iter().position(|each| each.name == alias) else { continue };
            if alias != table && self.tables.iter().any(|each| each.name == table) {
                let access = self.tables.remove(place).access;
                add(&mut self.tables, Table { name: table, access });
            }
        }
    }
}

impl Level {
    fn writing(verb: Verb) -> Self {
        Self { verb, due: Some(Access::Write), is_list: verb == Verb::Update, defines: false }
    }

    /// A list of tables that are read begins.
    fn list(&mut self) {
        self.is_list = true;
        self.due = Some(Access::Read);
    }
}
