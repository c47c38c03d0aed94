//! The contracts in `specification/` agree with the code. `event.schema.json` and the parser agree
//! in both directions: the parser accepts every event that the schema accepts, and rejects every
//! other event with a code that the schema names.
//!
//! `contracts/unsayable.rs` lists the rules that JSON Schema cannot express. Rules of time are not
//! tested here.

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

/// Parses one record. An error is the code of the rejection.
fn parsed(text: &[u8]) -> Result<(), &'static str> {
    SessionEvent::parse(text).map(|_event| ()).map_err(|rejection| rejection.code.as_str())
}

/// Asserts that schema and parser agree on a JSON text, and returns their verdict.
pub(crate) fn agreed(text: &[u8]) -> Result<(), &'static str> {
    let shown = String::from_utf8_lossy(text);
    let value: Value =
        serde_json::from_slice(text).unwrap_or_else(|error| panic!("{error}: {shown}"));
    let parsed = parsed(text);
    match SCHEMA.judge(&value) {
        Ok(()) => {
            assert_eq!(
                parsed,
                unsayable::of(text).map_or(Ok(()), Err),
                "the schema accepts {shown}"
            )
        }
        Err(codes) => assert!(
            parsed.is_err_and(|code| codes.iter().any(|named| named == code)),
            "the schema names {codes:?}, but the parser returns {parsed:?} for {shown}"
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
fn every_code_but_those_of_time_and_of_senders_has_an_example_that_is_rejected_with_it() {
    let examples = SCHEMA.document["rejectedExamples"].as_array().unwrap();
    let mut seen = BTreeSet::new();
    for example in examples {
        let code = agreed(example["value"].to_string().as_bytes()).unwrap_err();
        assert_eq!(code, example["code"], "{example}");
        seen.insert(code);
    }
    let all = RejectionCode::ALL.iter().map(|code| code.as_str());
    assert_eq!(
        seen,
        all.filter(|code| !matches!(
            *code,
            "foreign_user" | "unknown_field" | "future" | "expired"
        ))
        .collect()
    );
}

#[test]
fn the_schema_lists_the_codes_of_rejections() {
    let listed = &SCHEMA.document["$defs"]["rejection_code"]["enum"];
    assert_eq!(*listed, serde_json::to_value(RejectionCode::ALL).unwrap());
}

/// The document refers to the schema for the codes of rejections.
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
        // A schema validates only JSON values.
        let verdict = match serde_json::from_slice::<Value>(&line) {
            Ok(_) => agreed(&line),
            Err(_) => parsed(&line),
        };
        codes.extend(verdict.err());
    }
    // Events of foreign users, with unknown fields, of the future and expired ones match the
    // schema.
    assert_eq!(codes.len(), RejectionCode::ALL.len() - 4, "{codes:?}");
}
