//! The schemas of the types that all services speak in. Each is beside no field of its own: these types write their JSON
//! themselves, in `event`, `session` and `timestamp`, which know nothing of HTTP.

use utoipa::{
    PartialSchema, ToSchema,
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

/// Schemas by the names they are referred to.
pub type Schemas = Vec<(String, RefOr<Schema>)>;

/// Refers to the schema of `T`.
#[must_use]
pub fn of<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

/// Adds the schema of `T`, and those that it refers to.
pub fn add<T: ToSchema>(schemas: &mut Schemas) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

fn id(description: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(128))
        .pattern(Some("^[^\\u0000-\\u001f\\u007f-\\u009f]+$"))
        .description(Some(description))
        .into()
}

fn word<T: serde::Serialize>(description: &str, words: &[T]) -> RefOr<Schema> {
    let words = words.iter().filter_map(|word| serde_json::to_value(word).ok());
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(words))
        .description(Some(description))
        .into()
}

fn object<const N: usize>(description: &str, fields: [(&str, RefOr<Schema>); N]) -> RefOr<Schema> {
    let object = ObjectBuilder::new().schema_type(Type::Object).description(Some(description));
    let fields = fields.into_iter();
    fields
        .fold(object, |object, (name, schema)| object.property(name, schema).required(name))
        .into()
}

impl PartialSchema for UserId {
    fn schema() -> RefOr<Schema> {
        id(
            "Whose session: 1 to 128 bytes of UTF-8 without control characters, and not a placeholder such as `null`.",
        )
    }
}

impl ToSchema for UserId {}

impl PartialSchema for SessionId {
    fn schema() -> RefOr<Schema> {
        id("Which of the user's sessions; the same limits as a user's id.")
    }
}

impl ToSchema for SessionId {}

impl PartialSchema for Country {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(16))
            .description(Some("Letters and digits, in upper case; `ZZ` where it is not known."))
            .into()
    }
}

impl ToSchema for Country {}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::Custom("date-time".to_owned())))
            .pattern(Some("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{3})?Z$"))
            .description(Some(
                "An RFC 3339 time in UTC, with milliseconds only when they are not zero.",
            ))
            .into()
    }
}

impl ToSchema for Timestamp {}

impl PartialSchema for Status {
    fn schema() -> RefOr<Schema> {
        word(
            "A start with its end, a start without an end, or an end without a start.",
            &[Self::Complete, Self::Open, Self::Orphan],
        )
    }
}

impl ToSchema for Status {}

impl PartialSchema for RejectionCode {
    fn schema() -> RefOr<Schema> {
        word("Why an event was not taken: a closed set.", Self::ALL)
    }
}

impl ToSchema for RejectionCode {}

impl PartialSchema for SessionStart {
    fn schema() -> RefOr<Schema> {
        object(
            "A start; its country is the key under which it is listed.",
            [
                ("user_id", of::<UserId>()),
                ("session_id", of::<SessionId>()),
                ("ts", of::<Timestamp>()),
            ],
        )
    }
}

impl ToSchema for SessionStart {
    fn schemas(schemas: &mut Schemas) {
        add::<UserId>(schemas);
        add::<SessionId>(schemas);
        add::<Timestamp>(schemas);
    }
}

impl PartialSchema for CompletedSession {
    fn schema() -> RefOr<Schema> {
        let milliseconds = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::Custom("int64".to_owned())))
            .minimum(Some(0));
        object(
            "A session with its start and its end.",
            [
                ("user_id", of::<UserId>()),
                ("session_id", of::<SessionId>()),
                ("country", of::<Country>()),
                ("started_at", of::<Timestamp>()),
                ("ended_at", of::<Timestamp>()),
                ("duration_ms", milliseconds.into()),
            ],
        )
    }
}

impl ToSchema for CompletedSession {
    fn schemas(schemas: &mut Schemas) {
        add::<UserId>(schemas);
        add::<SessionId>(schemas);
        add::<Country>(schemas);
        add::<Timestamp>(schemas);
    }
}

/// A map from a country to something.
#[must_use]
pub fn by_country(description: &str, value: RefOr<Schema>) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(value))
        .description(Some(description))
        .into()
}

/// Some of `item`.
#[must_use]
pub fn list(item: RefOr<Schema>) -> RefOr<Schema> {
    ArrayBuilder::new().items(item).into()
}
