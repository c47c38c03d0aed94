//! Tests of the changes to a file of keys.

use super::*;
use crate::access::{Right, Rights, generate, parse_day};

fn key(id: &str) -> (Key, KeyHash) {
    let id: KeyId = id.parse().unwrap();
    let hash = KeyHash::of(generate(&id).unwrap().reveal().as_bytes());
    let rights = Rights::from_iter([Right::Ingest]);
    (Key { id, rights, quota: None, origins: Vec::new(), expires: None, users_prefix: None }, hash)
}

fn with(text: &str, id: &str) -> String {
    let (key, hash) = key(id);
    with_entry(text, &key, &hash).unwrap()
}

fn without(text: &str, id: &str) -> String {
    without_entry(text, &id.parse().unwrap()).unwrap()
}

#[test]
fn a_written_entry_is_read_as_it_was() {
    let (mut key, hash) = key("web-client");
    for _ in 0..2 {
        let text = with_entry("", &key, &hash).unwrap();
        let set = KeySet::parse(&text).unwrap();
        assert_eq!(set.iter().map(|key| (**key).clone()).collect::<Vec<_>>(), [key.clone()]);
        assert!(text.contains(&hash.to_string()), "{text}");
        key.quota = std::num::NonZeroU32::new(7);
        key.origins = vec!["https://game.example".parse().unwrap(), "*".parse().unwrap()];
        key.expires = Some(parse_day("2027-06-01").unwrap());
        key.users_prefix = Some("\"t\\1'ä:".to_owned());
    }
}

#[test]
fn a_new_key_leaves_every_byte_of_the_others_and_its_removal_all_bytes() {
    let one = with("", "one");
    for text in [
        String::new(),
        "# none yet\n".to_owned(),
        one.clone(),
        format!("{one}# the last line\n"),
        one.replace('\n', "\r\n"),
        format!("{one}\n\n\n"),
    ] {
        let more = with(&text, "more");
        assert!(more.starts_with(&text), "{more}");
        let less = without(&more, "more");
        if text.is_empty() {
            assert_eq!(less, HEADER);
        } else {
            assert_eq!(less, text);
        }
    }
    // A missing end of the last line is added.
    assert_eq!(without(&with(one.trim_end(), "more"), "more"), one);
}

#[test]
fn comments_and_spelling_of_other_entries_survive_a_removal() {
    let hash = key("a").1;
    let entry = |id: &str| {
        format!(
            "  [[ key ]] # of {id}\nrights = [ 'read', # why\n  'ingest',\n]\nid='{id}'\nsha256=\"{hash}\" # hash\n"
        )
    };
    let [a, b, c] = ["a", "b", "c"].map(entry);
    let text = format!("# top\n{a}# after a\n\n# before b\n{b}\n# before c\n{c}# end");
    let expected = format!("# top\n{a}# after a\n\n# before b\n\n# before c\n{c}# end");
    assert_eq!(without(&text, "b"), expected);
    assert_eq!(
        without(&expected, "a"),
        format!("# top\n# after a\n\n# before b\n\n# before c\n{c}# end")
    );
    assert_eq!(
        without(&expected, "c"),
        format!("# top\n{a}# after a\n\n# before b\n\n# before c\n# end")
    );
}

#[test]
fn a_file_that_cannot_be_changed_is_left() {
    let one = with("", "one");
    let (key, hash) = key("one");
    assert_eq!(with_entry(&one, &key, &hash), Err(EditError::Exists(key.id.clone())));
    assert_eq!(without_entry("", &key.id), Err(EditError::Missing(key.id.clone())));
    let broken = format!("{one}quota = 0\n");
    assert!(matches!(with_entry(&broken, &key, &hash), Err(EditError::Mistakes(_))));
    assert!(matches!(without_entry(&broken, &key.id), Err(EditError::Mistakes(_))));
    let inline = |id| format!("{{ id = \"{id}\", sha256 = \"{hash}\", rights = [\"read\"] }}");
    let unusual = format!("key = [{}, {}]\n", inline("one"), inline("two"));
    assert_eq!(without_entry(&unusual, &key.id), Err(EditError::Unusual(key.id.clone())));
}

#[test]
fn a_new_key_must_not_contradict_the_others() {
    let (mut one, hash) = key("one");
    one.users_prefix = Some("t1".to_owned());
    let text = with_entry("", &one, &hash).unwrap();
    let (mut two, hash) = key("two");
    two.users_prefix = Some("t12".to_owned());
    assert!(matches!(with_entry(&text, &two, &hash), Err(EditError::Mistakes(_))));
}
