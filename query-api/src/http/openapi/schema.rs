//! The schemas of replies that no type of their own represents.

use shared::{
    event::{Country, SessionId, UserId},
    http::openapi::{array_of, by_country, object_schema, schema_ref},
    session::{CompletedSession, SessionStart},
    timestamp::Timestamp,
};
use utoipa::openapi::{ObjectBuilder, OneOfBuilder, Schema, Type, schema::AdditionalProperties};

use crate::{sessions::ListedSession, starts::Slot};

/// The values of `step`.
pub(super) const STEPS: [&str; 3] = ["minute", "hour", "day"];

/// The starts of each country.
pub(in crate::http) enum StartsByCountry {}

/// The number of starts of each country.
pub(in crate::http) enum CountByCountry {}

/// The number of starts of each country by slots of time, which is streamed.
pub(super) enum Series {}

/// A bare array of sessions.
pub(super) enum LastSessions {}

/// The sessions of a user under the user's id.
pub(super) enum SessionsOfUser {}

/// Excludes other fields.
const CLOSED: AdditionalProperties<Schema> = AdditionalProperties::FreeForm(false);

shared::schemas! {
    StartsByCountry: SessionStart => by_country(
        "The starts of each country, newest first.",
        array_of(schema_ref::<SessionStart>()),
    );

    CountByCountry => by_country(
        "The number of starts of each country.",
        ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).into(),
    );

    Series: Timestamp, Slot => object_schema([
        ("from", schema_ref::<Timestamp>()),
        ("to", schema_ref::<Timestamp>()),
        ("step", ObjectBuilder::new().schema_type(Type::String).enum_values(Some(STEPS)).into()),
        ("series", by_country(
            "The slots of each country of the query. Slots without a start are omitted.",
            array_of(schema_ref::<Slot>()),
        ).into()),
    ])
    .description(Some("The number of starts in each slot of time."));

    LastSessions: CompletedSession => array_of(schema_ref::<CompletedSession>());

    SessionsOfUser: CompletedSession => ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(array_of(schema_ref::<CompletedSession>())))
        .min_properties(Some(1))
        .max_properties(Some(1))
        .description(Some("An object with one key, the id of the user."));

    ListedSession as "Listed": CompletedSession => OneOfBuilder::new()
        .item(schema_ref::<CompletedSession>())
        .item(object_schema([
            ("user_id", schema_ref::<UserId>()),
            ("session_id", schema_ref::<SessionId>()),
            ("country", schema_ref::<Country>()),
            ("started_at", schema_ref::<Timestamp>()),
        ]).title(Some("open")).additional_properties(Some(CLOSED)))
        .item(object_schema([
            ("user_id", schema_ref::<UserId>()),
            ("session_id", schema_ref::<SessionId>()),
            ("ended_at", schema_ref::<Timestamp>()),
        ]).title(Some("orphan")).additional_properties(Some(CLOSED)))
        .description(Some("A session in a list. Its fields depend on its status."));
}
