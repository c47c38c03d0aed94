//! The OpenAPI document: the file in `specification/` is the one that the code generates, every
//! route is described, and every example matches its schema. The system tests compare the examples
//! with the replies of the running program.

use std::collections::BTreeSet;

use jsonschema::Validator;
use serde_json::{Map, Value, json};
use shared::{
    http::{self, Route, openapi},
    telemetry,
};

use super::{root, schema::SCHEMA};

const FILE: &str = "specification/openapi.json";

/// The document that the code generates.
fn served() -> Value {
    serde_json::from_str(&openapi::text(&standalone::serve::description()).unwrap()).unwrap()
}

/// A schema that refers to the components of `document`.
fn validator(document: &Value, schema: &Value) -> Validator {
    let mut whole =
        json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [schema] });
    whole["components"] = document["components"].clone();
    jsonschema::validator_for(&whole).unwrap()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

/// Collects every `content` object with its examples, at any depth of `value`.
fn contents<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    for (key, member) in members(value) {
        if key == "content" {
            found.extend(members(member).map(|(_media, content)| content));
        } else {
            contents(member, found);
        }
    }
}

fn assert_references_exist(document: &Value, value: &Value) {
    if let Some(target) = value.get("$ref").and_then(Value::as_str) {
        assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target}");
    }
    value.as_array().into_iter().flatten().for_each(|item| assert_references_exist(document, item));
    members(value).for_each(|(_, member)| assert_references_exist(document, member));
}

#[test]
fn the_description_that_is_kept_is_the_one_that_is_served() {
    let generated = openapi::text(&standalone::serve::description()).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a setting of this test, not of the service")]
    let renew = std::env::var_os("BOOKEND_RENEW").is_some();
    if renew {
        std::fs::write(format!("{}/../../{FILE}", env!("CARGO_MANIFEST_DIR")), &generated).unwrap();
    }
    assert!(
        root(FILE) == generated,
        "{FILE} is out of date; run BOOKEND_RENEW=1 cargo test -p standalone --test contracts openapi, then specification/raml"
    );
}

/// The document follows from the table of routes, so it lists no other route.
#[test]
fn every_route_is_described_but_those_of_the_files_of_pages() {
    fn undescribed<S>(routes: &[Route<S>]) -> Vec<&'static str> {
        let hidden = routes.iter().filter(|route| route.description().is_none());
        hidden.map(Route::template).collect()
    }
    assert!(undescribed(&ingest::http::routes()).is_empty());
    let process = telemetry::routes();
    for path in undescribed(&process) {
        // The same route with a slash at the end.
        let described = |route: &Route<_>| route.description().map(|(_, path, _)| path);
        let path = path.strip_suffix('/').unwrap_or(path);
        assert!(process.iter().filter_map(described).any(|other| other == path), "{path}");
    }
    for path in undescribed(&query_api::routes()) {
        let file = path == "/dashboard"
            || ["/dashboard/", "/docs/"].iter().any(|folder| path.starts_with(folder));
        assert!(file, "{path}");
    }
}

#[test]
fn every_address_of_the_endpoint_and_of_a_process_is_described() {
    let served = served();
    for path in ingest::http::PATHS {
        assert!(served["paths"][path]["post"].is_object(), "{path}");
    }
    for path in ["/metrics", "/livez", "/readyz", "/openapi.json"] {
        assert!(served["paths"][path]["get"].is_object(), "{path}");
    }
}

#[test]
fn each_half_describes_its_own_calls_and_those_of_every_process() {
    fn half<S>(routes: Vec<Route<S>>) -> Value {
        let own = routes.iter().filter_map(Route::description);
        let process = telemetry::routes();
        let half = http::document(own.chain(process.iter().filter_map(Route::description)));
        serde_json::from_str(&openapi::text(&half).unwrap()).unwrap()
    }
    let whole = served();
    for (half, method) in
        [(half(ingest::http::routes()), "post"), (half(query_api::routes()), "get")]
    {
        assert!(half["paths"]["/livez"].is_object());
        assert_references_exist(&half, &half);
        for (path, item) in members(&half["paths"]) {
            for (described, operation) in members(item) {
                assert_eq!(operation, &whole["paths"][path][described], "{described} {path}");
                assert!(
                    described == method
                        || ["/metrics", "/livez", "/readyz", "/openapi.json"]
                            .contains(&path.as_str())
                );
            }
        }
    }
}

