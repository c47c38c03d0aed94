//! Queries about the session starts of countries.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use shared::{
    event::Country,
    http::Request,
    session::SessionStart,
    store::Window,
    timestamp::{DAY, HOUR, MINUTE, RETENTION, Timestamp},
};
use utoipa::ToSchema;

use super::{
    openapi::{CountByCountry, StartsByCountry},
    reply::Answer,
    service::QueryService,
};
use crate::{
    cursor::{QueryHash, StartsCursor},
    error::QueryError,
    params::{COUNTRY, Params},
    starts::{self, Page},
    window::Span,
};

/// The parameters of `/v1/session-starts`.
pub(super) const STARTS: [&str; 7] = ["days", "hours", "from", "to", COUNTRY, "limit", "cursor"];
/// The parameters of `/v1/session-starts/counts`.
pub(super) const COUNTS: [&str; 6] = ["days", "hours", "from", "to", COUNTRY, "step"];
/// The parameters of `/user/last-events`.
pub(super) const LAST_EVENTS: [&str; 2] = ["days", "hours"];

/// The number of starts on a page, by default and at most.
pub(super) const LIMIT: (usize, usize) = (1_000, 10_000);

/// The longest window for which starts are counted by minute, in milliseconds.
const MINUTES: i64 = 2 * DAY;

/// One page of the starts in a window.
#[derive(Serialize, ToSchema)]
pub(super) struct StartsReply {
    /// The first instant of the window.
    from: Timestamp,
    /// The first instant after the window.
    to: Timestamp,
    /// The starts of each country, newest first. On the first page, every country of the query is a
    /// key.
    #[schema(value_type = StartsByCountry)]
    countries: BTreeMap<Country, Vec<SessionStart>>,
    /// The `cursor` of the next page; `null` on the last page.
    #[schema(required)]
    next: Option<String>,
}

/// The number of starts in a window.
#[derive(Serialize, ToSchema)]
pub(super) struct CountsReply {
    /// The first instant of the window.
    from: Timestamp,
    /// The first instant after the window.
    to: Timestamp,
    /// The number of starts of each country of the query.
    #[schema(value_type = CountByCountry)]
    countries: BTreeMap<Country, u64>,
}

impl QueryService {
    /// `/v1/session-starts`
    pub(super) async fn starts(&self, request: Request) -> Result<Answer, QueryError> {
        let params = Params::parse(&request.query, &STARTS)?;
        let (span, named) = (Span::read(&params)?, named(&params));
        let limit = params.limit(LIMIT.0, LIMIT.1)?;
        let query = QueryHash::starts(span, named.iter());
        let cursor =
            params.one("cursor").map(|text| StartsCursor::read(query, text)).transpose()?;
        let now = self.clock.now();
        let horizon = now - RETENTION;
        let mut countries = self.countries(named, horizon).await?;
        let (window, last) = match cursor {
            Some(StartsCursor { window, country, last }) => {
                // This country comes first even when it has no more starts, because the position
                // is in it.
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
        let next = next.map(|cursor| cursor.write(query)).transpose()?;
        Answer::json(&StartsReply { from, to, countries, next }, rows)
    }

    /// `/v1/session-starts/counts`
    pub(super) async fn start_counts(&self, request: Request) -> Result<Answer, QueryError> {
        let params = Params::parse(&request.query, &COUNTS)?;
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
        // A year by minute in each country would be a reply too large to read or to hold.
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
            return Answer::json(&CountsReply { from, to, countries }, rows);
        };
        let permit = self.stream_permit()?;
        let head = format!(r#"{{"from":"{from}","to":"{to}","step":"{name}","series":{{"#);
        Answer::streamed(starts::series(head, counts), permit, self.options.deadline).await
    }

    /// `/user/last-events`
    pub(super) async fn last_events(&self, request: Request) -> Result<Answer, QueryError> {
        let span = Span::read_length(&Params::parse(&request.query, &LAST_EVENTS)?)?;
        let permit = self.stream_permit()?;
        let now = self.clock.now();
        let horizon = now - RETENTION;
        let window = span.window(now, self.options.future_tolerance_ms)?.clip(horizon);
        let countries = self.countries(BTreeSet::new(), horizon).await?;
        let pieces =
            starts::pieces(self.store.clone(), countries, window, None, starts::UNCUT_PIECE);
        Answer::streamed(starts::uncut(pieces), permit, self.options.deadline).await
    }

    /// Returns the countries of a reply, each with an upper bound on its newest start: the named
    /// ones, or every known country when none is named.
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
}

/// Returns the countries that the query names, normalised like those of events.
fn named(params: &Params) -> BTreeSet<Country> {
    params.all(COUNTRY).map(Country::normalise).collect()
}
