//! Questions about the starts of countries.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Serialize;
use shared::{
    event::Country,
    session::SessionStart,
    store::Window,
    timestamp::{DAY, HOUR, MINUTE, RETENTION, Timestamp},
};
use utoipa::ToSchema;

use super::{
    Service,
    openapi::{CountByCountry, StartsByCountry},
    reply::Answer,
};
use crate::{
    cursor::{Question, StartsCursor},
    error::QueryError,
    params::{COUNTRY, Params},
    starts::{self, Page},
    window::Span,
};

/// How many starts a reply holds unless it is said, and at most.
const LIMIT: (usize, usize) = (1_000, 10_000);

/// The longest window whose minutes are counted, in milliseconds.
const MINUTES: i64 = 2 * DAY;

/// Starts of countries in a window.
#[derive(Serialize, ToSchema)]
pub(super) struct StartsReply {
    /// The first instant of the window.
    from: Timestamp,
    /// The first instant behind the window.
    to: Timestamp,
    /// Newest first. On the first page each country that is meant is a key.
    #[schema(value_type = StartsByCountry)]
    countries: BTreeMap<Country, Vec<SessionStart>>,
    /// The `cursor` of the next page.
    #[schema(required)]
    next: Option<String>,
}

/// How many starts there were in a window.
#[derive(Serialize, ToSchema)]
pub(super) struct CountsReply {
    /// The first instant of the window.
    from: Timestamp,
    /// The first instant behind the window.
    to: Timestamp,
    /// A key for each country that is meant.
    #[schema(value_type = CountByCountry)]
    countries: BTreeMap<Country, u64>,
}

impl Service {
    /// `/v1/session-starts`
    pub(super) async fn starts(&self, query: &str) -> Result<Answer, QueryError> {
        let known = ["days", "hours", "from", "to", COUNTRY, "limit", "cursor"];
        let params = Params::parse(query, &known)?;
        let (span, named) = (Span::read(&params)?, named(&params));
        let limit = params.limit(LIMIT.0, LIMIT.1)?;
        let question = Question::starts(span, named.iter());
        let cursor =
            params.one("cursor").map(|text| StartsCursor::read(question, text)).transpose()?;
        let now = self.clock.now();
        let horizon = now - RETENTION;
        let mut countries = self.countries(named, horizon).await?;
        let (window, last) = match cursor {
            Some(StartsCursor { window, country, last }) => {
                // It comes first even when no start of it is left, for the position belongs to it.
                countries = countries.split_off(&country);
                countries.entry(country).or_insert(Timestamp::MAX);
                (window, Some(last))
            }
            None => (span.window(now, self.options.future_tolerance_ms)?, None),
        };
        let to_name = if last.is_none() { countries.clone() } else { BTreeMap::new() };
        let windows = (window, window.clip(horizon));
        let Page { mut countries, next } =
            starts::page(self.store.clone(), countries, windows, last, limit).await?;
        let rows = countries.values().map(Vec::len).sum();
        for country in to_name.into_keys() {
            countries.entry(country).or_default();
        }
        let Window { from, to } = window;
        let next = next.map(|cursor| cursor.write(question));
        Ok(Answer::json(&StartsReply { from, to, countries, next }, rows))
    }

    /// `/v1/session-starts/counts`
    pub(super) async fn start_counts(&self, query: &str) -> Result<Answer, QueryError> {
        let params = Params::parse(query, &["days", "hours", "from", "to", COUNTRY, "step"])?;
        let (span, named) = (Span::read(&params)?, named(&params));
        let step = match params.one("step") {
            None => None,
            Some("minute") => Some(("minute", MINUTE)),
            Some("hour") => Some(("hour", HOUR)),
            Some("day") => Some(("day", DAY)),
            Some(_) => return Err(QueryError::InvalidStep),
        };
        let now = self.clock.now();
        let horizon = now - RETENTION;
        let window = span.window(now, self.options.future_tolerance_ms)?;
        // A year of minutes in each country would be a reply that nobody reads, and hard to hold.
        if step.is_some_and(|(_, length)| length == MINUTE) && window.to - window.from > MINUTES {
            return Err(QueryError::InvalidStep);
        }
        let countries = self.countries(named, horizon).await?;
        let length = step.map_or(DAY, |(_, length)| length);
        let counts = starts::counts(self.store.clone(), countries, window.clip(horizon), length);
        let Window { from, to } = window;
        let Some((name, _)) = step else {
            let countries = starts::totals(counts).await?;
            let rows = countries.len();
            return Ok(Answer::json(&CountsReply { from, to, countries }, rows));
        };
        let turn = self.stream_turn()?;
        let head = format!(r#"{{"from":"{from}","to":"{to}","step":"{name}","series":{{"#);
        Answer::streamed(starts::series(head, counts), turn).await
    }

    /// `/user/last-events`
    pub(super) async fn last_events(&self, query: &str) -> Result<Answer, QueryError> {
        let span = Span::read_length(&Params::parse(query, &["days", "hours"])?)?;
        let turn = self.stream_turn()?;
        let now = self.clock.now();
        let horizon = now - RETENTION;
        let window = span.window(now, self.options.future_tolerance_ms)?.clip(horizon);
        let countries = self.countries(BTreeSet::new(), horizon).await?;
        let pieces =
            starts::pieces(self.store.clone(), countries, window, None, starts::UNCUT_PIECE);
        Answer::streamed(starts::uncut(pieces), turn).await
    }

    /// The countries of an answer: those that were named, or else every one that is known; and behind which instant each has
    /// no start.
    async fn countries(
        &self,
        named: BTreeSet<Country>,
        horizon: Timestamp,
    ) -> Result<BTreeMap<Country, Timestamp>, QueryError> {
        if !named.is_empty() {
            return Ok(named.into_iter().map(|country| (country, Timestamp::MAX)).collect());
        }
        Ok(self.store.countries(horizon).await?)
    }

    fn stream_turn(&self) -> Result<tokio::sync::OwnedSemaphorePermit, QueryError> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_none_free| QueryError::Busy)
    }
}

/// The countries that were asked for, spelled as the events spell them.
fn named(params: &Params) -> BTreeSet<Country> {
    params.all(COUNTRY).map(Country::normalise).collect()
}
