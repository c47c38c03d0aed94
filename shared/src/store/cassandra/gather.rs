//! Reading sessions from the rows of `facts`, in which those of one session stand together.

use std::ops::ControlFlow;

use scylla::{
    response::{PagingState, query_result::QueryResult},
    serialize::row::SerializeRow,
    statement::prepared::PreparedStatement,
    value::CqlTimestamp,
};

use super::{
    corrupt,
    insert::Earlier,
    lifetime::Stamp,
    request::{For, Requests},
    stored::Stored,
};
use crate::{
    event::{Country, SessionId, UserId},
    session::{Fact, SessionKey, Start},
    store::StoreError,
    timestamp::Timestamp,
};

/// user, session, kind, ts, country, marker, earlier, write time.
type Row<'a> = (&'a str, &'a str, i8, CqlTimestamp, &'a str, i8, CqlTimestamp, Option<i64>);

/// Sessions, in the order of their rows.
#[derive(Default)]
struct Gathered(Vec<(SessionKey, Stored)>);

impl Requests {
    /// The sessions with facts that `statement` selects, for the consumer: no more than go together in a request.
    pub(super) async fn whole_sessions(
        &self,
        statement: &PreparedStatement,
        values: &impl SerializeRow,
    ) -> Result<Vec<(SessionKey, Stored)>, StoreError> {
        let mut gathered = Gathered::default();
        gathered.add(self.whole(statement, values).await?)?;
        Ok(gathered.with_facts())
    }

    /// The sessions with facts that `statement` selects, and when there are more than `limit`, at least that many whole ones:
    /// fewer means that there are no more.
    pub(super) async fn sessions(
        &self,
        whom: For,
        statement: &PreparedStatement,
        values: &impl SerializeRow,
        limit: usize,
    ) -> Result<Vec<(SessionKey, Stored)>, StoreError> {
        let (mut gathered, mut from) = (Gathered::default(), PagingState::start());
        loop {
            let (result, next) = self.page(whom, statement, values, from).await?;
            gathered.add(result)?;
            match next.into_paging_control_flow() {
                // The last one may go on in the next page. What has no facts is no session, and counts for nothing.
                ControlFlow::Continue(next) if gathered.sessions() <= limit => from = next,
                _ => break,
            }
        }
        Ok(gathered.with_facts())
    }
}

impl Gathered {
    fn sessions(&self) -> usize {
        self.0.iter().filter(|(_, stored)| !stored.is_empty()).count()
    }

    fn with_facts(mut self) -> Vec<(SessionKey, Stored)> {
        self.0.retain(|(_, stored)| !stored.is_empty());
        self.0
    }

    fn add(&mut self, result: QueryResult) -> Result<(), StoreError> {
        let rows = result.into_rows_result().map_err(|error| corrupt("facts", &error))?;
        for row in rows.rows::<Row<'_>>().map_err(|error| corrupt("facts", &error))? {
            let row = row.map_err(|error| corrupt("facts", &error))?;
            self.add_row(&row).ok_or_else(|| corrupt("facts", &format_args!("{row:?}")))?;
        }
        Ok(())
    }

    /// `None` for a row that this program never writes.
    fn add_row(
        &mut self,
        (user, session, kind, ts, country, marker, earlier, written): &Row<'_>,
    ) -> Option<()> {
        let ts = Timestamp::from_millis(ts.0)?;
        let fact = match kind {
            0 => Fact::Start(Start { ts, country: Country::from_normalised(country)? }),
            1 => Fact::End(ts),
            _ => return None,
        };
        let same =
            |key: &SessionKey| key.user.as_str() == *user && key.session.as_str() == *session;
        if !self.0.last().is_some_and(|(key, _)| same(key)) {
            let key = SessionKey { user: UserId::new(user)?, session: SessionId::new(session)? };
            self.0.push((key, Stored::default()));
        }
        let (_, stored) = self.0.last_mut()?;
        let earlier = Timestamp::from_millis(earlier.0)?;
        match marker {
            // A fact that somebody put there by hand has no write time; it comes last.
            0 => {
                stored.add_fact(written.map_or(Stamp::LAST, |written| Stamp::of(ts, written)), fact)
            }
            1 => stored.add_remembered(&fact, Earlier::Start(earlier)),
            2 => stored.add_remembered(&fact, Earlier::End(earlier)),
            _ => return None,
        }
        Some(())
    }
}
