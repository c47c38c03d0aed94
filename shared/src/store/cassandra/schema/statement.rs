//! Reads the text of the schema: sections of statements that are safe to repeat.
//!
//! A section begins with a line `-- version N`. Comments are lines that begin with `--`. Pure.

use crate::store::cassandra::driver::{CassandraOpenError, Result};

/// The statements of one version.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) version: i32,
    pub(super) statements: Vec<Statement>,
}

/// A statement that may be repeated. Its text has no keyspace.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) change: Change,
    text: String,
}

/// What a statement changes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// `CREATE TABLE IF NOT EXISTS name …`
    Table(String),
    /// `CREATE TYPE IF NOT EXISTS name …`
    Type(String),
    /// `ALTER TABLE table ADD column type`
    Column { table: String, column: String },
    /// `ALTER TABLE table WITH …`
    Options { table: String },
}

/// Splits `schema` into its sections, oldest first. Refuses a statement that is not safe to repeat.
pub(super) fn sections(schema: &str) -> Result<Vec<Section>> {
    schema.split("\n-- version ").skip(1).map(Section::parse).collect()
}

impl Section {
    fn parse(section: &str) -> Result<Self> {
        let (version, text) = section.split_once('\n').unwrap_or((section, ""));
        let version = version.trim().parse().map_err(|_| unsupported(version))?;
        let lines = text.lines().filter(|line| !line.starts_with("--"));
        let text = lines.collect::<Vec<_>>().join("\n");
        let statements = text.split(';').map(str::trim).filter(|text| !text.is_empty());
        Ok(Self {
            version,
            statements: statements.map(Statement::parse).collect::<Result<_, _>>()?,
        })
    }
}

impl Statement {
    fn parse(text: &str) -> Result<Self> {
        let words: Vec<_> = text.split_whitespace().collect();
        let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let named = |name: &str| name.chars().all(letter);
        let change = match words[..] {
            ["CREATE", "TABLE", "IF", "NOT", "EXISTS", name, ..] if named(name) => {
                Change::Table(name.to_owned())
            }
            ["CREATE", "TYPE", "IF", "NOT", "EXISTS", name, ..] if named(name) => {
                Change::Type(name.to_owned())
            }
            // One column per statement: of several, only some could exist.
            ["ALTER", "TABLE", table, "ADD", column, ..]
                if named(table) && named(column) && !text.contains(',') =>
            {
                Change::Column { table: table.to_owned(), column: column.to_owned() }
            }
            ["ALTER", "TABLE", table, "WITH", ..] if named(table) => {
                Change::Options { table: table.to_owned() }
            }
            _ => return Err(unsupported(text)),
        };
        if text.contains("--") {
            return Err(unsupported(text));
        }
        Ok(Self { change, text: text.to_owned() })
    }

    /// The statement for the tables of `keyspace`.
    pub(super) fn in_keyspace(&self, keyspace: &str) -> String {
        let name = match &self.change {
            Change::Table(name) | Change::Type(name) => name,
            Change::Column { table, .. } | Change::Options { table } => table,
        };
        self.text.replacen(name, &format!("{keyspace}.{name}"), 1)
    }
}

fn unsupported(text: &str) -> CassandraOpenError {
    CassandraOpenError::Statement(format!(
        "{text:?}; use CREATE TABLE or TYPE IF NOT EXISTS, ALTER TABLE … ADD with one column, or \
         ALTER TABLE … WITH"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<Section>, CassandraOpenError> {
        sections(&format!("-- Title\n\n-- version 2\n{text}"))
    }

    #[test]
    fn only_statements_that_are_safe_to_repeat_are_accepted() {
        for (text, change) in [
            ("CREATE TABLE IF NOT EXISTS t (\n  a int PRIMARY KEY\n);", Change::Table("t".into())),
            ("CREATE TYPE IF NOT EXISTS u (a int);", Change::Type("u".into())),
            (
                "-- Why.\nALTER TABLE t ADD c int;",
                Change::Column { table: "t".into(), column: "c".into() },
            ),
            ("ALTER TABLE t WITH comment = 'x';", Change::Options { table: "t".into() }),
        ] {
            let sections = parsed(text).unwrap();
            assert_eq!(sections[0].version, 2, "{text}");
            assert_eq!(sections[0].statements[0].change, change, "{text}");
        }
        for text in [
            "CREATE TABLE t (a int PRIMARY KEY);",
            "ALTER TABLE t DROP c;",
            "ALTER TABLE t ADD (c int, d int);",
            "ALTER TABLE t ADD c int, d int;",
            "ALTER TABLE t RENAME c TO d;",
            "DROP TABLE t;",
            "TRUNCATE t;",
            "INSERT INTO t (a) VALUES (1);",
            "UPDATE t SET a = 1;",
            "CREATE INDEX IF NOT EXISTS i ON t (a);",
            "ALTER TABLE t ADD c int -- why\n;",
            "create table if not exists t (a int primary key);",
        ] {
            let refused = parsed(text).unwrap_err();
            assert!(matches!(refused, CassandraOpenError::Statement(_)), "{text}");
        }
        assert!(sections("-- Title\n\n-- version two\n").is_err());
    }

    #[test]
    fn a_statement_names_the_keyspace() {
        for (text, expected) in [
            (
                "CREATE TABLE IF NOT EXISTS facts (facts int PRIMARY KEY)",
                "CREATE TABLE IF NOT EXISTS k.facts (facts int PRIMARY KEY)",
            ),
            ("ALTER TABLE facts ADD c int", "ALTER TABLE k.facts ADD c int"),
        ] {
            assert_eq!(Statement::parse(text).unwrap().in_keyspace("k"), expected);
        }
    }
}
