//! The parameters of the questions, as they are described. An example stands where a form is to be filled in with it: two ways
//! of saying the same have one between them.

use serde_json::{Value, json};
use shared::{
    event::{SessionId, UserId},
    http::openapi::of,
    session::Status,
};
use utoipa::openapi::{
    ObjectBuilder, RefOr, Required, Schema, Type,
    path::{Parameter, ParameterBuilder, ParameterIn},
    schema::{ArrayBuilder, SchemaFormat},
};

use super::{SESSION, USER};

/// What `step` may be.
pub(super) const STEPS: [&str; 3] = ["minute", "hour", "day"];

fn parameter(
    name: &str,
    description: &str,
    schema: impl Into<RefOr<Schema>>,
    example: Option<Value>,
) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .example(example)
        .build()
}

fn number(most: i32) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Number).exclusive_minimum(Some(0)).maximum(Some(most))
}

// Without an example: a form that is filled in with `days` must not be filled in with these too.
fn instant() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::Custom("date-time".to_owned())))
}

/// How far to look back.
pub(super) fn length() -> [Parameter; 2] {
    let days = "How far to look back: above 0 and at most a year, fractions allowed. The window ends 5 minutes ahead, for starts \
                that are stamped ahead.";
    [
        parameter("days", days, number(365), Some(json!(170))),
        parameter("hours", "The same in hours, in place of `days`.", number(8_760), None),
    ]
}

/// A window in one of the ways to say it, and whose countries.
pub(super) fn window() -> Vec<Parameter> {
    let countries = ArrayBuilder::new().items(ObjectBuilder::new().schema_type(Type::String));
    let mut all = Vec::from(length());
    all.extend([
        parameter(
            "from",
            "The first instant of a window, in place of `days`: an RFC 3339 time.",
            instant(),
            None,
        ),
        parameter("to", "The first instant behind it; now, where it is left out.", instant(), None),
        parameter(
            "country",
            "May be repeated. Without it every country that is known is meant; each is a key of the reply.",
            countries,
            None,
        ),
    ]);
    all
}

/// The size of a page, and where it goes on.
pub(super) fn page(usual: usize, most: i32) -> [Parameter; 2] {
    let limit = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(most))
        .default(Some(json!(usual)));
    let cursor = "The `next` of a reply to the same question.";
    [
        parameter("limit", "The most that one reply holds.", limit, None),
        parameter("cursor", cursor, ObjectBuilder::new().schema_type(Type::String), None),
    ]
}

/// In which slots of time starts are counted.
pub(super) fn step() -> Parameter {
    let step = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(STEPS));
    parameter(
        "step",
        "Counts in slots of this length; without it, all together. Minutes only of a window of at most 2 days.",
        step,
        None,
    )
}

/// Which sessions.
pub(super) fn status() -> Parameter {
    parameter(
        "status",
        "Which sessions; complete ones, where it is left out.",
        of::<Status>(),
        None,
    )
}

/// A user in the query, by one of the two names.
pub(super) fn user() -> [Parameter; 2] {
    [
        parameter("user_id", "Whose sessions.", of::<UserId>(), Some(json!(USER))),
        parameter(
            "player_id",
            "Another name of `user_id`: give one of them.",
            of::<UserId>(),
            None,
        ),
    ]
}

fn segment(name: &str, schema: RefOr<Schema>, example: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("A slash within it is written `%2F`."))
        .schema(Some(schema))
        .example(Some(json!(example)))
        .build()
}

/// A user in the path.
pub(super) fn user_segment() -> Parameter {
    segment("user_id", of::<UserId>(), USER)
}

/// A session in the path.
pub(super) fn session_segment() -> Parameter {
    segment("session_id", of::<SessionId>(), SESSION)
}
