//! Reads sessions from the rows of `facts`. The rows of one session are adjacent.

use scylla::{
    response::PagingState, serialize::row::SerializeRow, statement::prepared::PreparedStatement,
    value::CqlTimestamp,
};

use super::{
    super::{
        CassandraStore,
        driver::{Caller, read_rows},
        insert::Earlier,
        trial::is_trial,
    },
    stamp::Stamp,
    stored::StoredSession,
};
use crate::{
    event::{Country, SessionId, UserId},
    session::{Fact, SessionFacts, SessionKey, Start},
    store::Result,
    timestamp::Timestamp,
};

/// user, session, kind, ts, country, marker, earlier, write time.
type Row<'a> = (&'a str, &'a str, i8, CqlTimestamp, &'a str, i8, CqlTimestamp, Option<i64>);

/// Sessions in the order of their rows.
#[derive(Default)]
struct Sessions(Vec<(SessionKey, StoredSession)>);

impl CassandraStore {
    /// The sessions that `statement` selects, for the consumer: the sessions of one unit.
    pub(super) async fn read_unit(
        &self,
        statement: &PreparedStatement,
        values: &impl SerializeRow,
    ) -> Result<Vec<(SessionKey, StoredSession)>> {
        let mut sessions = Sessions::default();
        let rows = self.requests()?.unpaged(statement, values).await?;
        read_rows("facts", &rows, |row: &Row<'_>| sessions.add(row))?;
        Ok(sessions.with_facts())
    }

    /// The first `limit` sessions that `statement` selects; fewer only when there are no more.
    pub(super) async fn read_sessions(
        &self,
        caller: Caller,
        statement: &PreparedStatement,
        values: &impl SerializeRow,
        limit: usize,
    ) -> Result<Vec<(SessionKey, SessionFacts)>> {
        let (mut sessions, mut from) = (Sessions::default(), PagingState::start());
        loop {
            let (rows, next) = self.requests()?.page(caller, statement, values, from).await?;
            read_rows("facts", &rows, |row: &Row<'_>| sessions.add(row))?;
            match next {
                // The last session may continue on the next page.
                Some(next) if sessions.count() <= limit => from = next,
                _ => break,
            }
        }
        let sessions = sessions.with_facts().into_iter().take(limit);
        Ok(sessions.map(|(key, stored)| (key, stored.facts())).collect())
    }
}

impl Sessions {
    /// The number of sessions. Rows without a fact are not a session.
    fn count(&self) -> usize {
        self.0.iter().filter(|(_, stored)| !stored.is_empty()).count()
    }

    fn with_facts(mut self) -> Vec<(SessionKey, StoredSession)> {
        self.0.retain(|(_, stored)| !stored.is_empty());
        self.0
    }

    /// `None` for a row that this program never writes.
    fn add(
        &mut self,
        (user, session, kind, ts, country, marker, earlier, written): &Row<'_>,
    ) -> Option<()> {
        if is_trial(user) {
            return Some(());
        }
        let ts = Timestamp::from_millis(ts.0)?;
        let fact = match kind {
            0 => Fact::Start(Start { ts, country: Country::stored(country)? }),
            1 => Fact::End(ts),
            _ => return None,
        };
        let same =
            |key: &SessionKey| key.user.as_str() == *user && key.session.as_str() == *session;
        if !self.0.last().is_some_and(|(key, _)| same(key)) {
            let key =
                SessionKey { user: UserId::stored(user)?, session: SessionId::stored(session)? };
            self.0.push((key, StoredSession::default()));
        }
        let (_, stored) = self.0.last_mut()?;
        let earlier = Timestamp::from_millis(earlier.0)?;
        match marker {
            // A fact that an operator inserted without `seen` has no write time; it sorts last.
            0 => {
                stored.add_fact(written.map_or(Stamp::LAST, |written| Stamp::of(ts, written)), fact)
            }
            1 => stored.add_reference(&fact, Earlier::Start(earlier)),
            2 => stored.add_reference(&fact, Earlier::End(earlier)),
            _ => return None,
        }
        Some(())
    }
}
