//! Loads a data set: over HTTP, or as a backlog in the log.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;
use ingest::{
    log::{EmbeddedLog, Log, NewRecord, embedded::EmbeddedLogOptions},
    metrics::{LAG, RECORDS_HANDLED},
};
use shared::{clock::Clock, event::SessionEvent, timestamp::Timestamp};
use standalone::generate::Dataset;

use crate::service::Service;

/// The interval at which the metrics of the service are read.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The records per append to the backlog.
const BACKLOG_BATCH: usize = 1_000;

/// Writes the data set and returns the number of its events.
pub(crate) fn write(data: Dataset, file: &Path) -> anyhow::Result<u64> {
    let events = data.len() as u64;
    let mut out = BufWriter::new(File::create(file)?);
    for line in data.into_lines() {
        out.write_all(&line)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(events)
}

/// Reads a data set: each event and its line.
pub(crate) fn events(
    file: &Path,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<(SessionEvent, Vec<u8>)>>> {
    Ok(BufReader::new(File::open(file)?).lines().map(|line| {
        let line = line?.into_bytes();
        let event =
            SessionEvent::parse(&line).map_err(|rejection| anyhow::anyhow!(rejection.detail))?;
        Ok((event, line))
    }))
}

/// Loads `file` with `bookend load`. Returns the events per second until all are processed.
pub(crate) async fn measure(
    program: &Path,
    service: &Service,
    file: &Path,
    events: u64,
) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let mut loading = Command::new(program);
    loading.args(["load", "--url", &service.url]).arg(file);
    if let Some(authorities) = &service.client.tls_ca {
        loading.arg("--tls-ca").arg(authorities);
    }
    // It reads the key from the environment too.
    let mut loading = loading.stdout(Stdio::null()).spawn()?;
    let loaded = tokio::task::spawn_blocking(move || loading.wait());
    drain_since(begun, service, events).await?;
    anyhow::ensure!(loaded.await??.success(), "bookend load failed; standard error has the cause");
    Ok(rate(events, begun))
}

/// Returns the events per second from the start of `service` until its backlog of `events` is
/// processed.
pub(crate) async fn drain(service: &Service, events: u64) -> anyhow::Result<f64> {
    let begun = Instant::now()
        .checked_sub(service.ready_after)
        .context("the monotonic clock is too close to its start")?;
    drain_since(begun, service, events).await?;
    Ok(rate(events, begun))
}

pub(crate) async fn drain_since(
    begun: Instant,
    service: &Service,
    events: u64,
) -> anyhow::Result<()> {
    loop {
        let handled = service.metric(RECORDS_HANDLED).await?;
        if handled >= events as f64 && service.metric(LAG).await? == 0.0 {
            return Ok(());
        }
        anyhow::ensure!(
            begun.elapsed() < Duration::from_secs(600),
            "only {handled} of {events} events were processed in ten minutes"
        );
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn rate(events: u64, begun: Instant) -> f64 {
    events as f64 / begun.elapsed().as_secs_f64()
}

/// Appends `file` to a new log without a consumer.
pub(crate) async fn write_backlog(file: &Path, data_dir: &Path) -> anyhow::Result<()> {
    let log =
        EmbeddedLog::open(&data_dir.join("log"), EmbeddedLogOptions::default(), Clock::machine())?;
    let log = Log::Embedded(log);
    let mut batch = Vec::with_capacity(BACKLOG_BATCH);
    for line in events(file)? {
        let (event, value) = line?;
        let key = event.user().as_str().as_bytes().to_vec().into();
        batch.push(NewRecord::new(key, value.into()));
        if batch.len() == BACKLOG_BATCH {
            log.append(std::mem::take(&mut batch)).await?;
        }
    }
    Ok(log.append(batch).await?)
}

/// Returns a batch of ten events.
pub(crate) fn ten_events(number: u32) -> Vec<u8> {
    let now = Clock::machine().now();
    let mut body = b"[".to_vec();
    for event in 0..10 {
        let separator = if event == 0 { "" } else { "," };
        let (half, ts): (_, Timestamp) =
            if event % 2 == 0 { ("start", now - 60_000) } else { ("end", now) };
        let session = number * 5 + event / 2;
        // Writing to memory cannot fail.
        write!(
            body,
            r#"{separator}{{"user_id":"bench-{}","session_id":"{session}","event":"{half}","ts":"{ts}","country":"SK"}}"#,
            session % 10_007
        )
        .ok();
    }
    body.push(b']');
    body
}
