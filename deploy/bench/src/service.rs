//! The service as a process: starts it, sends requests, reads its usage, kills it.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use standalone::client::{self, ClientOptions};

/// The longest time until the service is ready or idle.
const TIMEOUT: Duration = Duration::from_secs(60);
/// A process is idle if, during this time,
const SETTLED: Duration = Duration::from_secs(2);
/// it uses at most this CPU time.
const SETTLED_CPU_SECONDS: f64 = 0.1;

pub(crate) struct Service {
    process: Child,
    pub(crate) url: String,
    /// How requests are sent to it.
    pub(crate) client: ClientOptions,
    http: reqwest::Client,
    /// From the start of the process to the first readiness.
    pub(crate) ready_after: Duration,
}

impl Service {
    /// Starts `bookend serve` with the embedded log and store in `data_dir`.
    pub(crate) async fn serve(
        program: &Path,
        data_dir: &Path,
        client: &ClientOptions,
    ) -> anyhow::Result<Self> {
        let args = ["serve".as_ref(), "--data-dir".as_ref(), data_dir.as_os_str()];
        Self::start(program, args, client).await
    }

    /// Starts `program` on a free port and waits until it is ready.
    pub(crate) async fn start(
        program: &Path,
        args: impl IntoIterator<Item: AsRef<OsStr>>,
        client: &ClientOptions,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.args(args).args(["--listen=127.0.0.1:0", "--log-format=json"]);
        Self::run(command, client).await
    }

    /// Starts `command` and waits until it is ready. It must write log lines as JSON.
    pub(crate) async fn run(mut command: Command, client: &ClientOptions) -> anyhow::Result<Self> {
        let begun = Instant::now();
        // Its metrics would be at another address than its log line names first.
        command.env_remove("BOOKEND_OPERATIONS_LISTEN");
        let process = command.stderr(Stdio::piped()).spawn();
        let mut process = process.with_context(|| format!("cannot start {command:?}"))?;
        let lines = BufReader::new(process.stderr.take().context("no standard error")?).lines();
        let scheme = if client.tls_ca.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", address(lines)?);
        let (client, http) = (client.clone(), connect(client, &url)?);
        let mut service = Self { process, url, client, http, ready_after: Duration::ZERO };
        while service.get("/readyz").await.is_err() {
            anyhow::ensure!(
                begun.elapsed() < TIMEOUT,
                "the service is not ready after {} s",
                TIMEOUT.as_secs()
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        service.ready_after = begun.elapsed();
        Ok(service)
    }

    pub(crate) fn get(
        &self,
        path: &str,
    ) -> impl Future<Output = anyhow::Result<Bytes>> + Send + use<> {
        client::fetch(self.http.get(format!("{}{path}", self.url)))
    }

    pub(crate) fn post(
        &self,
        body: Vec<u8>,
    ) -> impl Future<Output = anyhow::Result<Bytes>> + Send + use<> {
        client::fetch(self.http.post(format!("{}/v1/events", self.url)).body(body))
    }

    /// Returns the sum of a metric over its labels.
    pub(crate) async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let text = self.get("/metrics").await?;
        let lines = str::from_utf8(&text)?.lines().filter(|line| line.starts_with(name));
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// The peak resident memory of the process in MB.
    pub(crate) fn peak_memory_mb(&self) -> anyhow::Result<u64> {
        self.memory_mb("VmHWM")
    }

    /// A field of the status of the process in MB.
    pub(crate) fn memory_mb(&self, field: &str) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let value = |line: &str| Some(line.strip_prefix(field)?.strip_prefix(':')?.to_owned());
        let line = status.lines().find_map(value);
        let line = line.with_context(|| format!("/proc/…/status has no {field}"))?;
        let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
        Ok(kib * 1_024 / 1_000_000)
    }

    /// Waits until the process is idle, and returns the time that took.
    pub(crate) async fn settle(&self) -> anyhow::Result<Duration> {
        let took = settle(|| self.cpu_seconds(), SETTLED_CPU_SECONDS, TIMEOUT).await?;
        took.with_context(|| format!("the service is still busy after {} s", TIMEOUT.as_secs()))
    }

    /// The CPU time of the process in seconds.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        cpu_seconds(self.process.id())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // The process may have ended already.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Returns an HTTP client with connections of its own.
pub(crate) fn connect(client: &ClientOptions, url: &str) -> anyhow::Result<reqwest::Client> {
    Ok(client.builder(&url.parse()?)?.no_proxy().build()?)
}

/// Returns the address in its log line. Later lines are read and dropped, so that the
/// program never blocks on a full pipe.
fn address(
    mut lines: impl Iterator<Item = std::io::Result<String>> + Send + 'static,
) -> anyhow::Result<String> {
    let address = loop {
        let line = lines
            .next()
            .context("the service exited before it listened; run it by hand to see the error")??;
        let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        if let Some(address) = line["fields"]["address"].as_str() {
            break address.to_owned();
        }
    };
    std::thread::spawn(move || lines.for_each(drop));
    Ok(address)
}

/// Waits until at most `most` CPU seconds are used during [`SETTLED`], and returns the time that
/// took; `None` after `timeout`.
pub(crate) async fn settle(
    cpu_seconds: impl Fn() -> anyhow::Result<f64>,
    most: f64,
    timeout: Duration,
) -> anyhow::Result<Option<Duration>> {
    let begun = Instant::now();
    let mut before = cpu_seconds()?;
    while begun.elapsed() < timeout {
        tokio::time::sleep(SETTLED).await;
        let now = cpu_seconds()?;
        if now - before <= most {
            return Ok(Some(begun.elapsed()));
        }
        before = now;
    }
    Ok(None)
}

/// The CPU time of a process in seconds.
pub(crate) fn cpu_seconds(process: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the program is in parentheses and may contain any character.
    let (_, fields) = stat.rsplit_once(')').context("no name in /proc/…/stat")?;
    let mut times = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let (user, system) = times.next().zip(times.next()).context("no times in /proc/…/stat")?;
    // The unit is 1/100 s on every Linux.
    Ok((user? + system?) as f64 / 100.0)
}
