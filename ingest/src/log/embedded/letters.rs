//! The format of a dead letter in the embedded log: a line of JSON, then the record's own value
//! unchanged.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use shared::{store::LogId, timestamp::Timestamp};

use super::block::Entry;
use crate::log::{DeadLetter, DeadLetterCode, LogError, Partition, Record, redrive::Origin};

/// The first line of a dead letter's value.
#[derive(Serialize, Deserialize)]
struct LetterHead {
    code: DeadLetterCode,
    partition: Partition,
    offset: i64,
    append_time_ms: i64,
    /// The identity of the record's log. Older programs did not write it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    log: String,
    /// Whether a redrive kept this letter, which therefore still waits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    kept: bool,
}

/// A dead letter, and the record that it is about.
pub(super) struct Letter {
    pub(super) letter: DeadLetter,
    pub(super) origin: Origin,
    pub(super) was_kept: bool,
}

/// Encodes a letter about a record of `log`.
pub(super) fn write(
    DeadLetter { code, record }: DeadLetter,
    log: LogId,
    now: Timestamp,
) -> Result<Entry, LogError> {
    let Record { partition, offset, append_time, .. } = record;
    let head = LetterHead {
        code,
        partition,
        offset,
        append_time_ms: append_time.millis(),
        log: log.to_string(),
        kept: false,
    };
    let mut value = serde_json::to_vec(&head).map_err(|error| LogError::Busy(error.to_string()))?;
    value.push(b'\n');
    value.extend_from_slice(&record.value.unwrap_or_default());
    let key = record.key.unwrap_or_default();
    Ok(Entry { partition: 0, append_time: now, key, value: value.into() })
}

/// Decodes a letter.
pub(super) fn read(entry: &Entry) -> Option<Letter> {
    let (head, value) = split(entry)?;
    let LetterHead { code, partition, offset, append_time_ms, log, kept } = head;
    let append_time = Timestamp::from_millis(append_time_ms)?;
    let (key, value) = (Some(entry.key.clone()), Some(value));
    let record = Record { partition, offset, key, value, append_time, ..Record::default() };
    Some(Letter {
        letter: DeadLetter { code, record },
        origin: Origin {
            append_time: log.is_empty().then_some(append_time),
            log,
            partition,
            offset,
        },
        was_kept: kept,
    })
}

/// The letter as a redrive keeps it.
pub(super) fn kept(entry: Entry) -> Option<Entry> {
    let (head, value) = split(&entry)?;
    let mut kept = serde_json::to_vec(&LetterHead { kept: true, ..head }).ok()?;
    kept.push(b'\n');
    kept.extend_from_slice(&value);
    Some(Entry { value: kept.into(), ..entry })
}

fn split(entry: &Entry) -> Option<(LetterHead, Bytes)> {
    let line = entry.value.iter().position(|byte| *byte == b'\n')?;
    let head = serde_json::from_slice(&entry.value[..line]).ok()?;
    Some((head, entry.value.slice(line + 1..)))
}
