//! A walk over the keys of one kind of rows, from one range to a later one, which skips rows that a
//! marker supersedes.
//!
//! To open a range costs as much as to read some tens of rows. Ranges that are near are therefore
//! walked to, as those of many countries with few starts.

use std::ops::Bound::{self, Excluded, Included};

use fjall::{Iter, Keyspace, UserKey};

use super::{Scan, corrupt, keys, read_error};
use crate::store::Result;

/// The number of rows that are skipped before a range is opened.
const NEAR: usize = 16;

/// A position among the rows. It keeps files of the engine, so it must not be kept for long.
pub(super) struct Walk<'a> {
    keyspace: &'a Keyspace,
    end: Bound<Vec<u8>>,
    rows: Option<Iter>,
    /// The next key, if it was read already.
    next: Option<UserKey>,
}

/// What [`visible`] does with a row.
pub(super) enum Row<T> {
    Keep(T),
    Skip,
    /// Fail: no version of this program writes such a row.
    Corrupt,
}

impl<'a> Walk<'a> {
    /// A walk up to the key `end` that has not begun.
    pub(super) fn before(end: &[u8], keyspace: &'a Keyspace) -> Self {
        Self::to(Excluded(end.to_vec()), keyspace)
    }

    /// A walk up to `end`.
    pub(super) fn to(end: Bound<Vec<u8>>, keyspace: &'a Keyspace) -> Self {
        Self { keyspace, end, rows: None, next: None }
    }

    /// Goes to the first key that is not before `from`, which is not before the keys read so far.
    pub(super) fn go_to(&mut self, from: &[u8]) -> Result<()> {
        if self.rows.is_some() {
            for _ in 0..NEAR {
                if self.peek()?.is_none_or(|key| **key >= *from) {
                    return Ok(());
                }
                self.next = None;
            }
        }
        let range = (Included(from.to_vec()), self.end.clone());
        self.rows = Some(self.keyspace.range::<Vec<u8>, _>(range));
        self.next = None;
        Ok(())
    }

    /// The next key, which remains the next one.
    pub(super) fn peek(&mut self) -> Result<Option<&UserKey>> {
        if self.next.is_none()
            && let Some(row) = self.rows.as_mut().and_then(Iterator::next)
        {
            self.next = Some(row.key().map_err(read_error)?);
        }
        Ok(self.next.as_ref())
    }

    /// The next key, if it is before `to`.
    fn next_before(&mut self, to: &[u8]) -> Result<Option<UserKey>> {
        self.peek()?;
        Ok(self.next.take_if(|key| **key < *to))
    }
}

/// At most `limit` of the values that `read` keeps, from the rows in `from..to` without a marker.
pub(super) fn visible<T>(
    rows: &mut Walk<'_>,
    scan: &mut Scan,
    (from, to): (Vec<u8>, Vec<u8>),
    limit: usize,
    mut read: impl FnMut(&[u8]) -> Row<T>,
) -> Result<Vec<T>> {
    let mut items = Vec::new();
    if from >= to || limit == 0 {
        return Ok(items);
    }
    rows.go_to(&from)?;
    let mut superseded: Option<UserKey> = None;
    while let Some(key) = rows.next_before(&to)? {
        scan.row()?;
        let Some((last, row)) = key.split_last() else { continue };
        if *last == keys::MARKER {
            superseded = Some(key);
            continue;
        }
        // A marker sorts directly before the row that it supersedes.
        let marked = superseded.as_deref().and_then(<[u8]>::split_last);
        if marked.is_some_and(|(_, marked)| marked == row) {
            continue;
        }
        match read(&key) {
            Row::Keep(item) => items.push(item),
            Row::Skip => {}
            Row::Corrupt => return Err(corrupt(rows.keyspace, &key)),
        }
        if items.len() == limit {
            break;
        }
    }
    Ok(items)
}

impl<T> From<Option<T>> for Row<T> {
    fn from(read: Option<T>) -> Self {
        read.map_or(Self::Corrupt, Self::Keep)
    }
}
