//! The format of a dead letter: the key, value and headers of the original record, and the reason
//! in headers of our own. A letter that is too large for the brokers is cut, and a header says so.

use bytes::Bytes;
use shared::{event::RejectionCode, timestamp::Timestamp};

use super::outgoing::Outgoing;
use crate::log::{
    DeadLetter, DeadLetterCode, Header, NewRecord, Partition, Record, TopicId, redrive::Origin,
};

const CODE: &str = "bookend.error.code";
const TOPIC: &str = "bookend.error.topic";
const PARTITION: &str = "bookend.error.partition";
const OFFSET: &str = "bookend.error.offset";
const APPEND_TIME: &str = "bookend.error.append_time";
/// The id of the topic. Older programs did not write it.
const TOPIC_ID: &str = "bookend.error.topic_id";
/// Whether a redrive kept this letter, which therefore still waits.
const KEPT: &str = "bookend.error.kept";
/// The length of the value in bytes before it was cut.
const CUT: &str = "bookend.error.cut";
/// The prefix of our headers.
const OURS: &str = "bookend.error.";

/// The cuts in their order: the bytes kept of the value, and whether key and headers are kept.
const CUTS: [(usize, bool); 3] = [(256 << 10, true), (16 << 10, false), (0, false)];

pub(crate) const CUT_COUNT: usize = CUTS.len();

/// Encodes `letter`, whose record came from `topic`: whole, or with the `cut`th cut from 1 on.
pub(crate) fn outgoing(letter: &DeadLetter, topic: &str, cut: usize) -> Outgoing {
    let Record { partition, offset, key, value, headers, append_time, latest_ts, .. } =
        &letter.record;
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
    let id = letter.record.topic.known();
    headers.extend(id.map(|id| header(TOPIC_ID, id.to_string())));
    Outgoing { key, value, headers, append_time: None, latest_ts: *latest_ts }
}

/// The code of a dead letter; `None` if another program wrote the record.
pub(crate) fn code(letter: &Record) -> Option<DeadLetterCode> {
    text(letter, CODE)?.parse().ok()
}

/// The place of the original record of a dead letter; `None` if it was not in the topic with this
/// name and id. A topic that was created again has other records at the same places.
pub(crate) fn place(letter: &Record, topic: &str, id: Option<TopicId>) -> Option<(Partition, i64)> {
    let Origin { log, partition, offset, .. } = origin(&letter.headers)?;
    let is_there = log == topic || id.is_some_and(|id| log == id.to_string());
    is_there.then_some((partition, offset))
}

/// The original record of a dead letter, to be appended again; `None` if it was cut.
pub(crate) fn original(letter: &Record) -> Option<NewRecord> {
    let value = letter.value.clone()?;
    // An event that was too far in the future is judged by its new append time: by the first one
    // it would be refused again.
    let append_time = match code(letter)? {
        DeadLetterCode::Rejected(RejectionCode::Future) => None,
        _ => Some(Timestamp::parse(text(letter, APPEND_TIME)?)?),
    };
    if is_cut(letter) {
        return None;
    }
    let headers =
        letter.headers.iter().filter(|header| !header.name.starts_with(OURS)).cloned().collect();
    let (key, latest_ts) = (letter.key.clone(), letter.latest_ts);
    Some(NewRecord { key, value, headers, append_time, latest_ts })
}

/// The record that a letter with these headers is about; `None` if another program wrote it.
pub(crate) fn origin(headers: &[Header]) -> Option<Origin> {
    let (log, append_time) = match header_text(headers, TOPIC_ID) {
        Some(id) => (id, None),
        None => {
            let append_time = header_text(headers, APPEND_TIME).and_then(Timestamp::parse);
            (header_text(headers, TOPIC)?, append_time)
        }
    };
    let partition = header_text(headers, PARTITION)?.parse().ok()?;
    let offset = header_text(headers, OFFSET)?.parse().ok()?;
    Some(Origin { log: log.to_owned(), partition, offset, append_time })
}

/// The record that `letter` puts back when it is redriven; `None` if it was cut, so that it does
/// not replace a whole letter of the same record.
pub(crate) fn whole_origin(letter: &Record) -> Option<Origin> {
    origin(&letter.headers).filter(|_| !is_cut(letter))
}

fn is_cut(letter: &Record) -> bool {
    text(letter, CUT).is_some()
}

/// Whether a redrive kept `letter`.
pub(crate) fn was_kept(letter: &Record) -> bool {
    text(letter, KEPT).is_some()
}

/// `letter` as a redrive keeps it.
pub(crate) fn kept(letter: Record) -> Outgoing {
    let is_ours = origin(&letter.headers).is_some() && !was_kept(&letter);
    let Record { key, value, mut headers, latest_ts, .. } = letter;
    if is_ours {
        headers.push(Header { name: KEPT.to_owned(), value: Some(Bytes::from_static(b"1")) });
    }
    Outgoing { key, value, headers, append_time: None, latest_ts }
}

fn text<'a>(letter: &'a Record, name: &str) -> Option<&'a str> {
    header_text(&letter.headers, name)
}

/// The last header of this name: ours follow those of the producer.
fn header_text<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    let header = headers.iter().rev().find(|header| header.name == name)?;
    str::from_utf8(header.value.as_ref()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_of_a_topic_created_again_is_of_another_record() {
        let letter = |topic| {
            let record = Record { partition: 2, offset: 9, topic, ..Record::default() };
            let letter =
                DeadLetter { record, code: DeadLetterCode::Rejected(RejectionCode::Future) };
            Record { headers: outgoing(&letter, "events", 0).headers, ..Record::default() }
        };
        let [old, new] = [1, 2].map(TopicId::new);
        assert_eq!(place(&letter(new), "events", Some(new)), Some((2, 9)));
        assert_eq!(place(&letter(old), "events", Some(new)), None);
        // Older programs wrote the name alone.
        assert_eq!(place(&letter(TopicId::UNKNOWN), "events", Some(new)), Some((2, 9)));
        assert_eq!(place(&letter(TopicId::UNKNOWN), "others", Some(new)), None);
    }

    fn read(append_time: i64, topic: TopicId, cut: usize) -> Record {
        let append_time = Timestamp::from_millis(append_time).unwrap();
        let record = Record { append_time, topic, ..Record::default() };
        let letter = DeadLetter { record, code: DeadLetterCode::Panicked };
        Record { headers: outgoing(&letter, "events", cut).headers, ..Record::default() }
    }

    #[test]
    fn without_a_topic_id_the_append_time_tells_two_records_apart() {
        let origin = |time, topic| whole_origin(&read(time, topic, 0)).unwrap();
        assert_ne!(origin(10, TopicId::UNKNOWN), origin(20, TopicId::UNKNOWN));
        assert_eq!(origin(10, TopicId::UNKNOWN), origin(10, TopicId::UNKNOWN));
        // A replay on a topic with `CreateTime` gives a record another one.
        assert_eq!(origin(10, TopicId::new(1)), origin(20, TopicId::new(1)));
    }

    #[test]
    fn a_letter_that_was_cut_does_not_count_for_its_record() {
        assert_eq!(whole_origin(&read(10, TopicId::new(1), 3)), None);
    }
}
