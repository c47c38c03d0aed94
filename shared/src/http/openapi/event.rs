//! The schemas of what clients send: an event and a batch of events. `specification/event.schema.json`
//! says exactly which events are valid, and tests hold it equal to the parser. These schemas say as
//! much as a form or a generated client needs.

use serde_json::json;
use utoipa::openapi::{
    ObjectBuilder, OneOfBuilder, Type,
    schema::{ArrayBuilder, SchemaFormat, SchemaType},
};

use super::schema::{object_schema, schema_ref};
use crate::event::{SessionId, UserId};

/// A batch of events, as clients send it.
#[derive(Clone, Copy, Debug)]
pub enum SentBatch {}

/// One event, as clients send it.
enum Event {}

/// A time, as clients send it.
enum SentTime {}

fn event(user: &str) -> ObjectBuilder {
    let kind = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["start", "end"]));
    let country = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some(
            "The country in which the session started; an end event needs none. It is converted \
             to upper case and cut to 16 letters and digits. A start without a country gets `ZZ`.",
        ));
    object_schema([
        (user, schema_ref::<UserId>()),
        ("session_id", schema_ref::<SessionId>()),
        ("event", kind.into()),
        ("ts", schema_ref::<SentTime>()),
    ])
    .property("country", country)
    .title(Some(format!("with {user}")))
}

fn events() -> ArrayBuilder {
    ArrayBuilder::new().items(schema_ref::<Event>()).min_items(Some(1)).max_items(Some(1_000))
}

fn under(key: &str) -> ObjectBuilder {
    object_schema([(key, events().into())]).title(Some(format!("under {key}")))
}

crate::schemas! {
    Event: UserId, SessionId, SentTime => OneOfBuilder::new()
        .item(event("user_id"))
        .item(event("player_id"))
        .description(Some(
            "An event names its user as `user_id` or as `player_id`. Unknown fields are ignored.",
        ));

    SentTime => OneOfBuilder::new()
        .item(ObjectBuilder::new()
            .title(Some("RFC 3339"))
            .schema_type(Type::String)
            .pattern(Some(
                "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?\
                 ([Zz]|[+-][0-9]{2}:[0-9]{2})?$",
            )))
        .item(ObjectBuilder::new()
            .title(Some("milliseconds since 1970"))
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::Custom("int64".to_owned())))
            .minimum(Some(-62_135_596_800_000_i64))
            .maximum(Some(253_402_300_799_999_i64)))
        .description(Some(
            "The time of the event. A time without a zone is in UTC. Digits finer than a \
             millisecond are cut off.",
        ));

    SentBatch as "Batch": Event => OneOfBuilder::new()
        .item(events().title(Some("an array")))
        .item(under("events"))
        .item(under("rows"))
        .description(Some(
            "A batch of events. By default it has at most 1,000 events and 1 MiB, both before and \
             after decompression.",
        ))
        .examples([json!([{
            "user_id": "d6313e1fb7d247a6a034e2aadc30ab30",
            "session_id": "674606b1-2270-4285-928f-eef4a6b90a60",
            "event": "start",
            "ts": "2019-04-16T20:40:50",
            "country": "TIN",
        }])]);
}
