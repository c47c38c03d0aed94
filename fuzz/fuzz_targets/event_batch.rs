//! Fuzzes decoding with any bytes, as a body and as one record.

#![no_main]

#[path = "../../shared/tests/event_corpus/properties.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|body: &[u8]| properties::check(body));
