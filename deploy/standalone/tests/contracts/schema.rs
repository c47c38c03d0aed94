//! The schema of an event, ready to be asked: as a whole, and rule by rule. Nothing is ever fetched for it.

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

/// One rule of the schema's `allOf`, and the codes that it names.
struct Rule {
    holds: Validator,
    codes: Vec<String>,
}

impl Schema {
    fn read(document: Value) -> Self {
        let rules = document["allOf"].as_array().unwrap().iter().map(|rule| {
            let mut alone = rule.clone();
            alone["$schema"] = document["$schema"].clone();
            alone["$defs"] = document["$defs"].clone();
            Rule {
                holds: jsonschema::validator_for(&alone).unwrap(),
                codes: serde_json::from_value(rule["rejectionCodes"].clone()).unwrap(),
            }
        });
        let (rules, whole) = (rules.collect(), jsonschema::validator_for(&document).unwrap());
        Self { document, whole, rules }
    }

    /// What the schema says of a value: the codes are those of the first rule that does not hold.
    pub(crate) fn judge(&self, value: &Value) -> Result<(), &[String]> {
        let broken = self.rules.iter().find(|rule| !rule.holds.is_valid(value));
        assert_eq!(
            self.whole.is_valid(value),
            broken.is_none(),
            "the rules of `allOf` say all that the schema says: {value}"
        );
        broken.map_or(Ok(()), |rule| Err(&rule.codes))
    }
}

#[test]
fn a_value_that_breaks_several_rules_is_named_by_the_first() {
    let broken = json!({ "user_id": "u", "session_id": "null", "event": 1 });
    assert_eq!(SCHEMA.judge(&broken), Err(["invalid_session_id".to_owned()].as_slice()));
}
