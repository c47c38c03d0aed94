//! Making the keyspace and the tables: what is missing of `deploy/schema.cql`, as often as one likes.

use std::{fmt, str::FromStr};

use scylla::{
    client::session::Session,
    errors::{DbError, ExecutionError, RequestAttemptError},
};

use super::{CassandraOptions, OpenError, connect, failure::passing};

/// The one text of the schema.
const SCHEMA: &str = include_str!("../../../../deploy/schema.cql");

/// Its name among the migrations.
const NAME: &str = "bookend";

/// How many copies of every row there are: a number for each data centre, or one for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replication(Vec<(String, u8)>);

/// A text that is no [`Replication`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a number of copies, such as 3, nor one for each data centre, such as east:3,west:3")]
pub struct NotAReplication;

/// Makes the keyspace and the tables that are missing; says in sentences what was done and what was there.
///
/// # Errors
/// [`OpenError`]; what was made by then stays, and is found by the next try.
pub async fn setup(options: &CassandraOptions, replication: &Replication) -> Result<Vec<String>, OpenError> {
    let session = connect::session(options).await?;
    let keyspace = &options.keyspace;
    let mut done = Vec::new();
    let there = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";
    if exists(&session, there, (keyspace,)).await? {
        done.push(format!(
            "the keyspace {keyspace} was there; how often its rows are copied is left as it is"
        ));
    } else {
        run(&session, &format!("CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}"))
            .await?;
        done.push(format!("the keyspace {keyspace} was made, with {replication}"));
    }
    for (version, statements) in sections(SCHEMA) {
        if is_applied(&session, keyspace, version).await? {
            done.push(format!("version {version} of the tables was there"));
            continue;
        }
        for statement in statements {
            done.push(apply(&session, keyspace, &statement).await?);
        }
        let record = format!("INSERT INTO {keyspace}.schema_migrations (name, version) VALUES (?, ?)");
        session.query_unpaged(record, (NAME, version)).await.map_err(refused)?;
        done.push(format!("version {version} of the tables is applied"));
    }
    Ok(done)
}

async fn exists(
    session: &Session,
    question: &str,
    values: impl scylla::serialize::row::SerializeRow,
) -> Result<bool, OpenError> {
    let result = session.query_unpaged(question, values).await.map_err(refused)?;
    let rows = result.into_rows_result().map_err(|error| OpenError::Refused(error.to_string()))?;
    Ok(rows.rows_num() > 0)
}

async fn is_applied(session: &Session, keyspace: &str, version: i32) -> Result<bool, OpenError> {
    let table = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = 'schema_migrations'";
    let recorded = format!("SELECT version FROM {keyspace}.schema_migrations WHERE name = ? AND version = ?");
    Ok(exists(session, table, (keyspace,)).await? && exists(session, &recorded, (NAME, version)).await?)
}

/// Applies one statement. A server that does not know a way of compaction gets the table with its own.
async fn apply(session: &Session, keyspace: &str, statement: &str) -> Result<String, OpenError> {
    let table = statement.split_whitespace().nth(5).unwrap_or_default();
    let statement = statement.replacen(
        "CREATE TABLE IF NOT EXISTS ",
        &format!("CREATE TABLE IF NOT EXISTS {keyspace}."),
        1,
    );
    match (session.query_unpaged(statement.as_str(), ()).await, statement.split_once("  AND compaction = ")) {
        (Ok(_), _) => Ok(format!("the table {table} is there")),
        (Err(error), Some((without, _))) if is_unknown(&error) => {
            run(session, without).await?;
            Ok(format!("the table {table} is there, with the server's own compaction: {error}"))
        }
        (Err(error), _) => Err(refused(error)),
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

async fn run(session: &Session, statement: &str) -> Result<(), OpenError> {
    session.query_unpaged(statement, ()).await.map_err(refused)?;
    Ok(())
}

fn refused(error: ExecutionError) -> OpenError {
    if let Some(lacking) = connect::lacking_right(&error) {
        return lacking;
    }
    if passing(&error).is_some() {
        return OpenError::Unreachable { nodes: "its nodes".to_owned(), cause: error.to_string() };
    }
    OpenError::Refused(error.to_string())
}

/// The versions of a schema with their statements.
fn sections(schema: &str) -> impl Iterator<Item = (i32, Vec<String>)> {
    schema.split("\n-- version ").skip(1).filter_map(|section| {
        let (version, text) = section.split_once('\n')?;
        let lines = text.lines().filter(|line| !line.starts_with("--"));
        let text = lines.collect::<Vec<_>>().join("\n");
        let statements = text.split(';').map(str::trim).filter(|statement| !statement.is_empty());
        Some((version.trim().parse().ok()?, statements.map(str::to_owned).collect()))
    })
}

/// `3`, or `east:3,west:3`.
/// Three copies, wherever they are.
impl Default for Replication {
    fn default() -> Self {
        Self(vec![("replication_factor".to_owned(), 3)])
    }
}

impl FromStr for Replication {
    type Err = NotAReplication;

    fn from_str(text: &str) -> Result<Self, NotAReplication> {
        let copies =
            |text: &str| text.trim().parse().ok().filter(|copies| *copies > 0).ok_or(NotAReplication);
        if let Ok(copies) = copies(text) {
            return Ok(Self(vec![("replication_factor".to_owned(), copies)]));
        }
        let of_one = |part: &str| {
            let (name, number) = part.split_once(':').ok_or(NotAReplication)?;
            let fits = |c: char| c.is_alphanumeric() || "-_. ".contains(c);
            let name = Some(name.trim()).filter(|name| !name.is_empty() && name.chars().all(fits));
            Ok((name.ok_or(NotAReplication)?.to_owned(), copies(number)?))
        };
        Ok(Self(text.split(',').map(of_one).collect::<Result<_, _>>()?))
    }
}

/// As CQL has it.
impl fmt::Display for Replication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{'class': 'NetworkTopologyStrategy'")?;
        for (name, copies) in &self.0 {
            write!(f, ", '{name}': {copies}")?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_made_of_tables_alone() {
        let sections: Vec<_> = sections(SCHEMA).collect();
        assert_eq!(sections.iter().map(|(version, _)| *version).collect::<Vec<_>>(), [1]);
        for statement in sections.iter().flat_map(|(_, statements)| statements) {
            assert!(statement.starts_with("CREATE TABLE IF NOT EXISTS "), "{statement}");
            assert!(!statement.contains("--"), "{statement}");
        }
        assert_eq!(sections[0].1.len(), 6);
    }

    #[test]
    fn copies_are_a_number_or_one_for_each_data_centre() {
        let cql = |text: &str| text.parse::<Replication>().map(|replication| replication.to_string());
        let all = "{'class': 'NetworkTopologyStrategy', 'replication_factor': 3}";
        assert_eq!(cql("3").as_deref(), Ok(all));
        let each = "{'class': 'NetworkTopologyStrategy', 'east': 3, 'west': 2}";
        assert_eq!(cql("east:3, west:2").as_deref(), Ok(each));
        for wrong in ["", "0", "-1", "east", "east:0", "east:3,", "it's:1", ":2"] {
            assert_eq!(cql(wrong), Err(NotAReplication), "{wrong}");
        }
    }
}
