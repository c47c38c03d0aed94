//! The schemas of the types that all services share. These types write their JSON themselves, in
//! `event`, `session` and `timestamp`, which know nothing of HTTP; so they derive no schema.

use utoipa::{
    ToSchema,
    openapi::{
        ObjectBuilder, Ref, RefOr, Schema, Type,
        schema::{ArrayBuilder, SchemaFormat},
    },
};

use crate::{
    event::{Country, RejectionCode, SessionId, UserId},
    session::{CompletedSession, SessionStart, Status},
    timestamp::Timestamp,
};

/// Schemas by the names that refer to them.
pub type Schemas = Vec<(String, RefOr<Schema>)>;

/// Implements `ToSchema`: `Type: Part, Part => schema` for a schema that refers to the parts. `Type as
/// "Name"` gives the schema another name than the type.
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

fn id(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(128))
        .pattern(Some("^[^\\u0000-\\u001f\\u007f-\\u009f]+$"))
        .description(Some(description))
}

fn enumeration<T: serde::Serialize>(description: &str, words: &[T]) -> ObjectBuilder {
    let words = words.iter().map(|word| serde_json::json!(word));
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words))
        .description(Some(description))
}

fn format(name: &str) -> Option<SchemaFormat> {
    Some(SchemaFormat::Custom(name.to_owned()))
}

schemas! {
    UserId => id(
        "The user of the session: 1 to 128 bytes of UTF-8 without control characters, and not a \
         placeholder such as `null`.",
    );

    SessionId => id(
        "The session, unique within its user: 1 to 128 bytes of UTF-8 without control characters, \
         and not a placeholder such as `null`.",
    );

    Country => ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(16))
        .description(Some(
            "The country: letters and digits in upper case, or `ZZ` when it is not known.",
        ));

    Timestamp => ObjectBuilder::new()
        .schema_type(Type::String)
        .format(format("date-time"))
        .pattern(Some("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{3})?Z$"))
        .description(Some(
            "A time in UTC, in the format of RFC 3339. Milliseconds appear only when they are not \
             zero.",
        ));

    Status => enumeration(
        "The status of a session: `complete` has a start and an end, `open` has a start without \
         an end, `orphan` has an end without a start.",
        &[Self::Complete, Self::Open, Self::Orphan],
    );

    RejectionCode => enumeration(
        "The reason why an event was not accepted. The set of codes is closed.",
        Self::ALL,
    );

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
}
