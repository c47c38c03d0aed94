//! The examples of replies in an OpenAPI document, and how a reply is compared with one.

use serde_json::Value;
use shared::timestamp::{MINUTE, Timestamp};

/// An example of a reply, and its place in the document.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) status: u16,
    pub(super) media: String,
    pub(super) name: String,
    asked: String,
    said: Value,
}

impl Shown {
    /// The command line, if the example has one.
    pub(super) fn command(&self) -> Option<&str> {
        self.asked.strip_prefix("```sh\n")?.strip_suffix("\n```")
    }

    pub(super) fn assert_said(&self, status: u16, media: &str, body: &str) {
        assert_eq!(
            (status, media.split(';').next().unwrap()),
            (self.status, self.media.as_str()),
            "{self:?}: {body}"
        );
        let same = match &self.said {
            Value::String(text) if self.name == "excerpt" => {
                text.lines().all(|line| body.contains(line))
            }
            Value::String(text) if self.media == "text/html" => body.starts_with(text),
            Value::String(text) => without_sizes(text) == without_sizes(body),
            said => {
                let body = serde_json::from_str(body)
                    .unwrap_or_else(|error| panic!("{self:?}: {error}: {body}"));
                if self.name == "excerpt" {
                    holds(&body, said)
                } else {
                    at_one_time(&body) == at_one_time(said)
                }
            }
        };
        assert!(same, "{self:?}\nwas answered {body}");
    }
}

pub(super) fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Returns every example of a reply in a document.
pub(super) fn shown(document: &Value) -> Vec<Shown> {
    let mut all = Vec::new();
    for (path, item) in members(&document["paths"]) {
        for (method, operation) in members(item) {
            for (status, reply) in members(&operation["responses"]) {
                for (media, content) in members(&reply["content"]) {
                    all.extend(members(&content["examples"]).map(|(name, example)| Shown {
                        method: method.to_uppercase(),
                        path: path.clone(),
                        status: status.parse().unwrap(),
                        media: media.clone(),
                        name: name.clone(),
                        asked: example["description"].as_str().unwrap().to_owned(),
                        said: example["value"].clone(),
                    }));
                }
            }
        }
    }
    all
}

/// Removes the numbers and their units from `text`, because the free bytes of a disk change.
fn without_sizes(text: &str) -> String {
    let is_word = |word: &&str| word.parse::<f64>().is_err() && !word.ends_with("iB");
    text.split_whitespace().filter(is_word).collect::<Vec<_>>().join(" ")
}

/// Whether `whole` contains everything in `part`.
fn holds(whole: &Value, part: &Value) -> bool {
    match part {
        Value::Object(_) => members(part).all(|(key, part)| holds(&whole[key], part)),
        part => whole == part,
    }
}

/// Replaces the ends of a window that moves with the clock by those at the start of the clock.
fn at_one_time(reply: &Value) -> Value {
    let mut reply = reply.clone();
    for (key, text) in [("from", "2018-11-24T12:00:00Z"), ("to", "2019-05-13T12:05:00Z")] {
        let start = Timestamp::parse(text).unwrap();
        let given = reply.get(key).and_then(|given| Timestamp::parse(given.as_str()?));
        if given.is_some_and(|given| (0..10 * MINUTE).contains(&(given - start))) {
            reply[key] = Value::from(text);
        }
    }
    reply
}
