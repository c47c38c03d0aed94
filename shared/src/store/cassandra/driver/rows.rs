//! The rows of replies.

use std::fmt;

use scylla::{
    deserialize::row::DeserializeRow,
    response::query_result::{QueryResult, QueryRowsResult},
    statement::prepared::PreparedStatement,
};

use super::{failure::corrupt, statements::MAX_PAGE};
use crate::store::Result;

/// The smallest page, in rows.
const LEAST_PAGE: usize = 32;

pub(super) fn rows(result: QueryResult) -> Result<QueryRowsResult> {
    result.into_rows_result().map_err(|error| corrupt("a reply", &error))
}

/// Calls `read` for every row of `table` in a result. A row for which it returns `None` is corrupt:
/// this program never writes it.
pub(crate) fn read_rows<'r, R: DeserializeRow<'r, 'r> + fmt::Debug>(
    table: &str,
    rows: &'r QueryRowsResult,
    mut read: impl FnMut(&R) -> Option<()>,
) -> Result<()> {
    for row in rows.rows::<R>().map_err(|error| corrupt(table, &error))? {
        let row = row.map_err(|error| corrupt(table, &error))?;
        read(&row).ok_or_else(|| corrupt(table, &format_args!("{row:?}")))?;
    }
    Ok(())
}

/// `statement` with a page size for about `rows` rows.
pub(crate) fn paged(statement: &PreparedStatement, rows: usize) -> PreparedStatement {
    let mut statement = statement.clone();
    // At most the largest page, so nothing is truncated.
    statement.set_page_size(page_rows(rows) as i32);
    statement
}

/// The size of a page for about `rows` rows: few requests, and little unneeded data.
pub(crate) fn page_rows(rows: usize) -> usize {
    rows.clamp(LEAST_PAGE, MAX_PAGE as usize)
}
