//! Measures cheap queries beside loops of dear ones.
//!
//! The cheap queries come at a fixed pace, as in [`crate::latency`], first alone and then beside 16
//! loops of each dear query. A loop reads its reply to the end and asks again.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::Context;
use bytes::Bytes;
use serde_json::{Value, json};
use shared::clock::Clock;
use standalone::generate::{Dataset, GenerateArgs};

use self::loops::{Faults, LOOPS, Loops};
use super::{events::EventFile, place::Place, sessions::HEAVY};
use crate::{
    answers::choose,
    latency::{Measured, Pace, at_pace},
    load, report, round,
    service::Service,
};

mod loops;

/// The number of ordinary sessions, which are spread over 246 countries and 30 days.
const SESSIONS: u32 = 300_000;
/// The cheap queries.
const PACE: Pace = Pace { requests: 1_000, interval: Duration::from_millis(25) };
/// Cheap queries that warm the servers up.
const WARMING: Pace = Pace { requests: 200, ..PACE };
/// The time that the loops run before the cheap queries begin.
const LEAD: Duration = Duration::from_secs(2);
/// The dear queries, and the name of each in figures.
const DEAR: [&str; 4] = [
    "/v1/session-starts/counts?days=30",
    "/v1/session-starts?days=30&limit=10000",
    "/v1/users/heavy/sessions?status=open",
    "/user/last-events?days=30",
];

/// The cheap queries of a data set.
struct Campaign<'a> {
    place: &'a Place,
    service: Service,
    /// Paths of two queries for each of many sessions: of its user, and of the session.
    paths: Vec<String>,
}

/// The latencies of the cheap queries of one run.
struct Run {
    measured: Measured,
    /// The replies whose status was not 200.
    faults: Arc<Faults>,
}

pub(super) async fn measure(place: &Place) -> anyhow::Result<()> {
    let mut events = place.events()?;
    let args = GenerateArgs { sessions: place.scaled(SESSIONS), ..GenerateArgs::default() };
    events.generated(Dataset::new(&args, Clock::machine().now()))?;
    let (user, sessions) = HEAVY;
    events.history(user, place.scaled(sessions))?;
    let events = events.finish()?;
    place.load("fairness", &events).await?;
    let campaign =
        Campaign { place, service: place.query("fairness").await?, paths: paths(&events)? };
    campaign.cheap(WARMING).await?;
    let idle = campaign.cheap(PACE).await?;
    let mut figure = idle.figure("cheap queries alone, 40 requests/s");
    figure["store"] = json!(place.store());
    report(figure)?;
    for path in DEAR {
        report(campaign.beside(path, &idle).await?)?;
    }
    Ok(())
}

/// Returns the paths of the cheap queries: two for each session of an ordinary user.
fn paths(events: &EventFile) -> anyhow::Result<Vec<String>> {
    let mut sessions = BTreeSet::new();
    for line in load::events(&events.file)? {
        let (event, _) = line?;
        let (user, session) = (event.user().as_str(), event.session().as_str());
        if user != HEAVY.0 {
            sessions.insert((user.to_owned(), session.to_owned()));
        }
    }
    sessions.first().context("the data set has no sessions")?;
    let both = |(user, session): (String, String)| {
        let sessions = format!("/v1/users/{user}/sessions");
        [format!("{sessions}/{session}"), sessions]
    };
    Ok(sessions.into_iter().flat_map(both).collect())
}

impl Campaign<'_> {
    /// Sends the cheap queries.
    async fn cheap(&self, pace: Pace) -> anyhow::Result<Run> {
        let faults = Arc::new(Faults::default());
        let ask = |path: &str| {
            let (reply, faults) = (self.service.get(path), faults.clone());
            // The latency of a failed query counts like any other.
            async move {
                Ok(reply.await.unwrap_or_else(|error| {
                    faults.note(&error);
                    Bytes::new()
                }))
            }
        };
        let cheap = |number| ask(choose(&self.paths, number));
        let measured = at_pace(pace, cheap, || ask("/livez")).await?;
        Ok(Run { measured, faults })
    }

    /// Sends the cheap queries while loops ask for `path`.
    async fn beside(&self, path: &str, idle: &Run) -> anyhow::Result<Value> {
        let alone = Loops::once(&self.service, path).await;
        let before = self.place.cpu(&self.service)?;
        let loops = Loops::start(&self.service, path)?;
        tokio::time::sleep(LEAD).await;
        let run = self.cheap(PACE).await?;
        let dear = loops.stop().await;
        let cpu = self.place.cpu(&self.service)?.since(before);
        // The replies that were given up must not delay the next run.
        let settled = self.place.settle(&self.service).await;
        let mut figure = run.figure(&format!("cheap queries beside {LOOPS} loops of {path}"));
        figure["store"] = json!(self.place.store());
        figure["dear"] = dear;
        figure["dear"]["alone"] = alone;
        figure["cpu_seconds"] = cpu.figure(1.0);
        figure["peak_memory_mb"] = json!(self.service.peak_memory_mb()?);
        figure["idle_after_s"] = json!(settled.ok().map(|time| round(time.as_secs_f64())));
        figure["goal"] = run.goal(idle);
        Ok(figure)
    }
}

impl Run {
    fn figure(&self, name: &str) -> Value {
        let mut figure = self.measured.figure(name);
        figure["not_200"] = self.faults.figure();
        figure
    }

    /// Compares with the latencies of the queries alone.
    fn goal(&self, idle: &Self) -> Value {
        let at = |run: &Self, share| run.measured.latencies.at(share);
        let p50 = (3.0 * at(idle, 0.50)).max(20.0);
        let p95 = (10.0 * at(idle, 0.95)).max(100.0);
        let is_fast = at(self, 0.50) <= p50 && at(self, 0.95) <= p95;
        json!({
            "p50_ms": round(p50), "p95_ms": round(p95),
            "is_met": is_fast && self.faults.number() == 0,
        })
    }
}
