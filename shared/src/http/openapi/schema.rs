//! The schemas of the types that all services share. These types write their JSON themselves, in
//! `event`, `session` and `timestamp`, which know nothing of HTTP; so they derive no schema.
//!
//! `specification/event.schema.json` says exactly which events are valid, and tests hold it equal
//! to the parser. The schema of an event here says as much as a form or a generated client needs.

use serde_json::json;
use utoipa::{
    ToSchema,
    openapi::{
        ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, Type,
        schema::{AnyOfBuilder, ArrayBuilder, SchemaFormat, SchemaType},
    },
};

use crate::{
    event::{Country, RejectionCode, SessionId, UserId},
    http::code::ErrorCode,
    session::{CompletedSession, SessionStart, Status},
    timestamp::Timestamp,
};

/// Schemas by the names that refer to them.
pub type Schemas = Vec<(String, RefOr<Schema>)>;

/// Implements `ToSchema`: `Type: Part, Part => schema` for a schema that refers to the parts. `Type
/// as "Name"` gives the schema another name than the type.
#[macro_export]
macro_rules! schemas {
    ($($type:ty $(as $name:literal)? $(: $($part:ty),+)? => $schema:expr;)+) => {$(
        impl utoipa::PartialSchema for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                $schema.into()
            }
        }

        impl utoipa::ToSchema for $type {
            $(fn name() -> std::borrow::Cow<'static, str> {
                std::borrow::Cow::Borrowed($name)
            })?

            $(fn schemas(schemas: &mut $crate::http::openapi::Schemas) {
                $($crate::http::openapi::register::<$part>(schemas);)+
            })?
        }
    )+};
}

/// A reference to the schema of `T`.
#[must_use]
pub fn schema_ref<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

/// Adds the schema of `T` and the schemas that it refers to.
pub fn register<T: ToSchema>(schemas: &mut Schemas) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

/// An object with these fields, all of them required.
#[must_use]
pub fn object_schema<const N: usize>(fields: [(&str, RefOr<Schema>); N]) -> ObjectBuilder {
    let object = ObjectBuilder::new().schema_type(Type::Object);
    fields
        .into_iter()
        .fold(object, |object, (name, schema)| object.property(name, schema).required(name))
}

/// A map with a value for each country.
#[must_use]
pub fn by_country(description: &str, value: RefOr<Schema>) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(value))
        .description(Some(description))
}

/// An array of `item`.
#[must_use]
pub fn array_of(item: RefOr<Schema>) -> RefOr<Schema> {
    ArrayBuilder::new().items(item).into()
}

fn id(whose: &str) -> ObjectBuilder {
    let rule = "1 to 128 bytes of UTF-8 without control characters, and not a placeholder such as \
                `null` or `None`";
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(128))
        .pattern(Some("^[^\\u0000-\\u001f\\u007f-\\u009f]+$"))
        .description(Some(format!("{whose}: {rule}.")))
}

fn enumeration<T: serde::Serialize>(description: &str, words: &[T]) -> ObjectBuilder {
    let words = words.iter().map(|word| json!(word));
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words))
        .description(Some(description))
}

fn format(name: &str) -> Option<SchemaFormat> {
    Some(SchemaFormat::Custom(name.to_owned()))
}

/// The body of a request with a batch, in one of its shapes.
#[derive(Clone, Copy, Debug)]
pub enum SentBatch {}

/// A batch under `events`.
enum SentEvents {}

/// One event, whose user has one of two names.
enum Row {}

/// A batch under `rows`, as older clients send it.
enum SentRows {}

/// One event, as clients send it.
enum SentEvent {}

/// One event whose user is named by the alias.
enum AliasedEvent {}

/// A time, as clients send it.
enum SentTime {}

/// The kind of an event.
#[derive(Clone, Copy, Debug)]
pub enum EventKind {}

fn event(user: &str, about: &str) -> ObjectBuilder {
    let country = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some(
            "The country in which the session started; an end event needs none. It is composed \
             (Unicode NFC), converted to upper case and cut to 16 letters and digits. A start \
             without a country gets `ZZ`.",
        ));
    object_schema([
        (user, schema_ref::<UserId>()),
        ("session_id", schema_ref::<SessionId>()),
        ("event", schema_ref::<EventKind>()),
        ("ts", schema_ref::<SentTime>()),
    ])
    .property("country", country)
    .description(Some(about))
}

