//! Sends the three questions of the demo over HTTP and prints the replies as tables.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::Context;
use serde::{Deserialize, de::DeserializeOwned};
use shared::cli;

use crate::client::{self, ClientOptions};

/// The most rows that a table shows.
const ROWS: usize = 8;

/// A client of the running service.
pub(super) struct QueryClient {
    url: String,
    /// The arguments of curl for the key and the CA.
    curl: String,
    http: reqwest::Client,
}

#[derive(Deserialize)]
struct Starts {
    countries: BTreeMap<String, Vec<Start>>,
}

#[derive(Deserialize)]
struct Start {
    user_id: String,
    session_id: String,
    ts: String,
}

#[derive(Deserialize)]
struct Counts {
    countries: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Sessions {
    sessions: Vec<Session>,
}

#[derive(Deserialize)]
struct Session {
    session_id: String,
    country: String,
    started_at: String,
    ended_at: String,
    duration_ms: u64,
}

impl QueryClient {
    pub(super) fn new(url: &str, options: &ClientOptions) -> anyhow::Result<Self> {
        let http = options.builder(&url.parse()?)?.no_proxy().build()?;
        let mut curl = String::new();
        if options.key.is_some() {
            // The shell knows the key, which must not be printed.
            curl += r#" -H "Authorization: Bearer $BOOKEND_API_KEY""#;
        }
        if let Some(authorities) = &options.tls_ca {
            curl += &format!(" --cacert '{}'", authorities.display());
        }
        Ok(Self { url: url.to_owned(), curl, http })
    }

    pub(super) async fn text(&self, path: &str) -> anyhow::Result<String> {
        let body = client::fetch(self.http.get(format!("{}{path}", self.url))).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        serde_json::from_str(&self.text(path).await?)
            .with_context(|| format!("the reply to {path} cannot be read"))
    }

    fn curl(&self, path: &str) -> String {
        format!("  curl{} '{}{path}'", self.curl, self.url)
    }
}

/// Sends the three questions and prints the replies.
pub(super) async fn show(client: &QueryClient) -> anyhow::Result<()> {
    let path = "/v1/session-starts/counts?days=7";
    let Counts { countries } = client.ask(path).await?;
    let mut ranked: Vec<_> = countries.iter().collect();
    ranked.sort_by_key(|(country, starts)| (std::cmp::Reverse(**starts), (*country).clone()));
    let rows = ranked
        .iter()
        .take(ROWS)
        .map(|(country, starts)| vec![(*country).clone(), starts.to_string()]);
    say(format_args!(
        "1. How many sessions started in each country in the last 7 days?\n{}\n",
        client.curl(path)
    ))?;
    say(format_args!("{}", table(&["country", "starts"], rows.collect())))?;
    let total: u64 = countries.values().sum();
    let count = |number, one, many| format!("{number} {}", if number == 1 { one } else { many });
    say(format_args!(
        "  {} in {}\n",
        count(total, "start", "starts"),
        count(countries.len() as u64, "country", "countries")
    ))?;

    let first = ranked.first().map_or("SK", |(country, _)| country.as_str());
    let path = format!("/v1/session-starts?hours=48&country={first}&limit={ROWS}");
    let Starts { countries } = client.ask(&path).await?;
    let starts = countries.get(first).map(Vec::as_slice).unwrap_or_default();
    let rows = starts
        .iter()
        .map(|start| vec![start.ts.clone(), start.user_id.clone(), start.session_id.clone()]);
    say(format_args!(
        "2. Which sessions started in {first} in the last 48 hours?\n{}\n",
        client.curl(&path)
    ))?;
    say(format_args!("{}", table(&["ts", "user_id", "session_id"], rows.collect())))?;

    // A few sessions may all be open, or older than the list is long.
    let Some(user) = busiest(client).await? else { return Ok(()) };
    let path = format!("/v1/users/{user}/sessions");
    let Sessions { sessions } = client.ask(&path).await?;
    let rows = sessions.iter().take(ROWS).map(|session| {
        let minutes = format!("{:.1} min", session.duration_ms as f64 / 60_000.0);
        let Session { session_id, country, started_at, ended_at, .. } = session;
        vec![ended_at.clone(), started_at.clone(), minutes, country.clone(), session_id.clone()]
    });
    say(format_args!(
        "3. What are the last 20 complete sessions of a user?\n{}\n",
        client.curl(&path)
    ))?;
    say(format_args!(
        "{}",
        table(&["ended_at", "started_at", "duration", "country", "session_id"], rows.collect())
    ))?;
    say(format_args!("  {} in the reply", count(sessions.len() as u64, "session", "sessions")))
}

/// Returns the recently active user with the most complete sessions, if there is one.
async fn busiest(client: &QueryClient) -> anyhow::Result<Option<String>> {
    let Starts { countries } = client.ask("/v1/session-starts?days=31&limit=50").await?;
    let mut best = (0, String::new());
    for start in countries.values().flatten().take(50) {
        let Sessions { sessions } =
            client.ask(&format!("/v1/users/{}/sessions", start.user_id)).await?;
        best = best.max((sessions.len(), start.user_id.clone()));
    }
    Ok(Some(best.1).filter(|user| !user.is_empty()))
}

/// Returns the sum of a metric over its labels.
pub(super) fn sum(metrics: &str, name: &str) -> u64 {
    let values = metrics.lines().filter(|line| line.starts_with(name));
    values
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .map(|value| value as u64)
        .sum()
}

fn table(heads: &[&str], rows: Vec<Vec<String>>) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].len()]).max().unwrap_or(0)
    };
    let mut text = String::new();
    let heads: Vec<_> = heads.iter().map(|head| (*head).to_owned()).collect();
    for row in std::iter::once(&heads).chain(&rows) {
        text.push_str("   ");
        for (column, cell) in row.iter().enumerate() {
            // Writing to a string cannot fail.
            write!(text, " {cell:<width$} ", width = width(column)).ok();
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// Prints a line.
pub(super) fn say(text: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
    Ok(cli::print(format!("{text}\n").as_bytes())?)
}
