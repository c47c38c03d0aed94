//! The programs that the cluster benchmark runs, and their settings.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use standalone::client::ClientOptions;

use super::stack::Stack;

/// The paths of the programs.
pub(crate) struct Programs {
    pub(crate) bookend: PathBuf,
    pub(crate) ingest: PathBuf,
    pub(crate) query_api: PathBuf,
    /// This program.
    pub(crate) bench: PathBuf,
    /// How requests are sent to them.
    pub(crate) client: ClientOptions,
}

/// Creates a keyspace, and topics of the same name.
pub(super) fn setup(programs: &Programs, stack: &Stack, name: &str) -> anyhow::Result<()> {
    let mut setup = Command::new(&programs.bookend);
    setup.args([
        "setup",
        "--log=kafka",
        "--store=cassandra",
        "--kafka-replication=1",
        "--cassandra-replication=1",
    ]);
    setup.args(flags(stack, name)).arg(format!("--kafka-topic={name}"));
    let done = setup.output()?;
    anyhow::ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

/// The flags that connect a program to the servers.
pub(super) fn flags(stack: &Stack, keyspace: &str) -> Vec<String> {
    vec![
        format!("--kafka-brokers={}", stack.brokers),
        format!("--cassandra-nodes={}", stack.nodes),
        format!("--cassandra-keyspace={keyspace}"),
    ]
}

pub(super) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// Finds the other programs in the directory of `bookend`.
pub(crate) fn find(
    bookend: &Path,
    bench: PathBuf,
    client: &ClientOptions,
) -> anyhow::Result<Programs> {
    let beside = |name: &str| {
        let path = bookend.with_file_name(name);
        anyhow::ensure!(
            path.exists(),
            "{} is missing; build it with `cargo build --release --workspace`",
            path.display()
        );
        Ok(path)
    };
    Ok(Programs {
        bookend: bookend.to_owned(),
        ingest: beside("ingest")?,
        query_api: beside("query-api")?,
        bench,
        client: client.clone(),
    })
}