fn events<T: ToSchema>() -> ArrayBuilder {
    ArrayBuilder::new().items(schema_ref::<T>()).min_items(Some(1)).max_items(Some(1_000))
}

schemas! {
    UserId => id("The user of the session");
    SessionId => id("The session, unique within its user");

    Country => ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(16))
        .description(Some("The country: upper-case letters and digits, or `ZZ` if unknown."));

    Timestamp => ObjectBuilder::new()
        .schema_type(Type::String)
        .format(format("date-time"))
        .pattern(Some("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{3})?Z$"))
        .description(Some("A time in UTC in RFC 3339, with milliseconds only if not zero."));

    Status as "SessionStatus" => enumeration(
        "A complete session has a start and an end, an open one no end, an orphan no start.",
        &[Self::Complete, Self::Open, Self::Orphan],
    );

    ErrorCode => enumeration("The kind of an error: a word for programs.", Self::ALL);

    RejectionCode => enumeration("The reason why an event was not accepted.", Self::ALL);

    SessionStart: UserId, SessionId, Timestamp => object_schema([
        ("user_id", schema_ref::<UserId>()),
        ("session_id", schema_ref::<SessionId>()),
        ("ts", schema_ref::<Timestamp>()),
    ])
    .description(Some("The start of a session. Its country is the key under which it is listed."));

    CompletedSession: UserId, SessionId, Country, Timestamp => object_schema([
        ("user_id", schema_ref::<UserId>()),
        ("session_id", schema_ref::<SessionId>()),
        ("country", schema_ref::<Country>()),
        ("started_at", schema_ref::<Timestamp>()),
        ("ended_at", schema_ref::<Timestamp>()),
        ("duration_ms", ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(format("int64"))
            .minimum(Some(0))
            .into()),
    ])
    .description(Some("A session with its start and its end."));

    EventKind => enumeration("Whether the session starts or ends.", &["start", "end"]);

    SentEvent as "Event": UserId, SessionId, EventKind, SentTime => event(
        "user_id",
        "One event of a session. The alias `player_id` may replace `user_id`. Unknown fields are \
         ignored, or rejected with `strict`.",
    );

    AliasedEvent as "PlayerEvent": UserId, SessionId, EventKind, SentTime => event(
        "player_id",
        "One event of a session, whose user older clients name by `player_id`.",
    );

    SentTime as "EventTime" => AnyOfBuilder::new()
        .item(ObjectBuilder::new()
            .title(Some("text"))
            .schema_type(Type::String)
            .format(format("date-time")))
        .item(ObjectBuilder::new()
            .title(Some("milliseconds"))
            .schema_type(Type::Integer)
            .format(format("int64"))
            .minimum(Some(-62_135_596_800_000_i64))
            .maximum(Some(253_402_300_799_999_i64)))
        .description(Some(
            "The time of the event, in RFC 3339 or in milliseconds since 1970. Forms near RFC 3339 \
             are accepted too: seconds may be missing, a space may replace the `T`, and the zone \
             may be ` UTC`, an offset such as `+0200` or `+02`, or missing, which is UTC. Digits \
             finer than a millisecond are cut off.",
        ));

    SentEvents as "EventBatch": SentEvent =>
        object_schema([("events", events::<SentEvent>().into())])
            .description(Some("A batch of events."));

    Row: SentEvent, AliasedEvent => OneOfBuilder::new()
        .item(schema_ref::<SentEvent>())
        .item(schema_ref::<AliasedEvent>())
        .description(Some("One event, whose user has one of two names."));

    SentRows as "RowBatch": Row => object_schema([("rows", events::<Row>().into())])
        .description(Some("A batch of events, as older clients send it."));

    SentBatch as "Batch": SentEvents, SentRows => OneOfBuilder::new()
        .item(schema_ref::<SentEvents>())
        .item(schema_ref::<SentRows>())
        .item(events::<SentEvent>().title(Some("array")))
        .description(Some(
            "By default, a batch has at most 1,000 events, and 1 MiB before and after decompression.",
        ))
        .examples([json!([{
            "user_id": "d6313e1fb7d247a6a034e2aadc30ab30",
            "session_id": "674606b1-2270-4285-928f-eef4a6b90a60",
            "event": "start", "ts": "2019-04-16T20:40:50Z", "country": "TIN",
        }])]);
}
