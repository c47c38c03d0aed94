//! The numbers of starts of countries.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use shared::{
    event::Country,
    store::{Store, StoreError, Window},
    timestamp::Timestamp,
};

/// The number of countries that are counted in one read, and of such reads at a time.
const COUNTRIES: usize = 32;
const AHEAD: usize = 2;

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
    let some = countries.chunks(COUNTRIES).map(move |some| {
        let store = store.clone();
        async move {
            let some = some.into_iter().collect::<Result<Vec<_>, _>>()?;
            let young = some.iter().filter(|(_, newest)| *newest >= window.from);
            let young: Vec<_> = young.map(|(country, _)| country.clone()).collect();
            let mut counts = store.count_starts(young, window, step).await?.into_iter();
            let counted = some.into_iter().map(move |(country, newest)| {
                let slots = (newest >= window.from).then(|| counts.next()).flatten();
                Ok((country, slots.unwrap_or_default()))
            });
            Ok::<_, StoreError>(stream::iter(counted))
        }
    });
    some.buffered(AHEAD).try_flatten()
}

/// The countries with the most starts, and the sum of the others.
pub(super) struct Top {
    most: usize,
    largest: BinaryHeap<Reverse<Ranked>>,
    others: Slots,
}

impl Top {
    /// The `most` largest of no countries. Of countries with equally many starts, the first in the
    /// order of names count as larger.
    pub(super) fn of(most: usize) -> Self {
        Self { most, largest: BinaryHeap::new(), others: Slots::new() }
    }

    pub(super) fn add(&mut self, country: Country, slots: Slots) {
        self.largest.push(Reverse((slots.values().sum(), Reverse(country), slots)));
        if self.largest.len() > self.most
            && let Some(Reverse((_, _, slots))) = self.largest.pop()
        {
            for (slot, starts) in slots {
                *self.others.entry(slot).or_default() += starts;
            }
        }
    }

    /// The largest countries in the order of their names, and the starts of all others.
    pub(super) fn finish(self) -> (Vec<Counted>, Slots) {
        let largest = self.largest.into_iter();
        let largest = largest.map(|Reverse((_, Reverse(country), slots))| (country, slots));
        let mut largest: Vec<_> = largest.collect();
        largest.sort();
        (largest, self.others)
    }
}
