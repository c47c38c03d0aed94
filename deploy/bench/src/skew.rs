//! Measures queries on skewed data, each beside the same query on ordinary data: very many
//! countries, and a user with very many sessions.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    process::Command,
    time::Instant,
};

use futures_util::future::try_join_all;
use serde_json::{Value, json};
use shared::clock::Clock;

use crate::{
    cluster::{programs::Programs, stack::Stack},
    latency::Latencies,
    load, report,
    service::Service,
};

/// The number of sessions that started, each in one of the countries.
const STARTS: u32 = 300_000;
/// The number of countries of ordinary data.
const COUNTRIES: u32 = 246;
/// The number of sessions of the user, skewed and ordinary.
const SESSIONS: [u32; 2] = [1_000_000, 1_000];
/// The number of requests for each latency.
const REQUESTS: usize = 21;
/// The number of counts at a time.
const COUNTS: usize = 16;

/// Measures with the embedded log and store in `dir`.
pub(crate) async fn embedded(program: &Path, dir: &Path) -> anyhow::Result<()> {
    for (name, countries, sessions) in data() {
        let (file, data_dir) = (dir.join("events.ndjson"), dir.join(name));
        let events = write(&file, countries, sessions)?;
        let service = Service::serve(program, &data_dir).await?;
        load::measure(program, &service, &file, events).await?;
        service.settle().await?;
        // A new process has no memory of the load.
        drop(service);
        let service = Service::serve(program, &data_dir).await?;
        measure(&service, name, "embedded").await?;
    }
    Ok(())
}

/// Measures with Cassandra and the embedded log.
pub(crate) async fn cassandra(programs: &Programs, dir: &Path) -> anyhow::Result<()> {
    let stack = Stack::up(&dir.join("stack"), "periodic")?;
    for (name, countries, sessions) in data() {
        let (file, data_dir) = (dir.join("events.ndjson"), dir.join(name));
        let events = write(&file, countries, sessions)?;
        let store = [
            format!("--cassandra-nodes={}", stack.nodes),
            format!("--cassandra-keyspace={name}"),
            "--cassandra-replication=1".to_owned(),
        ];
        let mut setup = Command::new(&programs.bookend);
        let done = setup.args(["setup", "--store=cassandra"]).args(&store).output()?;
        anyhow::ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let data_dir = format!("--data-dir={}", data_dir.display());
        let serve = ["serve", "--store=cassandra", &data_dir].map(str::to_owned);
        let service = Service::start(&programs.bookend, serve.iter().chain(&store)).await?;
        load::measure(&programs.bookend, &service, &file, events).await?;
        drop(service);
        stack.settle().await?;
        let service = Service::start(&programs.query_api, &store).await?;
        measure(&service, name, "Cassandra").await?;
    }
    Ok(())
}

/// The name of each set of data, its number of countries, and the user's number of sessions.
fn data() -> [(&'static str, u32, u32); 2] {
    let [many, few] = SESSIONS;
    [("ordinary", COUNTRIES, few), ("skewed", STARTS, many)]
}

/// Writes a start in each of the `countries` in turn, and an end of each of the user's sessions.
fn write(file: &Path, countries: u32, sessions: u32) -> anyhow::Result<u64> {
    let now = Clock::machine().now();
    let mut out = BufWriter::new(File::create(file)?);
    for number in 0..STARTS {
        let ts = now - 3_600_000 - i64::from(number);
        let country = number % countries;
        writeln!(
            out,
            r#"{{"user_id":"u{number}","session_id":"s{number}","event":"start","ts":"{ts}","country":"C{country:06}"}}"#
        )?;
    }
    for number in 0..sessions {
        let ts = now - 3_600_000 - i64::from(number);
        writeln!(
            out,
            r#"{{"user_id":"heavy","session_id":"{number:07}","event":"end","ts":"{ts}"}}"#
        )?;
    }
    out.flush()?;
    Ok(u64::from(STARTS + sessions))
}

async fn measure(service: &Service, data: &str, store: &str) -> anyhow::Result<()> {
    let before = service.memory_mb("VmRSS")?;
    let counts = (0..COUNTS).map(|_| service.get("/v1/session-starts/counts?days=1"));
    let begun = Instant::now();
    try_join_all(counts).await?;
    report(json!({
        "figure": "16 counts of a day at a time", "store": store, "data": data,
        "seconds": crate::round(begun.elapsed().as_secs_f64()),
        "memory_before_mb": before, "peak_memory_mb": service.peak_memory_mb()?,
    }))?;
    for path in [
        "/v1/session-starts?days=1&limit=1",
        "/v1/session-starts?days=1",
        "/v1/session-starts/counts?days=1&step=hour&top=100",
        "/v1/users/heavy/sessions?status=orphan",
        "/v1/users/heavy/sessions?status=open",
    ] {
        // A query that takes longer than its deadline is a figure, too.
        let mut figure = match ask(service, path).await {
            Ok(figure) => figure,
            Err(error) => json!({ "figure": path, "error": error.to_string() }),
        };
        (figure["store"], figure["data"]) = (json!(store), json!(data));
        report(figure)?;
    }
    Ok(())
}

/// The latency of one request after the other, and the size of the last reply.
async fn ask(service: &Service, path: &str) -> anyhow::Result<Value> {
    let (mut latencies, mut bytes) = (Vec::new(), 0);
    for _ in 0..REQUESTS {
        let begun = Instant::now();
        bytes = service.get(path).await?.len();
        latencies.push(begun.elapsed());
    }
    let mut figure = Latencies::new(latencies).figure(path);
    figure["bytes"] = json!(bytes);
    Ok(figure)
}
