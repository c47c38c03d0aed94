//! Kafka and Cassandra as `deploy/stack` starts them to be measured.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Context;

use crate::service::cpu_seconds;

/// How long the servers may take until they are at rest.
const PATIENCE: Duration = Duration::from_secs(120);
/// They are when, for so long,
const SETTLED: Duration = Duration::from_secs(2);
/// they used no more of a processor's time than this: they are never quite still.
const SETTLED_CPU_SECONDS: f64 = 0.3;

/// A node of each; stopped when it is dropped.
pub(crate) struct Stack {
    dir: PathBuf,
    pub(crate) brokers: String,
    pub(crate) nodes: String,
}

impl Stack {
    /// Cassandra's `commitlog_sync` is `commitlog`.
    pub(crate) fn up(dir: &Path, commitlog: &str) -> anyhow::Result<Self> {
        let mut up = Command::new("deploy/stack/up");
        let up =
            up.args(["--bench", commitlog, "--port-offset", "free", "--dir"]).arg(dir).output();
        let up = up.context("deploy/stack/up cannot be run; measure in the root of the project")?;
        anyhow::ensure!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
        let settings = std::fs::read_to_string(dir.join("stack.env"))?;
        let setting = |name: &str| {
            let value =
                settings.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            value
                .map(|value| value.trim_matches('\'').to_owned())
                .with_context(|| format!("no {name}"))
        };
        let (brokers, nodes) =
            (setting("BOOKEND_KAFKA_BROKERS")?, setting("BOOKEND_CASSANDRA_NODES")?);
        Ok(Self { dir: dir.to_owned(), brokers, nodes })
    }

    /// The processor time of both servers so far.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let mut all = 0.0;
        for node in ["kafka-1.pid", "cassandra-1.pid"] {
            all += cpu_seconds(std::fs::read_to_string(self.dir.join(node))?.trim().parse()?)?;
        }
        Ok(all)
    }
}

impl Stack {
    /// Waits until the servers have nothing left to do of what was asked before, as far as that comes soon: what they still sort
    /// would be paid for by what is measured next.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut before = self.cpu_seconds()?;
        while begun.elapsed() < PATIENCE {
            tokio::time::sleep(SETTLED).await;
            let now = self.cpu_seconds()?;
            if now - before <= SETTLED_CPU_SECONDS {
                break;
            }
            before = now;
        }
        Ok(())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // What is left can be stopped by hand.
        Command::new("deploy/stack/down").arg("--wipe").arg("--dir").arg(&self.dir).output().ok();
    }
}
