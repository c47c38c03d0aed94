//! The description of the questions: what each takes, and every answer to it.
//!
//! The examples are asked of the first seed's batch, at noon of 2019-05-13.

use serde_json::{Value, json};
use shared::{
    event::{Country, SessionId, UserId},
    http::openapi::{Call, Example, Reply, Schemas, add, by_country, list, of},
    session::{CompletedSession, SessionStart},
    timestamp::Timestamp,
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, OneOfBuilder, RefOr, Schema, Type},
};
use warp::http::StatusCode;

use crate::{sessions::Listed, starts::Slot};

mod older;
mod params;
mod starts;
mod users;

/// The one user of the examples with a complete session.
const USER: &str = "d6313e1fb7d247a6a034e2aadc30ab3f";
/// That session.
const SESSION: &str = "5f933591-8cd5-4147-8736-d6237bef5891";

/// Starts under the keys of their countries.
pub(super) enum StartsByCountry {}

/// Numbers under the keys of their countries.
pub(super) enum CountByCountry {}

/// Every question.
#[must_use]
pub fn calls() -> Vec<Call> {
    vec![
        starts::listed(),
        starts::counted(),
        users::sessions(),
        users::session(),
        older::root(),
        older::last_events(),
        older::last_sessions(),
    ]
}

/// The command that asks `path`, which may have a query.
fn curl(path: &str) -> String {
    let plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte));
    if plain {
        format!("curl http://127.0.0.1:5000{path}")
    } else {
        format!("curl 'http://127.0.0.1:5000{path}'")
    }
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

/// What any question at `path` may be answered with beside its answer; `takes` are its parameters, `wrong` its own faults.
fn refused(call: Call, path: &str, takes: &[&str], wrong: Vec<Example>) -> Call {
    let listed = takes.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let listed = if takes.is_empty() { "none" } else { listed.as_str() };
    let unknown = format!("`day` is not a parameter of this call; it takes {listed}");
    let mut examples = vec![
        Example::error("unknown_parameter", curl(&format!("{path}?day=1")), &unknown),
        Example::error(
            "invalid_query",
            curl(&format!("{path}?%FF=1")),
            "the query string must be UTF-8, percent-encoded where it is not plain",
        ),
    ];
    if let Some(name) = takes.first() {
        let twice = format!("`{name}` may be given once only");
        examples.push(Example::error(
            "repeated_parameter",
            curl(&format!("{path}?{name}=1&{name}=2")),
            &twice,
        ));
    }
    examples.extend(wrong);
    call.answering(
        StatusCode::BAD_REQUEST,
        Reply::error("The question cannot be understood.", examples),
    )
    .answering(
        StatusCode::INTERNAL_SERVER_ERROR,
        Reply::error(
            "The store holds what cannot be read; asking again does not help.",
            [Example::error(
                "damaged",
                "With a damaged store.",
                "the store holds a row that cannot be read; the operator has to repair it",
            )],
        ),
    )
}

/// What any question may be answered with for now; `streamed` are those whose reply is not cut.
fn not_now(call: Call, streamed: bool) -> Call {
    let mut examples = vec![
        Example::error(
            "unavailable",
            "With a store that is down.",
            "the store cannot answer now; try again soon",
        ),
        Example::error_as(
            "crowded",
            "busy",
            "With more questions under way than wait for 15 seconds.",
            "too many questions are under way; try again soon",
        ),
    ];
    if streamed {
        examples.push(Example::error(
            "busy",
            "With 32 uncut replies that their readers leave unread.",
            "too many uncut replies are under way; try again soon, or ask page by page at /v1/session-starts",
        ));
    }
    call.answering(StatusCode::SERVICE_UNAVAILABLE, Reply::for_now("Not now.", examples))
}

impl PartialSchema for StartsByCountry {
    fn schema() -> RefOr<Schema> {
        by_country("The starts of each country, newest first.", list(of::<SessionStart>()))
    }
}

impl ToSchema for StartsByCountry {
    fn schemas(schemas: &mut Schemas) {
        add::<SessionStart>(schemas);
    }
}

impl PartialSchema for CountByCountry {
    fn schema() -> RefOr<Schema> {
        let count = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
        by_country("The number of starts in each country.", count.into())
    }
}

impl ToSchema for CountByCountry {}

impl PartialSchema for Listed {
    fn schema() -> RefOr<Schema> {
        let object = |title: &str| {
            let object = ObjectBuilder::new().title(Some(title)).schema_type(Type::Object);
            let object = object.property("user_id", of::<UserId>()).required("user_id");
            object
                .property("session_id", of::<SessionId>())
                .required("session_id")
                .additional_properties(Some(CLOSED))
        };
        let open = object("open")
            .property("country", of::<Country>())
            .required("country")
            .property("started_at", of::<Timestamp>())
            .required("started_at");
        let orphan = object("orphan").property("ended_at", of::<Timestamp>()).required("ended_at");
        OneOfBuilder::new()
            .item(of::<CompletedSession>())
            .item(open)
            .item(orphan)
            .description(Some("A session as it is listed, by its status."))
            .into()
    }
}

impl ToSchema for Listed {
    fn schemas(schemas: &mut Schemas) {
        add::<CompletedSession>(schemas);
    }
}

/// There are no other fields.
const CLOSED: utoipa::openapi::schema::AdditionalProperties<Schema> =
    utoipa::openapi::schema::AdditionalProperties::FreeForm(false);

/// Numbers of each country by slots of time, as they are streamed.
enum Series {}

impl PartialSchema for Series {
    fn schema() -> RefOr<Schema> {
        let step = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(params::STEPS));
        let fields = [
            ("from", of::<Timestamp>()),
            ("to", of::<Timestamp>()),
            ("step", step.into()),
            (
                "series",
                by_country(
                    "A key for each country that is meant; empty slots are left out.",
                    list(of::<Slot>()),
                ),
            ),
        ];
        let object = ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some("How many starts there were in each slot."));
        fields
            .into_iter()
            .fold(object, |object, (name, schema)| object.property(name, schema).required(name))
            .into()
    }
}

impl ToSchema for Series {
    fn schemas(schemas: &mut Schemas) {
        add::<Timestamp>(schemas);
        add::<Slot>(schemas);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use shared::http::openapi::document;

    use super::*;
    use crate::http::route::Route;

    /// Whoever adds a route is led here by the compiler: it belongs into the list below.
    fn template(route: &Route) -> &'static str {
        match route {
            Route::Root
            | Route::Starts
            | Route::StartCounts
            | Route::Sessions { .. }
            | Route::Session { .. }
            | Route::LastEvents
            | Route::LastSessions => route.template(),
        }
    }

    #[test]
    fn every_question_is_described_and_nothing_else() {
        let (user, session) = (USER.to_owned(), SESSION.to_owned());
        let routes = [
            Route::Root,
            Route::Starts,
            Route::StartCounts,
            Route::Sessions { user: user.clone() },
            Route::Session { user, session },
            Route::LastEvents,
            Route::LastSessions,
        ];
        let alone: BTreeSet<_> = document([]).paths.paths.into_keys().collect();
        let described =
            document(calls()).paths.paths.into_keys().filter(|path| !alone.contains(path));
        assert_eq!(
            described.collect::<BTreeSet<_>>(),
            routes.iter().map(|route| template(route).to_owned()).collect()
        );
    }
}
