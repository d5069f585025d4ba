//! Statements of every kind, with the tables that they read and write.

use super::*;

/// Tables are given as `name`, or `name!` where they are written.
fn check(text: &str, tables: &[&str], access: Access) {
    let statement = read(text, Dialect::Standard);
    let shown: Vec<String> = statement.tables.iter().map(shown).collect();
    assert_eq!(shown, tables, "{text}");
    assert_eq!(statement.access, access, "{text}");
}

fn shown(table: &Table) -> String {
    format!("{}{}", table.name, if table.access == Access::Write { "!" } else { "" })
}

fn check_template(text: &str, template: &str) {
    assert_eq!(read(text, Dialect::Standard).template, template);
}

#[test]
fn literals_leave_the_template() {
    check_template("SELECT * FROM t WHERE id = 12 AND n='it''s'", "SELECT * FROM t WHERE id = ? AND n = ?");
    check_template("select a from b where c in ($1, $2,$3)", "select a from b where c in (?)");
    check_template("INSERT INTO x(a,b) VALUES (1,2), (3,4)", "INSERT INTO x (a, b) VALUES (?)");
    check_template("SELECT 1 FROM a JOIN \"b\" ON a.i=b.i", "SELECT ? FROM a JOIN b ON a.i = b.i");
    check_template("SELECT N'x', E'a\\'b', $$it's$$ FROM t -- why\n", "SELECT ? FROM t");
    assert_eq!(read("SELECT \"a\", 'it\\'s' FROM t", Dialect::Backslash).template, "SELECT ? FROM t");
}

#[test]
fn placeholders_are_told_from_casts() {
    assert!(read("select :a", Dialect::Standard).has_placeholders);
    assert!(read("a = %s and b = %(c)s", Dialect::Standard).has_placeholders);
    assert!(read("select a from [b] where c = @__id_0", Dialect::Standard).has_placeholders);
    assert!(read("select :_a", Dialect::Standard).has_placeholders);
    assert!(!read("select @@rowcount", Dialect::Standard).has_placeholders);
    assert!(!read("select a::text, '?' from b where c = 1 % (2)", Dialect::Standard).has_placeholders);
}

#[test]
fn tables_are_found_in_every_clause() {
    check("SELECT 1 FROM a JOIN \"b\" ON a.i=b.i", &["a", "b"], Access::Read);
    check("SELECT 1 FROM a x, s.b AS y WHERE 1", &["a", "s.b"], Access::Read);
    check("SELECT 1 FROM a x LEFT JOIN b USING (c, d), e ORDER BY f, g", &["a", "b", "e"], Access::Read);
    check("select * from (select 1 from z) q, y", &["z", "y"], Access::Read);
    check("select * from (a join b on a.x = b.x)", &["a", "b"], Access::Read);
    check("select a from b where c in (select d from e) limit 1, 2", &["b", "e"], Access::Read);
    check("select a from b union all select c from d", &["b", "d"], Access::Read);
    check("select * from generate_series(1, 3) g, t", &["t"], Access::Read);
    check("from Order o where o.id = ?", &["order"], Access::Read);
    check("UPDATE `orders` SET a=1", &["orders!"], Access::Write);
    check("delete from Orders", &["orders!"], Access::Write);
    check("INSERT OR REPLACE INTO k VALUES (?)", &["k!"], Access::Write);
}

#[test]
fn no_table_is_made_of_other_uses_of_the_words() {
    check("SELECT EXTRACT(YEAR FROM created) FROM a", &["a"], Access::Read);
    check("SELECT a FROM b WHERE c IS DISTINCT FROM d AND e IS NOT DISTINCT FROM f", &["b"], Access::Read);
    check(
        "SELECT substring(x FROM 1 FOR 2), trim(both FROM y), overlay(a placing b from 3) FROM t",
        &["t"],
        Access::Read,
    );
    check("SELECT position(a IN b) FROM t", &["t"], Access::Read);
    check("SELECT replace(a, 'x', 'y') FROM t", &["t"], Access::Read);
    check("SELECT DISTINCT a FROM t", &["t"], Access::Read);
    check("SELECT a FROM t WITH (NOLOCK) WHERE b = 1", &["t"], Access::Read);
}

#[test]
fn locks_are_reads_that_set_up() {
    for text in [
        "SELECT a FROM t FOR UPDATE",
        "SELECT a FROM t FOR NO KEY UPDATE",
        "SELECT a FROM t FOR SHARE",
        "SELECT a FROM t FOR KEY SHARE SKIP LOCKED",
    ] {
        check(text, &["t"], Access::Read);
        assert!(read(text, Dialect::Standard).is_set_up, "{text}");
    }
}

