//! Measures the queries of a country whose starts of one hour are in many partitions of Cassandra.

use std::time::Instant;

use anyhow::Context;
use serde_json::{Value, json};
use shared::{
    clock::Clock,
    timestamp::{HOUR, Timestamp},
};

use super::{
    events::{COUNTRIES, EventFile},
    place::{Cpu, Place},
};
use crate::{machine::Machine, report, round, service::Service};

/// The number of starts in the hour.
const STARTS: u32 = 600_000;
/// The number of requests whose CPU time is measured, after one that warms the servers up.
const REQUESTS: u32 = 3;
/// The queries, each with its goal: the CPU time for one country to that for 246 countries.
const QUERIES: [(&str, f64); 2] =
    [("/user/last-events?days=1", 1.5), ("/v1/session-starts/counts?days=1", 2.0)];

/// The cost of the requests to one process.
#[derive(Default)]
struct Cost {
    seconds: f64,
    cpu: Vec<Cpu>,
    /// The size of the last reply.
    bytes: usize,
}

/// Measures each query on as many starts of one country and of 246 countries. The requests
/// alternate, so that a change in the machine's speed affects both.
pub(super) async fn measure(place: &Place) -> anyhow::Result<()> {
    let [ordinary, skewed] = ["hour_ordinary", "hour_skewed"];
    place.load(ordinary, &write(place, COUNTRIES)?).await?;
    place.load(skewed, &write(place, 1)?).await?;
    let (ordinary, skewed) = (place.query(ordinary).await?, place.query(skewed).await?);
    for (path, goal) in QUERIES {
        let machine = Machine::read()?;
        let mut figure = json!({
            "figure": path, "store": place.store(), "starts": place.scaled(STARTS),
            "requests": REQUESTS,
        });
        // A query that is refused or takes longer than its deadline is a figure, too.
        match both(place, &ordinary, &skewed, path).await {
            Ok([ordinary, skewed]) => {
                let ratio = skewed.cpu_seconds() / ordinary.cpu_seconds();
                figure["one_country_to_ordinary_cpu"] = json!(round(ratio));
                figure["goal"] = json!({ "cpu": goal, "is_met": ratio <= goal });
                figure["ordinary"] = ordinary.figure();
                figure["one_country"] = skewed.figure();
            }
            Err(error) => figure["error"] = json!(format!("{error:#}")),
        }
        let machine = machine.since()?;
        figure["busy_percent"] = json!(machine.busy);
        figure["steal_percent"] = json!(machine.stolen);
        report(figure)?;
    }
    Ok(())
}

/// Writes the starts of one whole hour, which is on one day, in each of the `countries` in turn.
fn write(place: &Place, countries: u32) -> anyhow::Result<EventFile> {
    let (mut events, starts) = (place.events()?, place.scaled(STARTS));
    let now = Clock::machine().now().millis();
    let hour = Timestamp::from_millis(now - now % HOUR - HOUR).context("the clock is wrong")?;
    for number in 0..starts {
        let ts = hour + HOUR * i64::from(number) / i64::from(starts);
        let (user, session) = (format_args!("u{number}"), format_args!("s{number}"));
        events.start(user, session, ts, number % countries)?;
    }
    events.finish()
}

async fn both(
    place: &Place,
    ordinary: &Service,
    skewed: &Service,
    path: &str,
) -> anyhow::Result<[Cost; 2]> {
    let mut costs = [Cost::default(), Cost::default()];
    for request in 0..=REQUESTS {
        for (cost, (data, service)) in
            costs.iter_mut().zip([("246 countries", ordinary), ("one country", skewed)])
        {
            let (before, begun) = (place.cpu(service)?, Instant::now());
            cost.bytes = service.get(path).await.context(data)?.len();
            if request > 0 {
                cost.seconds += begun.elapsed().as_secs_f64();
                cost.cpu.push(place.cpu(service)?.since(before));
            }
        }
    }
    Ok(costs)
}

impl Cost {
    fn cpu_seconds(&self) -> f64 {
        self.cpu.iter().map(|cpu| cpu.all()).sum()
    }

    /// The cost of each request.
    fn figure(&self) -> Value {
        json!({
            "seconds": round(self.seconds / f64::from(REQUESTS)), "bytes": self.bytes,
            "cpu_seconds": self.cpu.iter().map(|cpu| cpu.figure(1.0)).collect::<Vec<_>>(),
        })
    }
}
