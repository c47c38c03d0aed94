//! Measures starts and counts of very many countries.

use std::time::Instant;

use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::{clock::Clock, timestamp::HOUR};

use super::{
    compare::{Ask, report_both},
    events::{COUNTRIES, EventFile},
    place::Place,
};
use crate::{report, round, service::Service};

/// The number of sessions that started, each in one of the countries.
const STARTS: u32 = 300_000;
/// The number of counts at a time.
const COUNTS: usize = 16;
const COUNT: &str = "/v1/session-starts/counts?days=1";

/// Measures the queries of starts on 246 countries and on as many countries as starts.
pub(super) async fn measure(place: &Place) -> anyhow::Result<()> {
    let [ordinary, skewed] = ["countries_ordinary", "countries_skewed"];
    let starts = place.scaled(STARTS);
    place.load(ordinary, &write(place, starts, COUNTRIES)?).await?;
    place.load(skewed, &write(place, starts, starts)?).await?;
    let (ordinary, skewed) = (place.query(ordinary).await?, place.query(skewed).await?);
    for service in [&ordinary, &skewed] {
        // Warms the servers up. The error of a query that takes too long is reported below.
        service.get(COUNT).await.ok();
    }
    report(json!({
        "figure": format!("{COUNTS} counts of a day at a time"), "store": place.store(),
        "ordinary": together(&ordinary).await?, "skewed": together(&skewed).await?,
    }))?;
    for path in [
        "/v1/session-starts?days=1&limit=1",
        "/v1/session-starts?days=1&limit=1000",
        COUNT,
        "/v1/session-starts/counts?days=1&top=100",
        "/v1/session-starts/counts?days=1&step=hour&top=100",
    ] {
        let (ordinary, skewed) = (Ask { service: &ordinary, path }, Ask { service: &skewed, path });
        report_both(path, place.store(), ordinary, skewed).await?;
    }
    Ok(())
}

/// Writes a start in each of the `countries` in turn.
fn write(place: &Place, starts: u32, countries: u32) -> anyhow::Result<EventFile> {
    let (mut events, now) = (place.events()?, Clock::machine().now());
    for number in 0..starts {
        let ts = now - HOUR - i64::from(number);
        let (user, session) = (format_args!("u{number}"), format_args!("s{number}"));
        events.start(user, session, ts, number % countries)?;
    }
    events.finish()
}

/// Sends the counts and returns their time and the memory of the process.
async fn together(service: &Service) -> anyhow::Result<Value> {
    let before = service.memory_mb("VmRSS")?;
    let begun = Instant::now();
    let replies = join_all((0..COUNTS).map(|_| service.get(COUNT))).await;
    Ok(json!({
        "seconds": round(begun.elapsed().as_secs_f64()),
        "not_200": replies.iter().filter(|reply| reply.is_err()).count(),
        "memory_before_mb": before, "peak_memory_mb": service.peak_memory_mb()?,
    }))
}
