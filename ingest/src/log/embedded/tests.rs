//! The directory of a log after a crash, a full disk, a failed sync, or damage.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tempfile::TempDir;

use super::{disk::Fault, *};

mod damage;
mod faults;
mod model;
mod redrive;

/// A directory for logs, and the disk below it.
struct LogDir {
    dir: TempDir,
    disk: Disk,
    segment_bytes: u64,
}

impl LogDir {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap(), disk: Disk::default(), segment_bytes: 1 << 20 }
    }

    /// One segment for each block.
    fn of_short_segments() -> Self {
        Self { segment_bytes: block::header_len(3) as u64 + 1, ..Self::new() }
    }

    fn try_open(&self) -> Result<EmbeddedLog, LogOpenError> {
        let options = EmbeddedLogOptions {
            partitions: 3,
            segment_bytes: self.segment_bytes,
            reserve_bytes: 0,
            ..EmbeddedLogOptions::default()
        };
        let (dir, disk) = (self.dir.path(), self.disk.clone());
        EmbeddedLog::open_on(dir, options, Clock::machine(), disk, identity::read_or_create)
    }

    /// Opens the log. A child that another test is starting has this process's files, and so the
    /// lock, until it executes its program: that moment is waited for.
    fn open(&self) -> EmbeddedLog {
        let begun = Instant::now();
        loop {
            match self.try_open() {
                Err(LogOpenError::Locked) if begun.elapsed() < Duration::from_secs(10) => {
                    std::thread::yield_now();
                }
                opened => return opened.unwrap(),
            }
        }
    }

    /// The damage that the next open reports; panics if the log opens.
    fn refusal(&self) -> String {
        match self.try_open() {
            Err(LogOpenError::Corrupt(why)) => why,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it was opened"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("records").join(name)
    }

    fn segment(&self, number: u64) -> PathBuf {
        segment::path(&self.dir.path().join("records"), number)
    }

    fn bytes(&self, number: u64) -> Vec<u8> {
        fs::read(self.segment(number)).unwrap()
    }

    fn fail(&self, fault: Option<Fault>) {
        *self.disk.fault.lock() = fault;
    }

    /// A copy of the directory as it is now, like a killed process would leave it.
    fn copy(&self) -> Self {
        let copied = Self { dir: TempDir::new().unwrap(), disk: Disk::default(), ..*self };
        for journal in ["records", "dead-letters"] {
            let (from, to) = (self.dir.path().join(journal), copied.dir.path().join(journal));
            fs::create_dir(&to).unwrap();
            for entry in fs::read_dir(from).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
        copied
    }
}

fn record(key: &str, value: &str) -> NewRecord {
    let (key, value) =
        (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()));
    NewRecord::new(key, value)
}

async fn append(log: &EmbeddedLog, values: &[&str]) -> Result<(), LogError> {
    log.append(values.iter().map(|value| record(value, value)).collect()).await
}

/// The values of every record, in the order in which they were written.
async fn values(log: &EmbeddedLog) -> Vec<String> {
    let mut cursor = EmbeddedCursor::default();
    let mut values = Vec::new();
    loop {
        let more = log.read(&mut cursor, 1 << 20).await.unwrap();
        if more.is_empty() {
            return values;
        }
        values.extend(
            more.iter()
                .map(|record| String::from_utf8(record.value.clone().unwrap().to_vec()).unwrap()),
        );
    }
}
