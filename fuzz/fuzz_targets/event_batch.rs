//! Any bytes as a body, and as one record: nothing panics, the limit holds, and what is accepted is read back from the log
//! as it was written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shared::event::{BatchFormat, EventBatch, SessionEvent};

const LIMIT: usize = 100;

fuzz_target!(|body: &[u8]| {
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
                assert_eq!(SessionEvent::parse(&json), Ok(event));
            }
            Err(rejection) => assert!(rejection.detail.chars().count() < 160),
        }
    }
});
