//! The numbers of starts of countries.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    pin::pin,
};

use futures_util::{Stream, StreamExt};
use shared::{
    event::Country,
    store::{Store, StoreError, Window},
    timestamp::Timestamp,
};

use super::pieces::AHEAD;

/// The number of starts in each slot of time, by the beginning of the slot.
pub(crate) type Slots = BTreeMap<Timestamp, u64>;

/// A country and its starts.
pub(crate) type Counted = (Country, Slots);

/// A country that sorts by the number of its starts, and the first of equal ones by their names
/// last.
type Ranked = (u64, Reverse<Country>, Slots);

/// Counts the starts of each of `countries` in each slot of `step` milliseconds of `window`, in the
/// order of the countries.
pub(crate) fn counts(
    store: Store,
    countries: impl Stream<Item = Result<(Country, Timestamp), StoreError>> + Send,
    window: Window,
    step: i64,
) -> impl Stream<Item = Result<Counted, StoreError>> + Send {
    countries
        .map(move |country| {
            let store = store.clone();
            async move {
                let (country, newest) = country?;
                let slots = if newest < window.from {
                    Slots::new()
                } else {
                    store.count_starts(&country, window, step).await?
                };
                Ok((country, slots))
            }
        })
        .buffered(AHEAD)
}

/// The `most` countries with the most starts, in the order of their names, and the starts of all
/// others. Of countries with equally many starts, the first in the order of names count as larger.
pub(crate) async fn top(
    counts: impl Stream<Item = Result<Counted, StoreError>> + Send,
    most: usize,
) -> Result<(Vec<Counted>, Slots), StoreError> {
    let mut largest: BinaryHeap<Reverse<Ranked>> = BinaryHeap::new();
    let mut others = Slots::new();
    let mut counts = pin!(counts);
    while let Some((country, slots)) = counts.next().await.transpose()? {
        largest.push(Reverse((slots.values().sum(), Reverse(country), slots)));
        if largest.len() > most
            && let Some(Reverse((_, _, slots))) = largest.pop()
        {
            for (slot, starts) in slots {
                *others.entry(slot).or_default() += starts;
            }
        }
    }
    let largest = largest.into_iter().map(|Reverse((_, Reverse(country), slots))| (country, slots));
    let mut largest: Vec<_> = largest.collect();
    largest.sort();
    Ok((largest, others))
}
