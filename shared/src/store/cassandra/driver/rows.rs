//! The rows of replies.

use std::fmt;

use scylla::{
    deserialize::row::DeserializeRow,
    response::query_result::{QueryResult, QueryRowsResult},
    statement::prepared::PreparedStatement,
};

use super::{failure::corrupt, statements::MAX_PAGE};
use crate::store::Result;

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

/// `statement` with a page size for about `rows` rows: few requests, and little unneeded data.
pub(crate) fn paged(statement: &PreparedStatement, rows: usize) -> PreparedStatement {
    let mut statement = statement.clone();
    statement
        .set_page_size(i32::try_from(rows.max(32)).map_or(MAX_PAGE, |rows| rows.min(MAX_PAGE)));
    statement
}
