//! The log and the store that data sets are loaded into, and the processes that use them.
//!
//! Each data set has a data directory and, on Cassandra, a keyspace of its own.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use standalone::client::ClientOptions;

use super::events::{EventFile, Events};
use crate::{
    cluster::{programs::Programs, stack::Stack},
    load, round,
    service::Service,
};

/// The log and the store to measure on.
pub(crate) struct Place {
    backend: Backend,
    /// How requests are sent to the processes.
    client: ClientOptions,
    dir: PathBuf,
    shrink: u32,
}

enum Backend {
    /// The embedded log and store of this program.
    Embedded(PathBuf),
    /// Cassandra and the embedded log.
    Cassandra(Programs, Stack),
}

/// CPU seconds of the processes that do the work.
#[derive(Clone, Copy)]
pub(super) struct Cpu {
    service: f64,
    /// `None` for the embedded store.
    cassandra: Option<f64>,
}

/// The cost of loading a data set.
pub(super) struct Load {
    events: u64,
    /// From the first POST until all events are processed.
    seconds: f64,
    /// From the first POST until the process is idle.
    pub(super) cpu: Cpu,
    pub(super) peak_memory_mb: u64,
    /// The size of log and store; `None` on Cassandra, where it would be that of the log only.
    pub(super) disk_bytes: Option<u64>,
}

impl Place {
    /// The embedded log and store of `program` in `dir`. All numbers of events are divided by
    /// `shrink`.
    pub(crate) fn embedded(
        program: &Path,
        client: &ClientOptions,
        dir: &Path,
        shrink: u32,
    ) -> Self {
        let backend = Backend::Embedded(program.to_owned());
        Self { backend, client: client.clone(), dir: dir.to_owned(), shrink }
    }

    /// Cassandra, which this function starts, and the embedded log in `dir`.
    pub(crate) fn cassandra(programs: Programs, dir: &Path, shrink: u32) -> anyhow::Result<Self> {
        let stack = Stack::up(&dir.join("stack"), "periodic")?;
        let client = programs.client.clone();
        let backend = Backend::Cassandra(programs, stack);
        Ok(Self { backend, client, dir: dir.to_owned(), shrink })
    }

    /// The name of the store in figures.
    pub(super) fn store(&self) -> &'static str {
        match self.backend {
            Backend::Embedded(_) => "embedded",
            Backend::Cassandra(..) => "Cassandra",
        }
    }

    pub(super) fn is_cassandra(&self) -> bool {
        matches!(self.backend, Backend::Cassandra(..))
    }

    /// Returns `number`, or less for a trial.
    pub(super) fn scaled(&self, number: u32) -> u32 {
        (number / self.shrink).max(1)
    }

    /// Begins a data set, whose file replaces that of the data set before.
    pub(super) fn events(&self) -> anyhow::Result<Events> {
        Events::create(&self.dir.join("events.ndjson"))
    }

    /// Loads `events` into a new log and store with `bookend load`, and ends the process.
    pub(super) async fn load(&self, data: &str, events: &EventFile) -> anyhow::Result<Load> {
        let (program, service) = match &self.backend {
            Backend::Embedded(program) => (program, self.query(data).await?),
            Backend::Cassandra(programs, stack) => {
                let store = keyspace(stack, data);
                let mut setup = Command::new(&programs.bookend);
                setup.args(["setup", "--store=cassandra", "--cassandra-replication=1"]);
                let done = setup.args(&store).output()?;
                anyhow::ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
                let data_dir = format!("--data-dir={}", self.dir.join(data).display());
                let serve = ["serve".to_owned(), "--store=cassandra".to_owned(), data_dir];
                let args = serve.iter().chain(&store);
                let service = Service::start(&programs.bookend, args, &self.client).await?;
                (&programs.bookend, service)
            }
        };
        let (before, begun) = (self.cpu(&service)?, Instant::now());
        load::measure(program, &service, &events.file, events.events).await?;
        let seconds = begun.elapsed().as_secs_f64();
        service.settle().await?;
        let (cpu, peak_memory_mb) = (self.cpu(&service)?.since(before), service.peak_memory_mb()?);
        let disk_bytes =
            if self.is_cassandra() { None } else { Some(disk_bytes(&self.dir.join(data))?) };
        // A process that answers queries must have no memory of the load.
        drop(service);
        if let Backend::Cassandra(_, stack) = &self.backend {
            stack.settle().await?;
        }
        Ok(Load { events: events.events, seconds, cpu, peak_memory_mb, disk_bytes })
    }

    /// Starts a process that answers queries about `data`.
    pub(super) async fn query(&self, data: &str) -> anyhow::Result<Service> {
        match &self.backend {
            Backend::Embedded(program) => {
                Service::serve(program, &self.dir.join(data), &self.client).await
            }
            Backend::Cassandra(programs, stack) => {
                Service::start(&programs.query_api, keyspace(stack, data), &self.client).await
            }
        }
    }

    /// The CPU time of `service` and the store.
    pub(super) fn cpu(&self, service: &Service) -> anyhow::Result<Cpu> {
        let cassandra = match &self.backend {
            Backend::Embedded(_) => None,
            Backend::Cassandra(_, stack) => Some(stack.cassandra_cpu_seconds()?),
        };
        Ok(Cpu { service: service.cpu_seconds()?, cassandra })
    }

    /// Waits until `service` and the store are idle, and returns the time that took.
    pub(super) async fn settle(&self, service: &Service) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        service.settle().await?;
        if let Backend::Cassandra(_, stack) = &self.backend {
            stack.settle().await?;
        }
        Ok(begun.elapsed())
    }
}

impl Load {
    /// Events per second.
    pub(super) fn rate(&self) -> f64 {
        (self.events as f64 / self.seconds).round()
    }

    pub(super) fn per_event(&self, value: f64) -> f64 {
        value / self.events as f64
    }

    pub(super) fn figure(&self) -> Value {
        let disk = self.disk_bytes.map(|bytes| self.per_event(bytes as f64).round());
        json!({
            "events": self.events, "events_per_second": self.rate(),
            "cpu_seconds_per_million_events": self.cpu.figure(self.per_event(1e6)),
            "peak_memory_mb": self.peak_memory_mb, "disk_bytes_per_event": disk,
        })
    }
}

impl Cpu {
    pub(super) fn since(self, before: Self) -> Self {
        let cassandra = self.cassandra.zip(before.cassandra).map(|(now, before)| now - before);
        Self { service: self.service - before.service, cassandra }
    }

    /// The CPU seconds of all processes.
    pub(super) fn all(self) -> f64 {
        self.service + self.cassandra.unwrap_or(0.0)
    }

    /// The CPU seconds of each process, times `factor`.
    pub(super) fn figure(self, factor: f64) -> Value {
        let mut figure = json!({ "service": round(self.service * factor) });
        if let Some(cassandra) = self.cassandra {
            figure["cassandra"] = json!(round(cassandra * factor));
        }
        figure
    }
}

/// The flags that connect a program to the keyspace `name`.
fn keyspace(stack: &Stack, name: &str) -> [String; 2] {
    [format!("--cassandra-nodes={}", stack.nodes), format!("--cassandra-keyspace={name}")]
}

/// The space that the files below `dir` take on the disk.
fn disk_bytes(dir: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            bytes += disk_bytes(&entry.path())?;
        } else {
            // The unit is 512 bytes on every Linux.
            bytes += entry.metadata()?.blocks() * 512;
        }
    }
    Ok(bytes)
}
