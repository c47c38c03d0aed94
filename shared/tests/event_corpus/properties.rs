//! Properties of decoding that hold for any bytes. The fuzz target and an ordinary test check them.

use shared::event::{BatchFormat, EventBatch, SessionEvent};

/// The limit of events in a batch.
const LIMIT: usize = 100;
/// The longest detail of a rejection, in characters.
const LONGEST_DETAIL: usize = 200;

/// Decodes `body` as a batch in each format and as one record. Nothing panics, the limit holds,
/// details are short, and an accepted event is read back from the log unchanged.
pub(crate) fn check(body: &[u8]) {
    let batches = [BatchFormat::Json, BatchFormat::Lines]
        .map(|format| EventBatch::decode(body, format, LIMIT));
    let batches = batches
        .into_iter()
        .flatten()
        .inspect(|batch| assert!((1..=LIMIT).contains(&batch.events.len())));
    for event in batches.flat_map(|batch| batch.events).chain([SessionEvent::parse(body)]) {
        match event {
            Ok(event) => {
                let mut json = Vec::new();
                event.write_json(&mut json);
                assert_eq!(SessionEvent::parse_accepted(&json), Ok(event.clone()));
                assert_eq!(SessionEvent::parse(&json), Ok(event));
            }
            Err(rejection) => assert!(rejection.detail.chars().count() < LONGEST_DETAIL),
        }
    }
    // What an earlier version accepted is kept as it was.
    if let Ok(event) = SessionEvent::parse_accepted(body) {
        let mut json = Vec::new();
        event.write_json(&mut json);
        assert_eq!(SessionEvent::parse_accepted(&json), Ok(event));
    }
}
