//! The versions of the schema: the newest of this program, and those recorded in a keyspace.

use std::fmt;

use scylla::{client::session::Session, response::query_result::QueryResult};

use crate::store::cassandra::driver::{CassandraOpenError, Result};

/// The newest version of the schema that this program knows.
const KNOWN: i32 = 1;

/// Name of Bookend's schema in `schema_migrations`.
pub(super) const NAME: &str = "bookend";

/// Warns if a newer version of Bookend has changed the schema of `keyspace`. Services start anyway:
/// versions only add tables, columns and options.
pub(crate) async fn warn_if_newer(session: &Session, keyspace: &str) {
    let selected = session.query_unpaged(select_versions(keyspace), (NAME,)).await;
    let selected = selected.map_err(|error| {
        CassandraOpenError::unauthorized(&error)
            .unwrap_or_else(|| CassandraOpenError::Refused(error.to_string()))
    });
    match selected.and_then(versions).map(|versions| versions.into_iter().max()) {
        Ok(Some(recorded)) if recorded > KNOWN => tracing::warn!(
            keyspace,
            recorded,
            known = KNOWN,
            "the schema is newer than this program; upgrade this process"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(
            keyspace,
            %error,
            "cannot read the version of the schema; a newer one would not be noticed"
        ),
    }
}

/// Selects the versions recorded in `keyspace`, given [`NAME`].
pub(super) fn select_versions(keyspace: &str) -> String {
    format!("SELECT version FROM {keyspace}.schema_migrations WHERE name = ?")
}

/// The versions in the result of [`select_versions`].
pub(super) fn versions(selected: QueryResult) -> Result<Vec<i32>> {
    let refused = |error: &dyn fmt::Display| CassandraOpenError::Refused(error.to_string());
    let rows = selected.into_rows_result().map_err(|error| refused(&error))?;
    let rows = rows.rows::<(i32,)>().map_err(|error| refused(&error))?;
    rows.map(|row| row.map(|(version,)| version).map_err(|error| refused(&error))).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{SCHEMA, statement::sections},
        *,
    };

    #[test]
    fn the_known_version_is_the_last_of_the_schema() {
        assert_eq!(sections(SCHEMA).unwrap().last().unwrap().version, KNOWN);
    }
}
