//! The search for open sessions and orphans, which reads the sessions of the user in the order of
//! their ids. There is no index of them, because nearly every session would enter it only to leave
//! it again.
//!
//! The work of one page is bounded. If the whole history is within the bound, the page is newest
//! first. Otherwise the pages are in the order of the ids, and a page may be short or even empty.

use std::collections::BinaryHeap;

use shared::{
    event::{SessionId, UserId},
    session::Status,
    store::{SessionPosition, Store, StoreError},
    timestamp::Timestamp,
};

use super::listing::{After, ListedSession, Listing};

/// The largest number of sessions that are read at a time.
const STEP: usize = 500;

/// Lists at most `limit` open sessions or orphans of `user`, as `status` says, after `after`.
/// Sessions from before `horizon` are omitted.
pub(crate) async fn search(
    store: &Store,
    user: &UserId,
    status: Status,
    horizon: Timestamp,
    after: Option<After>,
    limit: usize,
) -> Result<Listing, StoreError> {
    let most = store.sessions_per_query();
    let (mut seen, listed, in_order_of_ids) = match after {
        None => (None, None, false),
        Some(After::Newest(listed)) => (None, Some(listed), false),
        Some(After::Id(seen, listed)) => (Some(seen), listed, true),
    };
    let mut found = Found { limit, newest: BinaryHeap::new(), by_id: Vec::new() };
    let mut looked_at = 0;
    let ended = loop {
        // Beyond the bound, one session shows that there are more.
        let step = STEP.min(most - looked_at).max(1);
        let sessions = store.sessions(user, seen.clone(), step).await?;
        if looked_at == most {
            break sessions.is_empty();
        }
        let ended = sessions.len() < step;
        looked_at += sessions.len();
        seen = sessions.last().map(|(key, _)| key.session.clone()).or(seen);
        for (key, facts) in sessions {
            let session = ListedSession::of(key, &facts, horizon)
                .filter(|session| session.status() == status)
                .filter(|session| listed.as_ref().is_none_or(|listed| session.is_after(listed)));
            if let Some(session) = session {
                found.add(session, in_order_of_ids);
            }
        }
        if ended || in_order_of_ids && found.by_id.len() > limit {
            break ended;
        }
    };
    match ended && !in_order_of_ids {
        true => Ok(Listing::newest_first(found.newest_first(), limit)),
        false => Ok(found.in_order_of_ids(seen.filter(|_| !ended), listed)),
    }
}

/// The sessions found that may be on the page, and one more.
struct Found {
    limit: usize,
    /// The newest ones.
    newest: BinaryHeap<Ranked>,
    /// The first ones in the order of ids.
    by_id: Vec<ListedSession>,
}

impl Found {
    fn add(&mut self, session: ListedSession, in_order_of_ids: bool) {
        if self.by_id.len() <= self.limit {
            self.by_id.push(session.clone());
        }
        if in_order_of_ids {
            return;
        }
        self.newest.push(Ranked(session));
        if self.newest.len() > self.limit + 1 {
            self.newest.pop();
        }
    }

    fn newest_first(self) -> Vec<ListedSession> {
        self.newest.into_sorted_vec().into_iter().map(|Ranked(session)| session).collect()
    }

    /// The page in the order of ids. The next one begins after this page, or after `seen`, up to
    /// which there was nothing else.
    fn in_order_of_ids(self, seen: Option<SessionId>, listed: Option<SessionPosition>) -> Listing {
        let Self { limit, by_id: mut sessions, .. } = self;
        let cut = sessions.len() > limit;
        sessions.truncate(limit);
        let last = sessions.last().filter(|_| cut).map(|session| session.order().1.clone());
        let next = last.or(seen).map(|session| After::Id(session, listed));
        Listing { sessions, by_id: true, next }
    }
}

/// A session that sorts by the order of the list.
#[derive(PartialEq, Eq)]
struct Ranked(ListedSession);

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let ((ts, session), (other_ts, other_session)) = (self.0.order(), other.0.order());
        other_ts.cmp(&ts).then_with(|| session.cmp(other_session))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
