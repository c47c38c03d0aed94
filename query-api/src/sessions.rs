//! The sessions of one user. The store lists the complete ones; open sessions and orphans are
//! searched for.

use shared::{
    event::UserId,
    store::{SessionPosition, Store, StoreError},
    timestamp::Timestamp,
};

mod listing;
mod long;
mod search;

pub(crate) use self::{
    listing::{After, ListedSession, Listing},
    long::LongHistories,
    search::search,
};

/// Lists at most `limit` complete sessions of `user` after the position `after`. The order is that
/// of [`SessionPosition`]: newest first, equal times by session. Sessions from before `horizon` are
/// omitted.
pub(crate) async fn complete(
    store: &Store,
    user: &UserId,
    horizon: Timestamp,
    after: Option<SessionPosition>,
    limit: usize,
) -> Result<Listing, StoreError> {
    // One session more than the limit shows that there is a next page.
    let sessions = store.completed(user, horizon, after, limit + 1).await?;
    Ok(Listing::newest_first(sessions.into_iter().map(ListedSession::Complete).collect(), limit))
}
