//! A dead letter as a record of its topic: the original's key, value and headers, and the reason in headers of our own. One that
//! the brokers find too large is cut, which it then says.

use bytes::Bytes;
use shared::timestamp::Timestamp;

use super::producer::Outgoing;
use crate::log::{DeadLetter, DeadLetterCode, Header, NewRecord, Record};

const CODE: &str = "bookend.error.code";
const TOPIC: &str = "bookend.error.topic";
const PARTITION: &str = "bookend.error.partition";
const OFFSET: &str = "bookend.error.offset";
const APPEND_TIME: &str = "bookend.error.append_time";
/// How many bytes the value had before it was cut.
const CUT: &str = "bookend.error.cut";
/// Every header of ours begins with this.
const OURS: &str = "bookend.error.";

/// What is left of a letter that is too large, one after the other: bytes of the value, and whether key and headers stay.
const CUTS: [(usize, bool); 3] = [(256 << 10, true), (16 << 10, false), (0, false)];

/// How often a letter can be cut.
pub(super) const TIMES_CUT: usize = CUTS.len();

/// `letter`, whose record came from `topic`, as it is written; cut for the `cut`th time, if that is not 0.
pub(super) fn outgoing(letter: &DeadLetter, topic: &str, cut: usize) -> Outgoing {
    let Record { partition, offset, key, value, headers, append_time } = &letter.record;
    let header =
        |name: &str, text: String| Header { name: name.to_owned(), value: Some(text.into()) };
    let ours = [
        header(CODE, letter.code.to_string()),
        header(TOPIC, topic.to_owned()),
        header(PARTITION, partition.to_string()),
        header(OFFSET, offset.to_string()),
        header(APPEND_TIME, append_time.to_string()),
    ];
    let (mut key, mut value, mut headers) = (key.clone(), value.clone(), headers.clone());
    if let Some((bytes, whole)) = cut.checked_sub(1).and_then(|cut| CUTS.get(cut)) {
        let length = value.as_ref().map_or(0, Bytes::len);
        value = value.map(|value| value.slice(..length.min(*bytes)));
        if !whole {
            (key, headers) = (None, Vec::new());
        }
        headers.push(header(CUT, length.to_string()));
    }
    headers.extend(ours);
    Outgoing { key, value, headers }
}

/// The code of a letter as it was read; `None` when it is none of ours.
pub(super) fn code(letter: &Record) -> Option<DeadLetterCode> {
    text(letter, CODE)?.parse().ok()
}

/// The record that a letter was before, to be appended again; `None` when it was cut.
pub(super) fn original(letter: &Record) -> Option<NewRecord> {
    let value = letter.value.clone()?;
    let append_time = Timestamp::parse(text(letter, APPEND_TIME)?)?;
    if text(letter, CUT).is_some() {
        return None;
    }
    let headers =
        letter.headers.iter().filter(|header| !header.name.starts_with(OURS)).cloned().collect();
    Some(NewRecord { key: letter.key.clone(), value, headers, append_time: Some(append_time) })
}

/// The last header of this name: ours stand behind whatever a producer wrote.
fn text<'a>(letter: &'a Record, name: &str) -> Option<&'a str> {
    let header = letter.headers.iter().rev().find(|header| header.name == name)?;
    str::from_utf8(header.value.as_ref()?).ok()
}