#[test]
fn common_table_expressions_and_aliases_are_no_tables() {
    check("WITH w AS (SELECT 1 FROM a) SELECT 1 FROM w", &["a"], Access::Read);
    check(
        "WITH RECURSIVE w(x) AS (SELECT 1 FROM a UNION ALL SELECT 1 FROM w), v AS (SELECT 1 FROM b) SELECT 1 FROM w JOIN v ON 1",
        &["a", "b"],
        Access::Read,
    );
    check("WITH d AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM d", &["a!", "b!"], Access::Write);
    check("UPDATE o SET x = 1 FROM orders o JOIN users u ON 1", &["orders!", "users"], Access::Write);
    check("DELETE o FROM orders o JOIN users u ON 1", &["orders!", "users"], Access::Write);
}

#[test]
fn a_statement_writes_some_tables_and_reads_others() {
    check("INSERT INTO a (x, y) SELECT b.x, c.y FROM b JOIN c ON 1", &["a!", "b", "c"], Access::Write);
    check("INSERT INTO a VALUES (1) ON CONFLICT (x) DO UPDATE SET y = 1", &["a!"], Access::Write);
    check("INSERT INTO a VALUES (1) ON DUPLICATE KEY UPDATE y = 1", &["a!"], Access::Write);
    check("REPLACE INTO a VALUES (1)", &["a!"], Access::Write);
    check("UPSERT INTO a VALUES (1)", &["a!"], Access::Write);
    check("DELETE FROM a USING b WHERE a.x = b.x", &["a!", "b"], Access::Write);
    check("UPDATE a SET x = b.x FROM b WHERE a.y = b.y", &["a!", "b"], Access::Write);
    check(
        "MERGE INTO a USING b ON a.x = b.x WHEN MATCHED THEN UPDATE SET y = 1 WHEN NOT MATCHED THEN INSERT (x) VALUES (1)",
        &["a!", "b"],
        Access::Write,
    );
    check("SELECT a FROM b; INSERT INTO c VALUES (1)", &["b", "c!"], Access::Write);
    check("SET NOCOUNT ON; INSERT INTO c (x) VALUES (1); SELECT SCOPE_IDENTITY()", &["c!"], Access::Write);
    check("BEGIN; UPDATE a SET x = 1; COMMIT", &["a!"], Access::Write);
    check("INSERT INTO a SELECT * FROM a", &["a!"], Access::Write);
}

#[test]
fn every_spelling_of_a_table_is_one_name() {
    for name in [
        "Orders",
        "\"Orders\"",
        "`orders`",
        "[orders]",
        "[dbo].[Orders]",
        "public.orders",
        "\"public\".\"orders\"",
        "dbo.orders",
    ] {
        check(&format!("SELECT 1 FROM {name} WHERE a = 1"), &["orders"], Access::Read);
    }
    check("SELECT 1 FROM shop.orders", &["shop.orders"], Access::Read);
    check("SELECT 1 FROM shop.dbo.orders o", &["shop.orders"], Access::Read);
    check("SELECT 1 FROM [shop]..[orders]", &["shop.orders"], Access::Read);
}

#[test]
fn control_statements_use_nothing() {
    for text in
        ["BEGIN", "COMMIT", "CREATE TABLE a(b)", "PRAGMA x", "SET a = 1", "EXPLAIN SELECT 1 FROM a", "BEGIN; COMMIT"]
    {
        check(text, &[], Access::None);
        assert!(read(text, Dialect::Standard).is_set_up, "{text}");
    }
    for text in ["SELECT version()", "select pg_is_in_recovery ( )"] {
        assert!(read(text, Dialect::Standard).is_set_up, "{text}");
    }
    for text in ["SELECT close_books()", "SELECT version() FROM a"] {
        assert!(!read(text, Dialect::Standard).is_set_up, "{text}");
    }
    check("", &[], Access::None);
    check("SELECT 1", &[], Access::Read);
    assert!(!read("", Dialect::Standard).is_set_up);
}

#[test]
fn broken_and_endless_text_is_read_as_far_as_it_goes() {
    let parts = [
        "'",
        "\"",
        "select 'abc",
        "%(",
        "/*",
        "--",
        "from",
        "with",
        "insert into",
        "é",
        "$",
        "[",
        "%(a)s",
        "(",
        ")",
        "a.",
        ";",
    ];
    for text in parts {
        read(text, Dialect::Standard);
        read(text, Dialect::Backslash);
        let long = read(&text.repeat(MAX_TEXT_BYTES), Dialect::Standard);
        assert!(long.template.len() < 4 * 1024 && long.tables.len() <= MAX_TABLES, "{text}");
    }
    let many: Vec<String> = (0..2000).map(|number| format!("t{number}")).collect();
    assert_eq!(read(&format!("SELECT 1 FROM {}", many.join(", ")), Dialect::Standard).tables.len(), MAX_TABLES);
}
