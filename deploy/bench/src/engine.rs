//! The bare engine: a loop that writes the same rows as the service into the same engine.
//!
//! No HTTP, no JSON, no pairing and no reads. The loop writes the bytes of the log to a file with
//! one sync per megabyte, and the rows of the store in batches. The ratio of the service's rate to
//! this rate shows the cost of its other work.

use std::{collections::HashMap, fs::File, io::Write, path::Path, time::Instant};

use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use shared::session::{Fact, SessionFacts, SessionKey};

use crate::load;

/// Events per batch of rows, about as many as in a micro-batch of the consumer.
const BATCH: usize = 5_000;
/// The bytes of the log between two syncs.
const SYNC_BYTES: usize = 1 << 20;

/// The rows of one event.
struct Rows {
    line: Vec<u8>,
    facts: (Vec<u8>, Vec<u8>),
    start: Option<Vec<u8>>,
    completed: Option<Vec<u8>>,
}

/// Writes all rows and returns the events per second.
pub(crate) fn measure(file: &Path, dir: &Path) -> anyhow::Result<f64> {
    let rows = rows(file)?;
    std::fs::create_dir_all(dir)?;
    let db = Database::builder(dir.join("store")).cache_size(48 << 20).worker_threads(2).open()?;
    let options = || KeyspaceCreateOptions::default().max_memtable_size(16 << 20);
    let facts = db.keyspace("facts", options)?;
    let starts = db.keyspace("starts", options)?;
    let completed = db.keyspace("completed", options)?;
    let mut log = File::create(dir.join("log"))?;
    let mut buffer = Vec::new();

    let begun = Instant::now();
    for batch in rows.chunks(BATCH) {
        let mut writes = db.batch();
        for Rows { line, facts: (key, value), start, completed: end } in batch {
            buffer.extend_from_slice(line);
            if buffer.len() >= SYNC_BYTES {
                log.write_all(&buffer)?;
                log.sync_data()?;
                buffer.clear();
            }
            writes.insert(&facts, key.as_slice(), value.as_slice());
            if let Some(key) = start {
                writes.insert(&starts, key.as_slice(), []);
            }
            if let Some(key) = end {
                writes.insert(&completed, key.as_slice(), []);
            }
        }
        writes.commit()?;
    }
    log.write_all(&buffer)?;
    log.sync_data()?;
    db.persist(PersistMode::SyncAll)?;
    Ok(rows.len() as f64 / begun.elapsed().as_secs_f64())
}

/// Computes every row of every event before the measurement.
fn rows(file: &Path) -> anyhow::Result<Vec<Rows>> {
    let mut sessions: HashMap<SessionKey, SessionFacts> = HashMap::new();
    let mut rows = Vec::new();
    for line in load::events(file)? {
        let (event, line) = line?;
        let (key, fact): (SessionKey, Fact) = event.into();
        let name = format!("{}\0{}\0", key.user, key.session).into_bytes();
        let facts = sessions.entry(key).or_default();
        facts.absorb(&fact);
        let value = vec![1; 2 + 12 * facts.starts().len() + 8 * facts.ends().len()];
        let start = facts.start().map(|start| {
            [start.country.as_str().as_bytes(), &(!start.ts.millis()).to_be_bytes(), &name, &[1]]
                .concat()
        });
        let completed = facts.end().zip(facts.start()).map(|(end, start)| {
            let times = [(!end.millis()).to_be_bytes(), start.ts.millis().to_be_bytes()].concat();
            [&name[..33.min(name.len())], &times, &name, start.country.as_str().as_bytes(), &[1]]
                .concat()
        });
        rows.push(Rows { line, facts: (name, value), start, completed });
    }
    Ok(rows)
}
