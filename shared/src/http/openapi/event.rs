//! The schema of what is sent: an event, and a batch of them. Exactly what is taken says `specification/event.schema.json`,
//! which is held against the parser; this is the same as far as a form or a generated client needs it.

use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, OneOfBuilder, RefOr, Schema, Type,
        schema::{ArrayBuilder, SchemaFormat, SchemaType},
    },
};

use super::types::{Schemas, add, of};
use crate::event::{SessionId, UserId};

/// A batch of events, as it is sent.
#[derive(Clone, Copy, Debug)]
pub enum Batch {}

/// One event, as it is sent.
enum Event {}

/// A time, as it is sent.
enum SentTime {}

fn event(user: &str) -> ObjectBuilder {
    let kind = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["start", "end"]));
    let country = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some("Of a start: where it began. It is upper-cased and cut to 16 letters and digits; without any it is `ZZ`."));
    ObjectBuilder::new()
        .title(Some(format!("with {user}")))
        .schema_type(Type::Object)
        .property(user, of::<UserId>())
        .property("session_id", of::<SessionId>())
        .property("event", kind)
        .property("ts", of::<SentTime>())
        .property("country", country)
        .required(user)
        .required("session_id")
        .required("event")
        .required("ts")
}

impl PartialSchema for Event {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new()
            .item(event("user_id"))
            .item(event("player_id"))
            .description(Some(
                "The user is named in one of two ways. Fields that are not known are left alone.",
            ))
            .into()
    }
}

impl ToSchema for Event {
    fn schemas(schemas: &mut Schemas) {
        add::<UserId>(schemas);
        add::<SessionId>(schemas);
        add::<SentTime>(schemas);
    }
}

impl PartialSchema for SentTime {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new()
            .title(Some("RFC 3339"))
            .schema_type(Type::String)
            .pattern(Some(
                "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})?$",
            ));
        let number = ObjectBuilder::new()
            .title(Some("milliseconds since 1970"))
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::Custom("int64".to_owned())))
            .minimum(Some(-62_135_596_800_000_i64))
            .maximum(Some(253_402_300_799_999_i64));
        OneOfBuilder::new()
            .item(text)
            .item(number)
            .description(Some(
                "UTC where it names no zone; what is finer than a millisecond is cut.",
            ))
            .into()
    }
}

impl ToSchema for SentTime {}

impl PartialSchema for Batch {
    fn schema() -> RefOr<Schema> {
        let events =
            || ArrayBuilder::new().items(of::<Event>()).min_items(Some(1)).max_items(Some(1_000));
        let under = |key: &str| {
            ObjectBuilder::new()
                .title(Some(format!("under {key}")))
                .schema_type(Type::Object)
                .property(key, events())
                .required(key)
        };
        OneOfBuilder::new()
            .item(events().title(Some("an array")))
            .item(under("events"))
            .item(under("rows"))
            .description(Some(
                "By default at most 1,000 events and 1 MiB, before and after inflating.",
            ))
            .examples([json!([{
                "user_id": "d6313e1fb7d247a6a034e2aadc30ab30",
                "session_id": "674606b1-2270-4285-928f-eef4a6b90a60",
                "event": "start",
                "ts": "2019-04-16T20:40:50",
                "country": "TIN",
            }])])
            .into()
    }
}

impl ToSchema for Batch {
    fn schemas(schemas: &mut Schemas) {
        add::<Event>(schemas);
    }
}
