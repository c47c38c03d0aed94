//! Reads the starts of many countries in bounded pieces, a few countries ahead, in the order of the
//! countries.

use std::{collections::BTreeSet, iter, pin::pin};

use async_stream::try_stream;
use futures_util::{Stream, StreamExt, stream};
use shared::{
    event::Country,
    session::SessionStart,
    store::{StartPosition, Store, StoreError, Window},
    timestamp::Timestamp,
};

/// The number of countries whose names are read at a time.
const COUNTRIES: usize = 256;
/// The number of countries whose starts are read at a time.
const AHEAD: usize = 4;
/// The largest number of starts in a piece.
pub(super) const PIECE: usize = 512;

/// Some starts of one country. Every country has at least one piece, which may be empty.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) country: Country,
    pub(crate) starts: Vec<SessionStart>,
}

/// The countries of a query after the country `after`, in order, each with an upper bound on its
/// newest start: the named ones, or every known country when none is named.
pub(crate) fn countries(
    store: Store,
    named: BTreeSet<Country>,
    horizon: Timestamp,
    mut after: Option<Country>,
) -> impl Stream<Item = Result<(Country, Timestamp), StoreError>> + Send {
    try_stream! {
        let mut more = named.is_empty();
        for country in named {
            if after.as_ref().is_none_or(|after| country > *after) {
                yield (country, Timestamp::MAX);
            }
        }
        while more {
            let some = store.countries(horizon, after.take(), COUNTRIES).await?;
            more = some.len() == COUNTRIES;
            after = some.last().map(|(country, _)| country.clone());
            for country in some {
                yield country;
            }
        }
    }
}

/// Reads the starts of `countries` in `window`, in pieces of at most [`PIECE`], for a caller who
/// takes about `most`. The first country may begin after the start `first`.
pub(crate) fn pieces(
    store: Store,
    countries: impl Stream<Item = Result<(Country, Timestamp), StoreError>> + Send,
    window: Window,
    first: Option<StartPosition>,
    most: usize,
) -> impl Stream<Item = Result<Piece, StoreError>> + Send {
    try_stream! {
        let size = PIECE.min(most);
        let afters = stream::iter(iter::once(first).chain(iter::repeat(None)));
        let ahead = countries.zip(afters).map(|(country, after)| {
            let store = store.clone();
            async move {
                let (country, newest) = country?;
                let starts = if newest < window.from {
                    Vec::new()
                } else {
                    store.starts(&country, window, after, size).await?
                };
                Ok::<_, StoreError>(Piece { country, starts })
            }
        });
        let mut ahead = pin!(ahead.buffered(AHEAD));
        while let Some(piece) = ahead.next().await {
            let piece = piece?;
            let country = piece.country.clone();
            let rest = piece.starts.last().filter(|_| piece.starts.len() == size);
            let rest = rest.map(StartPosition::from);
            yield piece;
            // Only the country whose turn it is has a read that is kept open.
            if rest.is_some() {
                let rest = store.all_starts(country.clone(), window, rest, size, most);
                let mut rest = pin!(rest);
                while let Some(starts) = rest.next().await.transpose()? {
                    yield Piece { country: country.clone(), starts };
                }
            }
        }
    }
}
