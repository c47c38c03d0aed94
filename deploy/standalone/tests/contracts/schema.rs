//! The JSON Schema of an event, compiled as a whole and rule by rule. It never fetches a reference.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};

/// `specification/event.schema.json`.
pub(crate) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::read(
        serde_json::from_str(include_str!("../../../../specification/event.schema.json")).unwrap(),
    )
});

pub(crate) struct Schema {
    pub(crate) document: Value,
    whole: Validator,
    rules: Vec<Rule>,
}

/// One rule of `allOf`, and the codes that it names.
struct Rule {
    validator: Validator,
    codes: Vec<String>,
}

impl Schema {
    fn read(document: Value) -> Self {
        let rules = document["allOf"].as_array().unwrap().iter().map(|rule| {
            let mut alone = rule.clone();
            alone["$schema"] = document["$schema"].clone();
            alone["$defs"] = document["$defs"].clone();
            Rule {
                validator: jsonschema::validator_for(&alone).unwrap(),
                codes: serde_json::from_value(rule["rejectionCodes"].clone()).unwrap(),
            }
        });
        let (rules, whole) = (rules.collect(), jsonschema::validator_for(&document).unwrap());
        Self { document, whole, rules }
    }

    /// Validates a value. An error has the codes of the first rule that the value does not match.
    pub(crate) fn judge(&self, value: &Value) -> Result<(), &[String]> {
        let broken = self.rules.iter().find(|rule| !rule.validator.is_valid(value));
        assert_eq!(
            self.whole.is_valid(value),
            broken.is_none(),
            "the rules of `allOf` must be equivalent to the whole schema: {value}"
        );
        broken.map_or(Ok(()), |rule| Err(&rule.codes))
    }
}

#[test]
fn a_value_that_breaks_several_rules_is_named_by_the_first() {
    let broken = json!({ "user_id": "u", "session_id": "null", "event": 1 });
    assert_eq!(SCHEMA.judge(&broken), Err(["invalid_session_id".to_owned()].as_slice()));
}
