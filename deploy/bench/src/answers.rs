//! Measures the latency of queries.

use std::{collections::BTreeSet, path::Path, time::Instant};

use anyhow::Context;
use serde_json::json;

use crate::{latency::Latencies, load, report, service::Service};

/// The number of requests for each long reply.
const REQUESTS: usize = 20;

/// Measures the queries of starts: a day, the first page of a month, and counts.
pub(crate) async fn measure(service: &Service) -> anyhow::Result<()> {
    for (name, path) in [
        ("starts of the last day, all countries", "/user/last-events?days=1"),
        ("starts of 30 days, all countries, first page", "/v1/session-starts?days=30"),
        ("counts of 30 days, all countries", "/v1/session-starts/counts?days=30"),
    ] {
        let mut latencies = Vec::new();
        let mut bytes = 0;
        for _ in 0..REQUESTS {
            let begun = Instant::now();
            bytes = service.get(path).await?.len();
            latencies.push(begun.elapsed());
        }
        let mut figure = Latencies::new(latencies).figure(name);
        figure["bytes"] = json!(bytes);
        report(figure)?;
    }
    Ok(())
}

/// Returns the users of a data set.
pub(crate) fn users(file: &Path) -> anyhow::Result<Vec<String>> {
    let mut users = BTreeSet::new();
    for line in load::events(file)? {
        users.insert(line?.0.user().to_string());
    }
    users.first().context("the data set has no users")?;
    Ok(users.into_iter().collect())
}

/// The path of the last sessions of a user, chosen by `number`.
pub(crate) fn last_sessions(users: &[String], number: u32) -> String {
    format!("/v1/users/{}/sessions", choose(users, number))
}

/// The user chosen by `number`.
pub(crate) fn choose(users: &[String], number: u32) -> &str {
    // Knuth's multiplicative hash spreads consecutive numbers.
    &users[number.wrapping_mul(2_654_435_761) as usize % users.len()]
}
