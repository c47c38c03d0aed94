//! Sends every query to a service and compares the replies with the model.

use serde_json::{Map, Value};

use crate::{
    client::{Client, escaped},
    model::{Answers, Model, explain},
    reading::{Event, Fact, instant_of},
};

/// The number of concurrent requests.
const AT_ONCE: usize = 4;

/// Fails unless every reply of the service agrees with `model`.
pub(crate) fn compare(client: Client, model: &Model) {
    let expected = model.answers();
    same(&expected, &ask_all(client, expected.keys().cloned().collect()));
}

/// Fails with the first differences.
pub(crate) fn same(expected: &Answers, answers: &Answers) {
    let different: Vec<_> =
        expected.iter().filter(|(path, answer)| answers.get(*path) != Some(answer)).collect();
    let text: String = different
        .iter()
        .take(3)
        .map(|(path, expected)| {
            format!("\n{path}\n  expected {expected:.2000}\n  answered {:.2000}", answers[*path])
        })
        .collect();
    assert!(different.is_empty(), "{} of {} answers differ{text}", different.len(), expected.len());
}

/// Returns the replies to all `paths`.
pub(crate) fn ask_all(client: Client, paths: Vec<String>) -> Answers {
    let ask = |paths: &[String]| {
        paths.iter().map(|path| (path.clone(), ask(client, path))).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let asking: Vec<_> = paths
            .chunks(paths.len().div_ceil(AT_ONCE).max(1))
            .map(|some| scope.spawn(move || ask(some)))
            .collect();
        asking.into_iter().flat_map(|asking| asking.join().unwrap()).collect()
    })
}

/// Returns one reply with its pages combined, without the fields that depend on more than the
/// events.
fn ask(client: Client, path: &str) -> Value {
    if path.starts_with("/user/") {
        return client.ask(path);
    }
    if path.starts_with("/v1/session-starts/counts") {
        return client.ask(path)["countries"].take();
    }
    if path.starts_with("/v1/session-starts") {
        let mut countries = Map::new();
        for mut page in pages(client, path) {
            for (country, starts) in page["countries"].as_object_mut().unwrap() {
                let known = countries.entry(country).or_insert_with(|| Value::Array(Vec::new()));
                known.as_array_mut().unwrap().append(starts.as_array_mut().unwrap());
            }
        }
        return countries.into();
    }
    if path.contains("/sessions?") {
        let mut pages = pages(client, path);
        return pages
            .iter_mut()
            .flat_map(|page| std::mem::take(page["sessions"].as_array_mut().unwrap()))
            .collect();
    }
    let mut explained = client.ask(path);
    let why = explained.as_object_mut().unwrap().remove("why").unwrap();
    assert!(why.as_str().unwrap().contains(explained["status"].as_str().unwrap()), "{why}");
    explained
}

fn pages(client: Client, path: &str) -> Vec<Value> {
    let mut pages = vec![client.ask(path)];
    while let Some(next) = pages[pages.len() - 1]["next"].as_str() {
        pages.push(client.ask(&format!("{path}&cursor={}", escaped(next))));
        assert!(pages.len() < 10_000, "{path} has no end");
    }
    pages
}

/// Returns every event that the service has of the sessions `of`.
pub(crate) fn known_events<'a>(
    client: Client,
    of: impl Iterator<Item = &'a (String, String)>,
) -> Vec<Event> {
    let sessions: Vec<_> = of.collect();
    let ask = |sessions: &[&(String, String)]| -> Vec<Event> {
        sessions.iter().flat_map(|(user, session)| known_of(client, user, session)).collect()
    };
    std::thread::scope(|scope| {
        let some = sessions.chunks(sessions.len().div_ceil(AT_ONCE).max(1));
        let asking: Vec<_> = some.map(|some| scope.spawn(move || ask(some))).collect();
        asking.into_iter().flat_map(|asking| asking.join().unwrap()).collect()
    })
}

fn known_of(client: Client, user: &str, session: &str) -> Vec<Event> {
    let path = explain(user, session);
    let reply = client.get(&path).unwrap();
    if reply.status == 404 {
        return Vec::new();
    }
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    let fact = |fact: &Value| {
        let ts = instant_of(fact["ts"].as_str().unwrap());
        match fact["kind"].as_str().unwrap() {
            "start" => Fact::Start(ts, fact["country"].as_str().unwrap().to_owned()),
            _ => Fact::End(ts),
        }
    };
    let event =
        |known| Event { user: user.to_owned(), session: session.to_owned(), fact: fact(known) };
    reply.json()["facts"].as_array().unwrap().iter().map(event).collect()
}