/// Clients generate a function from each id.
#[test]
fn every_call_has_an_id_of_its_own_and_the_older_ones_are_deprecated() {
    let document = served();
    let (mut ids, mut calls) = (BTreeSet::new(), 0);
    for (path, item) in members(&document["paths"]) {
        for (_, call) in members(item) {
            let id = call["operationId"].as_str().unwrap();
            let is_a_word = id.starts_with(|letter: char| letter.is_ascii_lowercase())
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
            assert!(is_a_word && ids.insert(id.to_owned()), "{path}: {id}");
            let legacy = call["tags"] == json!(["Legacy"]);
            assert_eq!(call["deprecated"] == true, legacy, "{path}");
            calls += 1;
        }
    }
    assert!(calls > 10, "{calls}");
}

/// Clients generate a type from each schema. An object within another schema would get a made-up
/// name.
#[test]
fn every_object_and_every_enumeration_of_a_reply_or_a_body_has_a_name() {
    fn nameless(value: &Value, found: &mut Vec<String>) {
        for member in value.as_array().into_iter().flatten().chain(members(value).map(|it| it.1)) {
            if member["properties"].is_object() || member["enum"].is_array() {
                found.push(member.to_string());
            }
            nameless(member, found);
        }
    }
    let (document, mut found) = (served(), Vec::new());
    let mut all = Vec::new();
    contents(&document["paths"], &mut all);
    all.iter().for_each(|content| nameless(&content["schema"], &mut found));
    members(&document["components"]["schemas"])
        .for_each(|(_, schema)| nameless(schema, &mut found));
    assert!(found.is_empty(), "{found:#?}");
}

/// Every description is at least one full sentence.
#[test]
fn no_text_is_a_fragment() {
    fn texts<'a>(value: &'a Value, found: &mut Vec<(&'a str, &'a str)>) {
        for (key, member) in members(value) {
            match member {
                Value::String(text) if key == "description" => found.push((key, text)),
                _ if key == "examples" || key == "example" => {}
                _ => texts(member, found),
            }
        }
        value.as_array().into_iter().flatten().for_each(|item| texts(item, found));
    }
    let (document, mut found) = (served(), Vec::new());
    texts(&document, &mut found);
    assert!(found.len() > 100, "{}", found.len());
    for (_, text) in found {
        let whole = text.ends_with('.') || text.ends_with("```");
        assert!(
            whole && text.split(' ').count() > 1 && !text.starts_with(char::is_lowercase),
            "{text}"
        );
    }
}

#[test]
fn every_example_is_of_its_schema_and_every_content_has_one() {
    let document = served();
    let mut found = Vec::new();
    contents(&document["paths"], &mut found);
    assert!(found.len() > 60, "{}", found.len());
    for content in found {
        let schema = validator(&document, &content["schema"]);
        assert!(members(&content["examples"]).count() > 0, "{content}");
        for (name, example) in members(&content["examples"]) {
            // An example named `excerpt` shows only a part of its object.
            let fault =
                if name == "excerpt" { None } else { schema.validate(&example["value"]).err() };
            assert!(fault.is_none(), "{name}: {}: {}", fault.unwrap(), example["value"]);
        }
    }
}

#[test]
fn every_example_of_a_parameter_is_of_its_schema() {
    let document = served();
    let mut tried = 0;
    for operation in members(&document["paths"])
        .flat_map(|(_, item)| members(item))
        .map(|(_, operation)| operation)
    {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            if let Some(example) = parameter.get("example") {
                assert!(
                    validator(&document, &parameter["schema"]).is_valid(example),
                    "{parameter}"
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 5, "{tried}");
}

#[test]
fn what_is_an_event_is_one_by_the_description_too() {
    let document = served();
    let event = validator(&document, &json!({ "$ref": "#/components/schemas/Row" }));
    for example in SCHEMA.document["examples"].as_array().unwrap() {
        // The parser ignores the country of an end, but the description allows only valid ones.
        let shown = example["country"].is_number();
        assert!(shown || event.is_valid(example), "{example}");
    }
    for code in
        ["not_an_object", "missing_user_id", "missing_session_id", "missing_ts", "invalid_event"]
    {
        let rejected = SCHEMA.document["rejectedExamples"].as_array().unwrap();
        let example = rejected.iter().find(|example| example["code"] == code).unwrap();
        assert!(!event.is_valid(&example["value"]), "{example}");
    }
}
