//! Queries about the session starts of countries.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use shared::{
    event::Country,
    http::{COUNTRY, Params, Request},
    session::SessionStart,
    store::{StoreError, Window},
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
    params::{limit, number},
    starts::{self, Page, WriteNumbers},
    window::Span,
};

/// The parameters of `/v1/session-starts`.
pub(super) const STARTS: [&str; 7] = ["days", "hours", "from", "to", COUNTRY, "limit", "cursor"];
/// The parameters of `/v1/session-starts/counts`.
pub(super) const COUNTS: [&str; 8] =
    ["days", "hours", "from", "to", COUNTRY, "step", "top", "cursor"];
/// The parameters of `/user/last-events`.
pub(super) const LAST_EVENTS: [&str; 2] = ["days", "hours"];

/// The number of starts on a page, by default and at most.
pub(super) const LIMIT: (usize, usize) = (1_000, 10_000);

/// The longest window for which starts are counted by minute, in milliseconds.
const MINUTES: i64 = 2 * DAY;
/// The largest number of countries in one reply with counts.
const COUNTED: usize = 10_000;
/// The largest number of countries with the most starts.
pub(super) const TOP: usize = 100;

/// One page of the starts in a window.
#[derive(Serialize, ToSchema)]
#[schema(as = StartsPage)]
pub(super) struct StartsReply {
    /// The first instant of the window.
    from: Timestamp,
    /// The first instant after the window.
    to: Timestamp,
    /// The starts of each country, newest first. Each country of the query is a key on one page, or
    /// on several if it has many starts. A page has at most 1,000 countries, and none after its
    /// last start if there is a next page.
    #[schema(value_type = StartsByCountry)]
    countries: BTreeMap<Country, Vec<SessionStart>>,
    /// The `cursor` of the next page; `null` on the last page.
    #[schema(required)]
    next: Option<String>,
}

/// The number of starts in a window, as the schema of a streamed reply.
#[derive(ToSchema)]
#[schema(as = StartCounts)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct CountsReply {
    /// The first instant of the window.
    from: Timestamp,
    /// The first instant after the window.
    to: Timestamp,
    /// The number of starts of each country of the query, of at most 10,000 countries. With `top`,
    /// of those with the most starts.
    #[schema(value_type = CountByCountry)]
    countries: BTreeMap<Country, u64>,
    /// With `top`: the number of starts of all other countries.
    #[schema(nullable = false)]
    others: Option<u64>,
    /// The `cursor` for the further countries; `null` if there are none.
    #[schema(required)]
    next: Option<String>,
}

impl QueryService {
    /// `/v1/session-starts`
    pub(super) async fn starts(&self, request: Request) -> Result<Answer, QueryError> {
        let params = Params::parse(&request.query, &STARTS)?;
        let (span, named) = (Span::read(&params)?, named(&params));
        let limit = limit(&params, LIMIT.0, LIMIT.1)?;
        let query = QueryHash::starts(span, named.iter());
        let cursor =
            params.one("cursor").map(|text| StartsCursor::read(query, text)).transpose()?;
        let now = self.clock.now();
        let horizon = now - RETENTION;
        let window = self.window(span, now, cursor.as_ref())?;
        let countries = self.countries(named, horizon, cursor.as_ref());
        let (store, first) = (self.store.clone(), cursor.and_then(|cursor| cursor.last));
        let Page { countries, next } =
            starts::page(store, countries, window.clip(horizon), first, limit).await?;
        let rows = countries.values().map(Vec::len).sum();
        let Window { from, to } = window;
        let next = next.map(|(country, last)| StartsCursor { window, country, last }.write(query));
        let next = next.transpose().map_err(QueryError::Unwritable)?;
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
        let top = number(&params, "top", TOP)?;
        let length = step.map_or(0, |(_, length)| length);
        let query = QueryHash::counts(span, length, named.iter());
        let cursor =
            params.one("cursor").map(|text| StartsCursor::read(query, text)).transpose()?;
        // The countries with the most starts are all on one page.
        if cursor.as_ref().is_some_and(|cursor| cursor.last.is_some() || top.is_some()) {
            return Err(QueryError::InvalidCursor);
        }
        let now = self.clock.now();
        let horizon = now - RETENTION;
        let window = self.window(span, now, cursor.as_ref())?;
        // A year by minute in each country would be a reply too large to read or to hold.
        if step.is_some_and(|(_, length)| length == MINUTE) && span.length(window) > MINUTES {
            return Err(QueryError::InvalidStep);
        }
        let permit = self.stream_permit()?;
        let countries = self.countries(named, horizon, cursor.as_ref());
        let (store, clipped) = (self.store.clone(), window.clip(horizon));
        let counts = starts::counts(store, countries, clipped, step.map_or(DAY, |(_, step)| step));
        let Window { from, to } = window;
        let (name, write): (_, WriteNumbers) = match step {
            None => (r#""countries""#.to_owned(), starts::write_total),
            Some((name, _)) => (format!(r#""step":"{name}","series""#), starts::write_slots),
        };
        let head = format!(r#"{{"from":"{from}","to":"{to}",{name}:{{"#);
        let stall = self.options.deadline;
        if let Some(top) = top {
            return Answer::streamed(starts::top(head, counts, write, top), permit, stall).await;
        }
        let next = move |country| StartsCursor { window, country, last: None }.write(query);
        let chunks = starts::counted(head, counts, write, COUNTED, next);
        Answer::streamed(chunks, permit, stall).await
    }

    /// `/user/last-events`
    pub(super) async fn last_events(&self, request: Request) -> Result<Answer, QueryError> {
        let span = Span::read_length(&Params::parse_known(&request.query, &LAST_EVENTS)?)?;
        let permit = self.stream_permit()?;
        let now = self.clock.now();
        let horizon = now - RETENTION;
        let window = span.window(now, self.options.future_tolerance_ms)?.clip(horizon);
        let countries = self.countries(BTreeSet::new(), horizon, None);
        let pieces = starts::pieces(self.store.clone(), countries, window, None, usize::MAX);
        Answer::streamed(starts::uncut(pieces), permit, self.options.deadline).await
    }

    /// The window of a query at `now`; that of the first page if the query continues.
    fn window(
        &self,
        span: Span,
        now: Timestamp,
        cursor: Option<&StartsCursor>,
    ) -> Result<Window, QueryError> {
        match cursor {
            Some(cursor) => Ok(cursor.window),
            None => span.window(now, self.options.future_tolerance_ms),
        }
    }

    /// The countries of a reply: after the cursor if there is one, and that of the cursor if it may
    /// have more starts.
    fn countries(
        &self,
        named: BTreeSet<Country>,
        horizon: Timestamp,
        cursor: Option<&StartsCursor>,
    ) -> impl Stream<Item = Result<(Country, Timestamp), StoreError>> + Send + use<> {
        let again = cursor.filter(|cursor| cursor.last.is_some());
        let again = again.map(|cursor| Ok((cursor.country.clone(), Timestamp::MAX)));
        let after = cursor.map(|cursor| cursor.country.clone());
        let rest = starts::countries(self.store.clone(), named, horizon, after);
        stream::iter(again).chain(rest)
    }
}

/// Returns the countries that the query names, normalised like those of events.
fn named(params: &Params) -> BTreeSet<Country> {
    params.all(COUNTRY).map(Country::normalise).collect()
}
