//! The routes of the query service with a store of their own, filled as the consumer would fill it.

use std::{collections::BTreeMap, sync::Arc};

use prometheus::{Registry, TextEncoder};
use query_api::{QueryMetrics, QueryOptions, QueryService, routes};
use serde_json::Value;
use shared::{
    clock::Clock,
    event::{Country, SessionId, UserId},
    http::{Router, Routes},
    session::{Fact, SessionKey, Start},
    store::{Effect, EmbeddedStore, Sighting, Store, embedded::EmbeddedStoreOptions},
    timestamp::Timestamp,
};
use warp::{http::Response, hyper::body::Bytes};

/// The time of every test.
pub(crate) const NOW: &str = "2019-05-13T12:00:00Z";

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) routes: Routes,
    registry: Registry,
    _dir: tempfile::TempDir,
}

/// One fact of one session.
pub(crate) type Event = (SessionKey, Fact);

pub(crate) fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

pub(crate) fn start(user: &str, session: &str, ts: &str, country: &str) -> Event {
    (key(user, session), Fact::Start(Start { ts: at(ts), country: Country::normalise(country) }))
}

pub(crate) fn end(user: &str, session: &str, ts: &str) -> Event {
    (key(user, session), Fact::End(at(ts)))
}

pub(crate) fn key(user: &str, session: &str) -> SessionKey {
    SessionKey { user: UserId::stored(user).unwrap(), session: SessionId::stored(session).unwrap() }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(QueryOptions::default())
    }

    pub(crate) fn at(now: &str) -> Self {
        Self::new_at(now, QueryOptions::default())
    }

    pub(crate) fn with(options: QueryOptions) -> Self {
        Self::new_at(NOW, options)
    }

    fn new_at(now: &str, options: QueryOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStoreOptions {
            cache_bytes: 8 << 20,
            write_buffer_bytes: 16 << 20,
            reserve_bytes: 0,
        };
        let store = Store::Embedded(EmbeddedStore::open(dir.path(), store).unwrap());
        let registry = Registry::new();
        let metrics = Arc::new(QueryMetrics::new(&registry).unwrap());
        let clock = Clock::starting_at(at(now));
        let service = Arc::new(QueryService::new(store.clone(), clock, metrics, options));
        let routes = Router::default().with(&service, routes()).into_filter().unwrap();
        Self { store, routes, registry, _dir: dir }
    }

    pub(crate) async fn of(events: &[Event]) -> Self {
        let world = Self::new();
        world.feed(events).await;
        world
    }

    /// Adds events one by one, and after each one supersedes the rows that are no longer true.
    pub(crate) async fn feed(&self, events: &[Event]) {
        self.feed_at(events, at(NOW)).await;
    }

    /// Adds events at another time.
    pub(crate) async fn feed_at(&self, events: &[Event], now: Timestamp) {
        for (key, fact) in events {
            let sighting = Sighting { key: key.clone(), facts: vec![fact.clone()] };
            let facts = self.store.absorb(vec![sighting], now).await.unwrap().remove(0).facts;
            let Some(canonical) = facts.start() else { continue };
            let mut effects = vec![Effect::RecordStart(key.started(canonical))];
            effects.extend(facts.completed(key).map(Effect::Complete));
            for start in facts.starts() {
                if start != canonical {
                    effects.push(Effect::SupersedeStart(key.started(start)));
                }
                for end in facts.ends().iter().filter(|end| **end >= start.ts) {
                    let pair = key.completed(start, *end);
                    if Some(&pair) != facts.completed(key).as_ref() {
                        effects.push(Effect::SupersedeCompleted(pair));
                    }
                }
            }
            self.store.apply(effects, now).await.unwrap();
        }
    }

    /// Adds one end of each of many sessions of the user `u`. The ends are a second apart.
    pub(crate) async fn feed_ends(&self, sessions: std::ops::Range<i64>) {
        let first = at("2019-05-12T00:00:00Z");
        let seen = |n: i64| Sighting {
            key: key("u", &format!("s{n:05}")),
            facts: vec![Fact::End(first + 1_000 * n)],
        };
        let seen: Vec<_> = sessions.map(seen).collect();
        for some in seen.chunks(1_000) {
            self.store.absorb(some.to_vec(), at(NOW)).await.unwrap();
        }
    }

    /// Adds many starts at once.
    pub(crate) async fn feed_starts(&self, events: impl Iterator<Item = Event>) {
        let effect = |(key, fact): Event| match fact {
            Fact::Start(start) => Effect::RecordStart(key.started(&start)),
            Fact::End(_) => unreachable!("only starts"),
        };
        let effects: Vec<_> = events.map(effect).collect();
        for effects in effects.chunks(20_000) {
            self.store.apply(effects.to_vec(), at(NOW)).await.unwrap();
        }
    }

    pub(crate) async fn reply(&self, path: &str) -> Response<Bytes> {
        warp::test::request().path(path).reply(&self.routes).await
    }

    /// The text of a reply with status 200.
    pub(crate) async fn text(&self, path: &str) -> String {
        let reply = self.reply(path).await;
        let text = String::from_utf8(reply.body().to_vec()).unwrap();
        assert_eq!(reply.status(), 200, "{path}: {text}");
        assert_eq!(reply.headers()["content-type"], "application/json");
        text
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.text(path).await).unwrap()
    }

    /// The text of the reply to `GET /` with a body.
    pub(crate) async fn root(&self, body: &str) -> (u16, String) {
        let reply = warp::test::request().path("/").body(body).reply(&self.routes).await;
        (reply.status().as_u16(), String::from_utf8(reply.body().to_vec()).unwrap())
    }

    /// The status, code and message of an error.
    pub(crate) async fn error(&self, path: &str) -> (u16, String, String) {
        let reply = self.reply(path).await;
        assert_eq!(reply.headers()["content-type"], "application/json", "{path}");
        error(reply.status().as_u16(), reply.body())
    }

    /// Returns every page of a query, with `limits` in rotation; `between` runs after each page.
    pub(crate) async fn pages(
        &self,
        path: &str,
        limits: &[usize],
        mut between: impl AsyncFnMut(usize),
    ) -> Vec<Value> {
        let mut pages = Vec::new();
        let mut cursor = String::new();
        loop {
            let limit = limits[pages.len() % limits.len()];
            let page = self.json(&format!("{path}&limit={limit}{cursor}")).await;
            let next = page["next"].as_str().map(|next| format!("&cursor={next}"));
            pages.push(page);
            assert!(pages.len() < 1_000, "{path} never ends");
            let Some(next) = next else { return pages };
            cursor = next;
            between(pages.len()).await;
        }
    }

    pub(crate) fn metrics(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap()
    }
}

pub(crate) fn error(status: u16, body: &[u8]) -> (u16, String, String) {
    let body: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    let text = |name: &str| body["error"][name].as_str().unwrap().to_owned();
    (status, text("code"), text("message"))
}

/// The ids of the starts of each country, over all pages.
pub(crate) fn started(pages: &[Value]) -> BTreeMap<String, Vec<String>> {
    let mut countries: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (country, starts) in pages.iter().flat_map(|page| page["countries"].as_object().unwrap()) {
        let starts = starts.as_array().unwrap().iter();
        let ids = starts.map(|start| start["session_id"].as_str().unwrap().to_owned());
        countries.entry(country.clone()).or_default().extend(ids);
    }
    countries
}
