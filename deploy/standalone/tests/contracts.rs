//! The written contracts agree with the code. That of an event with the parser: what `specification/event.schema.json` takes
//! the parser takes, and what it refuses the parser rejects with a code that it names. For whoever changes either.
//!
//! What no JSON Schema can say is stated in `contracts/unsayable.rs` and nowhere else. Time is not judged here.

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "contracts/mutations.rs"]
mod mutations;
#[path = "contracts/openapi.rs"]
mod openapi;
#[path = "contracts/raml.rs"]
mod raml;
#[path = "contracts/schema.rs"]
mod schema;
#[path = "contracts/unsayable.rs"]
mod unsayable;

use std::collections::BTreeSet;

use ingest::log::DeadLetterCode;
use serde_json::Value;
use shared::{
    event::{RejectionCode, SessionEvent},
    timestamp::Timestamp,
};
use standalone::generate::{Dataset, GenerateArgs, Profile};

use schema::SCHEMA;

/// What the parser says of one record.
fn parsed(text: &[u8]) -> Result<(), &'static str> {
    SessionEvent::parse(text).map(|_event| ()).map_err(|rejection| rejection.code.as_str())
}

/// Holds that schema and parser say the same of a text that is a value, and gives what they say.
pub(crate) fn agreed(text: &[u8]) -> Result<(), &'static str> {
    let shown = String::from_utf8_lossy(text);
    let value: Value =
        serde_json::from_slice(text).unwrap_or_else(|error| panic!("{error}: {shown}"));
    let parsed = parsed(text);
    match SCHEMA.judge(&value) {
        Ok(()) => {
            assert_eq!(parsed, unsayable::of(text).map_or(Ok(()), Err), "the schema takes {shown}")
        }
        Err(codes) => assert!(
            parsed.is_err_and(|code| codes.iter().any(|named| named == code)),
            "the schema names {codes:?}, the parser says {parsed:?} of {shown}"
        ),
    }
    parsed
}

fn root(path: &str) -> String {
    let path = format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn generated(profile: Profile) -> impl Iterator<Item = Vec<u8>> {
    let args = GenerateArgs { sessions: 2_000, profile, ..GenerateArgs::default() };
    Dataset::new(&args, Timestamp::parse("2016-12-02T15:00:00Z").unwrap()).into_lines()
}

#[test]
fn the_schema_is_a_schema() {
    jsonschema::meta::validate(&SCHEMA.document).unwrap();
}

#[test]
fn every_example_is_an_event() {
    let examples = SCHEMA.document["examples"].as_array().unwrap();
    assert!(!examples.is_empty());
    for example in examples {
        assert_eq!(agreed(example.to_string().as_bytes()), Ok(()), "{example}");
    }
}

#[test]
fn every_code_but_those_of_time_has_an_example_that_is_rejected_with_it() {
    let examples = SCHEMA.document["rejectedExamples"].as_array().unwrap();
    let mut seen = BTreeSet::new();
    for example in examples {
        let code = agreed(example["value"].to_string().as_bytes()).unwrap_err();
        assert_eq!(code, example["code"], "{example}");
        seen.insert(code);
    }
    let all = RejectionCode::ALL.iter().map(|code| code.as_str());
    assert_eq!(seen, all.filter(|code| !matches!(*code, "future" | "expired")).collect());
}

#[test]
fn the_schema_lists_the_codes_of_rejections() {
    let listed = &SCHEMA.document["$defs"]["rejection_code"]["enum"];
    assert_eq!(*listed, serde_json::to_value(RejectionCode::ALL).unwrap());
}

/// The others it has from the schema, by reference.
#[test]
fn the_description_of_the_topics_lists_the_codes_of_dead_letters() {
    let topics = root("specification/asyncapi.yaml");
    let own: Vec<_> = DeadLetterCode::all()
        .filter(|code| !matches!(code, DeadLetterCode::Rejected(_)))
        .map(DeadLetterCode::as_str)
        .collect();
    assert!(topics.contains(&format!("enum: [{}]", own.join(", "))), "{own:?}");
    assert!(topics.contains("event.schema.json#/$defs/rejection_code"));
}

#[test]
fn every_event_of_the_sample_and_of_the_seeds_is_one() {
    for line in root("data/sample.ndjson").lines() {
        assert_eq!(agreed(line.as_bytes()), Ok(()), "{line}");
    }
    let batch: Value = serde_json::from_str(&root("data/seed-batch.json")).unwrap();
    let rows: Value = serde_json::from_str(&root("data/seed-rows.json")).unwrap();
    for event in batch.as_array().unwrap().iter().chain(rows["rows"].as_array().unwrap()) {
        assert_eq!(agreed(event.to_string().as_bytes()), Ok(()), "{event}");
    }
}

#[test]
fn every_generated_event_is_one() {
    for line in generated(Profile::Clean) {
        assert_eq!(agreed(&line), Ok(()), "{}", String::from_utf8_lossy(&line));
    }
}

#[test]
fn the_hostile_lines_are_judged_alike() {
    let mut codes = BTreeSet::new();
    for line in generated(Profile::Hostile) {
        // Of what is no value a schema is not asked.
        let said = match serde_json::from_slice::<Value>(&line) {
            Ok(_) => agreed(&line),
            Err(_) => parsed(&line),
        };
        codes.extend(said.err());
    }
    // What lies in the future or is expired is of the right shape.
    assert_eq!(codes.len(), RejectionCode::ALL.len() - 2, "{codes:?}");
}
