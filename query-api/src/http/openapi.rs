//! The OpenAPI descriptions of the queries: the parts that they share.
//!
//! The examples query the batch of the first seed at noon of 2019-05-13. The texts of their errors
//! are those of the errors themselves.

use serde_json::{Value, json};
use shared::{
    event::{Country, SessionId, UserId},
    http::{
        ParamsError,
        openapi::{Call, Example, array_of, by_country, object_schema, schema_ref},
    },
    session::{CompletedSession, SessionStart},
    store::StoreError,
    timestamp::Timestamp,
};
use utoipa::openapi::{
    ObjectBuilder, OneOfBuilder, Schema, Type,
    schema::{AdditionalProperties, ArrayBuilder, SchemaType},
};

use crate::{QueryOptions, error::QueryError, sessions::ListedSession, starts::Slot};

mod parameters;
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
        "user_id": USER, "session_id": SESSION, "country": "ZZ", "duration_ms": 130_993_000,
        "started_at": "2018-11-16T18:01:37Z", "ended_at": "2018-11-18T06:24:50Z",
    })
}

/// The errors of a query: the name of the example, the command or the condition, and the error.
type Errors = Vec<(&'static str, String, QueryError)>;

/// Adds `errors` and the errors that every query has. The query is at `path`, its parameters are
/// `known`, and one that `streams` its reply has one error more.
fn failing(
    call: Call,
    path: &str,
    known: &[&'static str],
    mut errors: Errors,
    streams: bool,
) -> Call {
    let mut add = |name, command: &str, error| errors.push((name, command.to_owned(), error));
    let at = |query: &str| curl(&format!("{path}?{query}"));
    // Older calls ignore parameters that they do not know.
    if path.starts_with("/v1/") {
        add("unknown_parameter", &at("day=1"), ParamsError::unknown("day", known).into());
        add("invalid_query", &at("%FF=1"), ParamsError::Invalid.into());
    } else if let Some(name) = known.first() {
        add("invalid_query", &at(&format!("{name}=%FF")), ParamsError::Invalid.into());
    }
    if let Some(name) = known.first() {
        let repeated = ParamsError::Repeated(name).into();
        add("repeated_parameter", &at(&format!("{name}=1&{name}=2")), repeated);
    }
    let damaged = QueryError::Damaged(StoreError::Corrupt(String::new()));
    add("damaged", "When the store is damaged.", damaged);
    let down = QueryError::Unavailable(StoreError::Unavailable(String::new()));
    add("unavailable", "When the store is down.", down);
    let slow = QueryError::Slow(QueryOptions::default().deadline);
    add("slow", "When the store does not answer within the deadline, 12 seconds by default.", slow);
    let crowded = "When so many queries are in flight that one waits until its deadline.";
    add("crowded", crowded, QueryError::Crowded);
    if streams {
        add("busy", "When clients leave 32 streamed replies unread.", QueryError::Busy);
    }
    let example =
        |(name, command, error): (_, _, QueryError)| Example::error(name, command, &error.http());
    call.failing(errors.into_iter().map(example))
}

/// The length of slots of time.
enum Step {}

/// The starts of each country.
pub(super) enum StartsByCountry {}

/// The number of starts of each country.
pub(super) enum CountByCountry {}

/// The number of starts of each country by slots of time, which is streamed.
enum Series {}

/// The slots of time of each country.
enum SeriesByCountry {}

/// A bare array of sessions.
enum LastSessions {}

/// The sessions of a user under the user's id.
enum SessionsOfUser {}

/// A session without an end.
enum OpenSession {}

/// An end without a start.
enum OrphanSession {}

/// Excludes other fields.
const CLOSED: AdditionalProperties<Schema> = AdditionalProperties::FreeForm(false);

shared::schemas! {
    StartsByCountry: SessionStart => by_country(
        "The starts of each country, newest first.",
        array_of(schema_ref::<SessionStart>()),
    );

    Step => ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(["minute", "hour", "day"]))
        .description(Some("The length of slots of time."));

    CountByCountry as "CountsByCountry" => by_country(
        "The number of starts of each country.",
        ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).into(),
    );

    SeriesByCountry: Slot => by_country(
        "The slots of each country of the query. Slots without a start are omitted.",
        array_of(schema_ref::<Slot>()),
    );

    Series as "CountSeries": Timestamp, Step, SeriesByCountry => object_schema([
        ("from", schema_ref::<Timestamp>()),
        ("to", schema_ref::<Timestamp>()),
        ("step", schema_ref::<Step>()),
        ("series", schema_ref::<SeriesByCountry>()),
        ("next", ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .description(Some("The `cursor` for the further countries; `null` if there are none."))
            .into()),
    ])
    .property("others", ArrayBuilder::new()
        .items(schema_ref::<Slot>())
        .description(Some("With `top`: the slots of all other countries together.")))
    .description(Some("The number of starts in each slot of time."));

    LastSessions: CompletedSession => array_of(schema_ref::<CompletedSession>());

    SessionsOfUser as "SessionsByUser": CompletedSession => ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(array_of(schema_ref::<CompletedSession>())))
        .min_properties(Some(1))
        .max_properties(Some(1))
        .description(Some("An object with one key, the id of the user."));

    OpenSession: UserId, SessionId, Country, Timestamp => object_schema([
        ("user_id", schema_ref::<UserId>()),
        ("session_id", schema_ref::<SessionId>()),
        ("country", schema_ref::<Country>()),
        ("started_at", schema_ref::<Timestamp>()),
    ])
    .additional_properties(Some(CLOSED))
    .description(Some("A session with a start and no end."));

    OrphanSession: UserId, SessionId, Timestamp => object_schema([
        ("user_id", schema_ref::<UserId>()),
        ("session_id", schema_ref::<SessionId>()),
        ("ended_at", schema_ref::<Timestamp>()),
    ])
    .additional_properties(Some(CLOSED))
    .description(Some("A session with an end and no start."));

    // Clients take the first that fits, and a complete session fits both of the first two.
    ListedSession: CompletedSession, OpenSession, OrphanSession => OneOfBuilder::new()
        .item(schema_ref::<CompletedSession>())
        .item(schema_ref::<OpenSession>())
        .item(schema_ref::<OrphanSession>())
        .description(Some("A session in a list. Its fields depend on its status."));
}
