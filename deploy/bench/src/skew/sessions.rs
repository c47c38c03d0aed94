//! Measures the queries of a user with very many sessions.

use serde_json::json;

use super::{
    compare::{Ask, report_both},
    place::Place,
};
use crate::report;

/// The user with very many sessions, and their number.
pub(super) const HEAVY: (&str, u32) = ("heavy", 1_000_000);
/// An ordinary user, and the number of its sessions.
const LIGHT: (&str, u32) = ("light", 1_000);

/// The path of a query about a user with so many sessions.
type PathOf = fn(&str, u32) -> String;

const QUERIES: [(&str, PathOf); 4] = [
    ("the last 20 sessions of a user", |user, _| format!("/v1/users/{user}/sessions")),
    ("a page of the open sessions of a user", |user, _| {
        format!("/v1/users/{user}/sessions?status=open")
    }),
    ("a page of the orphans of a user", |user, _| {
        format!("/v1/users/{user}/sessions?status=orphan")
    }),
    // A complete session in the middle of the history.
    ("one session of a user, explained", |user, sessions| {
        format!("/v1/users/{user}/sessions/{:07}", sessions / 2 + 1)
    }),
];

/// Measures each query of a user on both users, whose sessions are in one store.
pub(super) async fn measure(place: &Place) -> anyhow::Result<()> {
    let mut events = place.events()?;
    let sessions = [LIGHT, HEAVY].map(|(user, sessions)| (user, place.scaled(sessions)));
    for (user, sessions) in sessions {
        events.history(user, sessions)?;
    }
    let loaded = place.load("sessions", &events.finish()?).await?;
    let mut figure = loaded.figure();
    figure["figure"] = json!("loading the sessions of a heavy user");
    figure["store"] = json!(place.store());
    report(figure)?;
    let service = place.query("sessions").await?;
    for (figure, path) in QUERIES {
        let [light, heavy] = sessions.map(|(user, sessions)| path(user, sessions));
        let ordinary = Ask { service: &service, path: &light };
        let skewed = Ask { service: &service, path: &heavy };
        report_both(figure, place.store(), ordinary, skewed).await?;
    }
    report(json!({
        "figure": "queries of a heavy user", "store": place.store(),
        "peak_memory_mb": service.peak_memory_mb()?,
    }))
}
