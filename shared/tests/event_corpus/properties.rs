//! Properties of decoding that hold for any bytes. The fuzz target and an ordinary test check them.

use shared::event::{BatchError, BatchFormat, EventBatch, RejectionCode, Sender, SessionEvent};

/// The limit of events in a batch.
const LIMIT: usize = 100;
/// The longest detail of a rejection, in characters.
const LONGEST_DETAIL: usize = 200;

/// Decodes `body` as a batch in each format and as one record. Nothing panics, the limit holds,
/// details are short, and an accepted event is read back from the log unchanged. A strict sender's
/// events are the same.
pub(crate) fn check(body: &[u8]) {
    let batches = [BatchFormat::Json, BatchFormat::Lines].map(|format| {
        let batch = EventBatch::decode(body, format, LIMIT);
        let strict = Sender { strict: true, ..Sender::default() };
        check_strict(&batch, EventBatch::decode_by(body, format, LIMIT, strict));
        batch
    });
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

/// A strict sender gets the same batch, and at most one unknown field for each of its events.
fn check_strict(batch: &Result<EventBatch, BatchError>, strict: Result<EventBatch, BatchError>) {
    let unknown = strict.as_ref().map(|strict| strict.unknown_fields.clone()).unwrap_or_default();
    assert_eq!(strict.map(|strict| EventBatch { unknown_fields: Vec::new(), ..strict }), *batch);
    assert!(unknown.is_sorted_by(|(one, _), (next, _)| one < next));
    for (position, rejection) in unknown {
        assert!(batch.as_ref().is_ok_and(|batch| position < batch.events.len()));
        assert_eq!(rejection.code, RejectionCode::UnknownField);
        assert!(rejection.detail.chars().count() < LONGEST_DETAIL);
    }
}
