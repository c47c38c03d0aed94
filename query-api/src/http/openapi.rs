//! The OpenAPI descriptions of the queries: the parts that they share.
//!
//! The examples query the batch of the first seed at noon of 2019-05-13. The texts of their errors
//! are those of the errors themselves.

use serde_json::{Value, json};
use shared::{
    http::openapi::{Call, Example},
    store::StoreError,
};

use crate::{error::QueryError, params};

pub(super) mod older;
mod parameters;
pub(super) mod schema;
pub(super) mod starts;
pub(super) mod users;

/// The only user of the examples with a complete session.
const USER: &str = "d6313e1fb7d247a6a034e2aadc30ab3f";
/// That session.
const SESSION: &str = "5f933591-8cd5-4147-8736-d6237bef5891";

/// The command that sends a GET request to `path`, which may have a query string.
fn curl(path: &str) -> String {
    let plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte));
    let quote = if plain { "" } else { "'" };
    format!("curl {quote}http://127.0.0.1:5000{path}{quote}")
}

/// The session of the examples.
fn complete() -> Value {
    json!({
        "user_id": USER,
        "session_id": SESSION,
        "country": "ZZ",
        "started_at": "2018-11-16T18:01:37Z",
        "ended_at": "2018-11-18T06:24:50Z",
        "duration_ms": 130_993_000,
    })
}

/// The examples of errors: the name, the command and the error of each.
type Errors = Vec<(&'static str, String, QueryError)>;

/// Adds the errors of a query at `path` whose parameters are `known`: those that every query has, and
/// `errors` with status 400. A query that `streams` its reply has one more.
fn failing(call: Call, path: &str, known: &[&'static str], errors: Errors, streams: bool) -> Call {
    let at = |query: &str| curl(&format!("{path}?{query}"));
    let repeated = known.first().map(|name| {
        let error = QueryError::RepeatedParameter(name);
        ("repeated_parameter", at(&format!("{name}=1&{name}=2")), error)
    });
    let every = [
        ("unknown_parameter", at("day=1"), params::unknown("day", known)),
        ("invalid_query", at("%FF=1"), QueryError::InvalidQuery),
    ];
    let damaged = QueryError::Damaged(StoreError::Corrupt(String::new()));
    let down = QueryError::Unavailable(StoreError::Unavailable(String::new()));
    let mut passing = vec![
        ("unavailable", "When the store is down.".to_owned(), down),
        (
            "crowded",
            "When so many queries are in flight that one waits for 15 seconds.".to_owned(),
            QueryError::Crowded,
        ),
    ];
    if streams {
        let condition = "When clients leave 32 streamed replies unread.".to_owned();
        passing.push(("busy", condition, QueryError::Busy));
    }
    call.failing(
        "The query is not valid.",
        examples(every.into_iter().chain(repeated).chain(errors)),
    )
    .failing(
        "The store contains a row that cannot be read. The same query fails again.",
        examples([("damaged", "When the store is damaged.".to_owned(), damaged)]),
    )
    .failing("The query cannot be answered now. Try again later.", examples(passing))
}

fn examples(errors: impl IntoIterator<Item = (&'static str, String, QueryError)>) -> Vec<Example> {
    let example = |(name, command, error): (_, String, QueryError)| {
        Example::error(command, &error.http()).named(name)
    };
    errors.into_iter().map(example).collect()
}
