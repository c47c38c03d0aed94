//! Kafka and Cassandra, started by `deploy/stack` for measurements.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Context;

use crate::service::{cpu_seconds, settle};

/// The longest time to wait until the servers are idle.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The most CPU time that idle servers use while it is measured; it is never 0.
const SETTLED_CPU_SECONDS: f64 = 0.3;

/// One node of each service; dropping it stops them.
pub(crate) struct Stack {
    dir: PathBuf,
    pub(crate) brokers: String,
    pub(crate) nodes: String,
}

impl Stack {
    /// Starts the servers. `commitlog` is the `commitlog_sync` of Cassandra.
    pub(crate) fn up(dir: &Path, commitlog: &str) -> anyhow::Result<Self> {
        let mut up = Command::new("deploy/stack/up");
        let up =
            up.args(["--bench", commitlog, "--port-offset", "free", "--dir"]).arg(dir).output();
        let up =
            up.context("cannot run deploy/stack/up; run the benchmark in the root of the project")?;
        anyhow::ensure!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
        let settings = std::fs::read_to_string(dir.join("stack.env"))?;
        let setting = |name: &str| {
            let value =
                settings.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            value
                .map(|value| value.trim_matches('\'').to_owned())
                .with_context(|| format!("stack.env has no {name}"))
        };
        let (brokers, nodes) =
            (setting("BOOKEND_KAFKA_BROKERS")?, setting("BOOKEND_CASSANDRA_NODES")?);
        Ok(Self { dir: dir.to_owned(), brokers, nodes })
    }

    /// The CPU time of both servers in seconds.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        Ok(self.node_cpu_seconds("kafka-1.pid")? + self.cassandra_cpu_seconds()?)
    }

    /// The CPU time of Cassandra in seconds.
    pub(crate) fn cassandra_cpu_seconds(&self) -> anyhow::Result<f64> {
        self.node_cpu_seconds("cassandra-1.pid")
    }

    fn node_cpu_seconds(&self, pid: &str) -> anyhow::Result<f64> {
        cpu_seconds(std::fs::read_to_string(self.dir.join(pid))?.trim().parse()?)
    }

    /// Waits until the servers are idle, within a limit. Their background work, such as compaction,
    /// would slow down the next measurement.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        settle(|| self.cpu_seconds(), SETTLED_CPU_SECONDS, TIMEOUT).await?;
        Ok(())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // If this fails, the servers can be stopped by hand.
        Command::new("deploy/stack/down").arg("--wipe").arg("--dir").arg(&self.dir).output().ok();
    }
}
