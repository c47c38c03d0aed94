//! Documents of any shape are split into the same elements as a JSON library finds.

use std::io::{BufReader, Read};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[\\[\\]{},:\"\\\\a\n ]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[rows\"\\[{]{0,4}", inner, 0..4)
                .prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #[test]
    fn an_array_is_split_into_its_elements_wherever_it_is_cut(
        elements in prop::collection::vec(any_json(), 0..6),
        beside in any_json(),
        key in prop_oneof![Just(None), Just(Some("events")), Just(Some("rows"))],
        is_printed in any::<bool>(),
        buffer in 1_usize..20,
    ) {
        let document = match key {
            Some(key) => json!({ "a": beside, key: elements, "z": beside }),
            None => json!(elements),
        };
        let text = match is_printed {
            true => serde_json::to_string_pretty(&document).unwrap(),
            false => document.to_string(),
        };
        let mut reader = BufReader::with_capacity(buffer, (text.clone() + "next").leak().as_bytes());
        let mut found = Vec::new();
        let mut splitter = Document::new();
        let is_open = splitter.read(&mut reader, |element| {
            let Element::Text(element) = element else { panic!("{text}") };
            found.push(serde_json::from_slice::<Value>(element).unwrap());
            true
        });
        prop_assert!(is_open.unwrap());
        prop_assert_eq!(found, elements);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        prop_assert_eq!(rest, "next");
        prop_assert_eq!(splitter.newlines(), text.matches('\n').count() as u64);
    }
}
