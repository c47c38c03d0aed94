//! One page of starts, bounded in its starts and in its countries.

use std::{collections::BTreeMap, pin::pin};

use futures_util::{Stream, StreamExt};
use shared::{
    event::Country,
    session::SessionStart,
    store::{StartPosition, Store, StoreError, Window},
    timestamp::Timestamp,
};

use super::pieces::{Piece, pieces};

/// The largest number of countries on a page.
const COUNTRIES: usize = 1_000;

/// One page of starts.
#[derive(Debug)]
pub(crate) struct Page {
    /// The countries of which the page says something. It names none after the end of the page.
    pub(crate) countries: BTreeMap<Country, Vec<SessionStart>>,
    /// The last country of the page if there are more, and its last start if that has more.
    pub(crate) next: Option<(Country, Option<StartPosition>)>,
}

/// Reads at most `limit` starts of `countries` in `window`. With `first`, the page continues in its
/// first country after that start.
pub(crate) async fn page(
    store: Store,
    countries: impl Stream<Item = Result<(Country, Timestamp), StoreError>> + Send,
    window: Window,
    first: Option<StartPosition>,
    limit: usize,
) -> Result<Page, StoreError> {
    // A page before has named the first country. It is named again only with more starts.
    let mut is_named = first.is_some();
    // One start more than the limit shows that there is a next page.
    let mut pieces = pin!(pieces(store, countries, window, first, limit + 1));
    let mut page = Page { countries: BTreeMap::new(), next: None };
    let mut room = limit;
    while let Some(Piece { country, mut starts }) = pieces.next().await.transpose()? {
        let is_new = !page.countries.contains_key(&country);
        let is_full = page.countries.len() == COUNTRIES || room == 0 && !starts.is_empty();
        if is_new && is_full {
            page.next = page.countries.last_key_value().map(|(last, _)| (last.clone(), None));
            break;
        }
        let cut = starts.len() > room;
        starts.truncate(room);
        room -= starts.len();
        if !(is_named && starts.is_empty()) {
            page.countries.entry(country.clone()).or_default().append(&mut starts);
        }
        is_named = false;
        if cut {
            let last = page.countries.get(&country).and_then(|starts| starts.last());
            page.next = last.map(|last| (country, Some(last.into())));
            break;
        }
    }
    Ok(page)
}
