//! Runs the body of the fuzz target over its corpus, so that every test run checks both.

#[path = "event_corpus/properties.rs"]
mod properties;

use std::{fs, path::Path};

#[test]
fn the_properties_of_the_fuzz_target_hold_for_its_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/event_batch");
    let mut bodies = 0;
    for entry in fs::read_dir(&corpus).unwrap() {
        let body = fs::read(entry.unwrap().path()).unwrap();
        properties::check(&body);
        // Every prefix too, as if the connection had been closed.
        (0..body.len()).for_each(|end| properties::check(&body[..end]));
        bodies += 1;
    }
    assert!(bodies >= 21, "{bodies} files in {}", corpus.display());
}
