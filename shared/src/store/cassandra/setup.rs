//! Making the keyspace and the tables: what is missing of `deploy/schema.cql`, as often as one likes.

use std::{collections::BTreeSet, fmt, time::Duration};

use scylla::{
    client::session::Session,
    errors::{DbError, ExecutionError, RequestAttemptError},
    response::query_result::QueryRowsResult,
    serialize::row::SerializeRow,
};

use super::{CassandraOptions, OpenError, Replication, connect, failure::passing};

/// The one text of the schema.
const SCHEMA: &str = include_str!("../../../../deploy/schema.cql");

/// Its name among the migrations.
const NAME: &str = "bookend";

/// How the statements of the schema begin; the name of the table follows.
const MAKE_TABLE: &str = "CREATE TABLE IF NOT EXISTS ";

/// How long a statement may take at most. A change of the schema is agreed on and flushed to disk before it is answered:
/// on a busy server that takes many times what a request for rows may.
const LIMIT: Duration = Duration::from_secs(60);

/// Where the tables are made.
struct Setup<'a> {
    session: Session,
    keyspace: &'a str,
}

/// Makes the keyspace and the tables that are missing; says in sentences what was done and what was there.
///
/// # Errors
/// [`OpenError`]; what was made by then stays, and is found by the next try.
pub async fn setup(
    options: &CassandraOptions,
    replication: &Replication,
) -> Result<Vec<String>, OpenError> {
    let patient =
        CassandraOptions { request_timeout: options.request_timeout.max(LIMIT), ..options.clone() };
    let setup = Setup { session: connect::session(&patient).await?, keyspace: &options.keyspace };
    let mut done = vec![setup.make_keyspace(replication).await?];
    let there = setup.tables().await?;
    for (version, statements) in sections(SCHEMA) {
        for (table, statement) in statements {
            if !there.contains(&table) {
                done.push(setup.make_table(&table, &statement).await?);
            }
        }
        done.push(setup.record(version).await?);
    }
    Ok(done)
}

impl Setup<'_> {
    async fn make_keyspace(&self, replication: &Replication) -> Result<String, OpenError> {
        let keyspace = self.keyspace;
        let there = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";
        if self.ask(there, (keyspace,)).await?.rows_num() > 0 {
            return Ok(format!(
                "the keyspace {keyspace} was there; how often its rows are copied is left as it is"
            ));
        }
        let make =
            format!("CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}");
        self.run(&make, ()).await?;
        Ok(format!("the keyspace {keyspace} was made, with {replication}"))
    }

    /// Those that are there already.
    async fn tables(&self) -> Result<BTreeSet<String>, OpenError> {
        let there = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?";
        let tables = self.ask(there, (self.keyspace,)).await?;
        let unreadable = |error: &dyn fmt::Display| OpenError::Refused(error.to_string());
        let tables = tables.rows::<(String,)>().map_err(|error| unreadable(&error))?;
        tables.map(|row| row.map(|(name,)| name).map_err(|error| unreadable(&error))).collect()
    }

    /// Makes one table. A server that does not know a way of compaction gets it with its own.
    async fn make_table(&self, table: &str, statement: &str) -> Result<String, OpenError> {
        let named = format!("{MAKE_TABLE}{}.", self.keyspace);
        let statement = statement.replacen(MAKE_TABLE, &named, 1);
        match self.session.query_unpaged(statement.as_str(), ()).await {
            Ok(_) => Ok(format!("the table {table} was made")),
            Err(error) => match statement.split_once("  AND compaction = ") {
                Some((without, _)) if is_unknown(&error) => {
                    self.run(without, ()).await?;
                    Ok(format!(
                        "the table {table} was made, with the server's own compaction: {error}"
                    ))
                }
                _ => Err(self.refused(&error)),
            },
        }
    }

    /// Writes down that all tables of a version are there, unless that is known.
    async fn record(&self, version: i32) -> Result<String, OpenError> {
        let migrations = format!("{}.schema_migrations", self.keyspace);
        let recorded = format!("SELECT version FROM {migrations} WHERE name = ? AND version = ?");
        if self.ask(&recorded, (NAME, version)).await?.rows_num() > 0 {
            return Ok(format!("version {version} of the tables was recorded"));
        }
        let record = format!("INSERT INTO {migrations} (name, version) VALUES (?, ?)");
        self.run(&record, (NAME, version)).await?;
        Ok(format!("version {version} of the tables is applied"))
    }

    async fn ask(
        &self,
        question: &str,
        values: impl SerializeRow,
    ) -> Result<QueryRowsResult, OpenError> {
        let result = self.session.query_unpaged(question, values).await;
        let result = result.map_err(|error| self.refused(&error))?;
        result.into_rows_result().map_err(|error| OpenError::Refused(error.to_string()))
    }

    async fn run(&self, statement: &str, values: impl SerializeRow) -> Result<(), OpenError> {
        self.session
            .query_unpaged(statement, values)
            .await
            .map_err(|error| self.refused(&error))?;
        Ok(())
    }

    fn refused(&self, error: &ExecutionError) -> OpenError {
        if let Some(lacking) = connect::lacking_right(error) {
            return lacking;
        }
        match error {
            ExecutionError::LastAttemptError(RequestAttemptError::DbError(
                DbError::Unavailable { required, alive, .. },
                _,
            )) => OpenError::TooFewNodes {
                keyspace: self.keyspace.to_owned(),
                required: *required,
                alive: *alive,
            },
            error if passing(error).is_some() => {
                OpenError::Unreachable { nodes: "its nodes".to_owned(), cause: error.to_string() }
            }
            other => OpenError::Refused(other.to_string()),
        }
    }
}

/// Whether the server refuses what a statement asks for, not the statement as such.
fn is_unknown(error: &ExecutionError) -> bool {
    matches!(
        error,
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(
            DbError::ConfigError | DbError::Invalid | DbError::SyntaxError,
            _
        ))
    )
}

/// The versions of a schema with their tables and the statements that make them.
fn sections(schema: &str) -> impl Iterator<Item = (i32, Vec<(String, String)>)> {
    schema.split("\n-- version ").skip(1).filter_map(|section| {
        let (version, text) = section.split_once('\n')?;
        let lines = text.lines().filter(|line| !line.starts_with("--"));
        let text = lines.collect::<Vec<_>>().join("\n");
        let statements = text.split(';').map(str::trim).filter_map(|statement| {
            let table = statement.strip_prefix(MAKE_TABLE)?.split_whitespace().next()?;
            Some((table.to_owned(), statement.to_owned()))
        });
        Some((version.trim().parse().ok()?, statements.collect()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_made_of_tables_alone() {
        let sections: Vec<_> = sections(SCHEMA).collect();
        assert_eq!(sections.iter().map(|(version, _)| *version).collect::<Vec<_>>(), [1]);
        for (_, statement) in sections.iter().flat_map(|(_, statements)| statements) {
            assert!(!statement.contains("--"), "{statement}");
        }
        let tables: Vec<_> = sections[0].1.iter().map(|(table, _)| table.as_str()).collect();
        let expected = [
            "schema_migrations",
            "facts",
            "completed_by_user",
            "starts_by_country",
            "start_partitions",
            "countries",
        ];
        assert_eq!(tables, expected);
        let statements: String = SCHEMA.lines().filter(|line| !line.starts_with("--")).collect();
        assert_eq!(statements.matches(';').count(), expected.len());
    }
}
