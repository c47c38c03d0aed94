//! The description of the endpoint: what a batch may look like, and every answer to one. The three addresses that take a
//! batch differ in one answer, to `rows` at `/`.
//!
//! Every example sends events of the first seed's batch, or none that is kept: trying one changes no answer.

use serde_json::{Value, json};
use shared::http::{
    ErrorReply,
    openapi::{Batch, Call, Example, Reply, Schemas, Tag, add, of},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ContentBuilder, ObjectBuilder, OneOfBuilder, RefOr, Required, Schema, Type,
        example::ExampleBuilder,
        request_body::{RequestBody, RequestBodyBuilder},
    },
};
use warp::http::StatusCode;

use super::{
    PATHS,
    reply::{NothingUsable, SUCCESS, Success},
};

mod refused;

const ABOUT: &str = "The reply comes when every accepted event is durable. Each event is judged alone: one that is none spoils none of \
    the others, and sending one again changes nothing. Without a content type, and with the one that curl names unasked, the \
    body is read as JSON. It may be compressed: `content-encoding: gzip` or `zstd`.";

/// What a refused batch is answered with.
enum Refused {}

impl PartialSchema for Refused {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new().item(of::<ErrorReply<'_>>()).item(of::<NothingUsable>()).into()
    }
}

impl ToSchema for Refused {
    fn schemas(schemas: &mut Schemas) {
        add::<ErrorReply<'_>>(schemas);
        add::<NothingUsable>(schemas);
    }
}

/// Every call that the endpoint takes.
#[must_use]
pub fn calls() -> Vec<Call> {
    PATHS.into_iter().map(call).collect()
}

fn call(path: &'static str) -> Call {
    let tag = if path.starts_with("/v1/") { Tag::Events } else { Tag::Older };
    let at = |more: &str| format!("curl -X POST http://127.0.0.1:5000{path} {more}");
    let call = Call::post(tag, path, "Send a batch of events", ABOUT)
        .with_body::<Batch>(body())
        .answering(StatusCode::OK, taken(path, at));
    refused::answers(path)
        .into_iter()
        .fold(call, |call, (status, reply)| call.answering(status, reply))
}

fn taken(path: &str, at: impl Fn(&str) -> String) -> Reply {
    let taken = |accepted: usize, discarded: Value, rejected: Value| json!({ "message": SUCCESS, "accepted": accepted, "discarded": discarded, "rejected": rejected });
    let some = "-d '[{\"user_id\":\"d6313e1fb7d247a6a034e2aadc30ab30\",\"session_id\":\"674606b1-2270-4285-928f-eef4a6b90a60\",\
        \"event\":\"start\",\"ts\":\"2019-04-16T20:40:50\",\"country\":\"TIN\"},{\"user_id\":\"u1\",\"session_id\":\"s1\",\
        \"event\":\"end\",\"ts\":\"2016-12-02T05:46:16Z\"},{\"user_id\":\"u1\",\"event\":\"end\",\"ts\":0}]'";
    let expired = |index: usize| json!({ "index": index, "code": "expired" });
    let missing = json!([{ "index": 2, "code": "missing_session_id", "detail": "`session_id` is absent, null or empty" }]);
    let mut examples = vec![
        Example::new("seed", at("-d @data/seed-batch.json"), taken(8, json!([]), json!([]))),
        Example::new("some", at(some), taken(1, json!([expired(1)]), missing)),
    ];
    let rows = "-H 'accept: application/json' -d @data/seed-rows.json";
    examples.push(Example::new(
        "rows",
        at(rows),
        taken(0, json!([expired(0), expired(1)]), json!([])),
    ));
    let reply = Reply::new(
        "Every accepted event is durable. What was not accepted is named by its place in the batch.",
    );
    let reply = reply.json::<Success>(examples);
    if path != "/" {
        return reply;
    }
    // The second seed's clients look for this text alone.
    reply.text("text/plain", [Example::new("rows", at("-d @data/seed-rows.json"), SUCCESS)])
}

fn body() -> RequestBody {
    let (user, session) =
        ("d6313e1fb7d247a6a034e2aadc30ab3f", "5f933591-8cd5-4147-8736-d6237bef5891");
    let begun = json!({ "user_id": user, "session_id": session, "event": "start", "ts": "2018-11-16T18:01:37" });
    let ended = json!({ "user_id": user, "session_id": session, "event": "end", "ts": "2018-11-18T06:24:50" });
    let other = json!({
        "player_id": "a477ecabc3cc455cb1c6d1dab77d8e5c",
        "session_id": "4c55263e-66b2-4814-b431-8ca4c1a9dcc8",
        "event": "start",
        "ts": "2018-11-29T19:31:43Z",
        "country": "GH",
    });
    let lines = format!("{begun}\n{ended}\n{other}\n");
    let session = [begun, ended];
    let shown =
        |summary: &str, value: Value| ExampleBuilder::new().summary(summary).value(Some(value));
    let json = ContentBuilder::new().schema(Some(of::<Batch>())).examples_from_iter([
        ("array", shown("An array of events", json!(session))),
        ("events", shown("Events under `events`", json!({ "events": session }))),
        ("rows", shown("Events under `rows`, the user as `player_id`", json!({ "rows": [other] }))),
    ]);
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("An event a line; blank lines are left out."));
    let lines = ContentBuilder::new()
        .schema(Some(text))
        .examples_from_iter([("lines", shown("An event a line", json!(lines)))]);
    RequestBodyBuilder::new()
        .description(Some(
            "At most 1,000 events and 1 MiB, before and after inflating, by default.",
        ))
        .required(Some(Required::True))
        .content("application/json", json.build())
        .content("application/x-ndjson", lines.build())
        .build()
}
