//! The OpenAPI description of the endpoint: the body of a batch, and every reply to one. The three
//! paths differ in one reply, the one to `rows` at `/`.
//!
//! The replies of the examples come from the code that sends them. The events of the examples are in
//! the batch of the first seed or are not kept, so trying an example changes no other reply.

use serde_json::{Value, json};
use shared::{
    event::{BatchFormat, EventBatch, RejectionCode},
    http::{
        ErrorReply,
        openapi::{Call, Example, Reply, SentBatch, Tag, schema_ref},
    },
    timestamp::Timestamp,
};
use utoipa::openapi::{
    ContentBuilder, ObjectBuilder, OneOfBuilder, Required, Type,
    example::ExampleBuilder,
    request_body::{RequestBody, RequestBodyBuilder},
};
use warp::http::StatusCode;

use super::{
    body::{self, BodyError},
    judge::judge,
    options::EndpointOptions,
    refusal::Refusal,
    reply::{NothingUsable, Report, SUCCESS, Success},
};
use crate::log::LogError;

const ABOUT: &str = "\
    Sends a batch of events. The reply comes only after every accepted event is durable. Each event \
    is judged by itself: an event that is not valid does not affect the others. Sending an event \
    again changes nothing, so a batch can always be repeated. A body without a content type, or \
    with the one that curl sends by default, is read as JSON. The body may be compressed, with \
    `Content-Encoding: gzip` or `zstd`.";

/// Events of which one is accepted, one is expired and one has no session.
const MIXED: &str = r#"[{"user_id":"d6313e1fb7d247a6a034e2aadc30ab30","session_id":"674606b1-2270-4285-928f-eef4a6b90a60","event":"start","ts":"2019-04-16T20:40:50","country":"TIN"},{"user_id":"u1","session_id":"s1","event":"end","ts":"2016-12-02T05:46:16Z"},{"user_id":"u1","event":"end","ts":0}]"#;

/// The time of the examples, 2019-05-13T12:00:00Z, in milliseconds since 1970.
const NOON: i64 = 1_557_748_800_000;

/// The reply to a batch that is refused with status 400.
enum Refused {}

shared::schemas! {
    Refused: ErrorReply<'_>, NothingUsable<'_> => OneOfBuilder::new()
        .item(schema_ref::<ErrorReply<'_>>())
        .item(schema_ref::<NothingUsable<'_>>());
}

/// The description of the call at `path`.
pub(super) fn call(path: &str) -> Call {
    let tag = if path.starts_with("/v1/") { Tag::Events } else { Tag::Older };
    let options = EndpointOptions::default();
    let at = |more: &str| format!("curl -X POST http://127.0.0.1:5000{path} {more}");
    let piped = |text: &str, more: &str| {
        format!("{text} | curl -X POST http://127.0.0.1:5000{path} {more}--data-binary @-")
    };
    let refused = |command: String, refusal: Refusal| Example::error(command, &refusal.error());
    let when = |condition: &str, refusal| refused(condition.to_owned(), refusal);
    let too_large = || Refusal::Body(BodyError::TooLarge { limit: options.max_body_bytes });
    let too_many = "{}\n".repeat(options.max_events + 1);
    Call::new(tag, "Send a batch of events", ABOUT)
        .with_body::<SentBatch>(body())
        .answering(StatusCode::OK, accepted(path, at))
        .answering(StatusCode::BAD_REQUEST, unusable(at))
        .failing(
            "The body did not arrive in time. The connection is closed.",
            vec![when(
                "When a client announces a body and does not send it for 15 seconds.",
                Refusal::Body(BodyError::Slow { timeout: options.body_timeout }),
            )],
        )
        .failing(
            "The body or the batch is too large.",
            vec![
                refused(piped("head -c 1048577 /dev/zero", ""), too_large()),
                refused(
                    piped("head -c 1048577 /dev/zero | gzip", "-H 'content-encoding: gzip' "),
                    too_large(),
                )
                .named("inflated"),
                refused(
                    piped("yes '{}' | head -n 1001", "-H 'content-type: application/x-ndjson' "),
                    refusal(too_many.as_bytes(), BatchFormat::Lines),
                ),
            ],
        )
        .failing(
            "The content type or the content encoding is not supported.",
            vec![
                refused(
                    at("-H 'content-type: text/csv' -d 'u1,s1,end,0'"),
                    Refusal::Body(BodyError::MediaType("text/csv".to_owned())),
                ),
                refused(
                    at("-H 'content-encoding: br' -d '[]'"),
                    Refusal::Body(BodyError::Encoding("br".to_owned())),
                ),
            ],
        )
        .failing(
            "The client sent more events per second than its quota. There is no quota by default.",
            vec![when(
                "With `--quota 1000`, when a client sends 1,000 events and then 1,000 more.",
                Refusal::Quota { seconds: 1 },
            )],
        )
        .failing(
            "The batch cannot be accepted now. It is always safe to send it again.",
            vec![
                when(
                    "When the disk has less free space than `--min-free-disk`.",
                    Refusal::Log(LogError::Busy(String::new())),
                )
                .named("log"),
                when(
                    "When the log does not confirm the batch within 12 seconds.",
                    Refusal::TimedOut,
                )
                .named("late"),
                when(
                    "When the bodies in flight hold more bytes than `--max-inflight`.",
                    Refusal::Body(BodyError::Busy),
                )
                .named("inflight"),
            ],
        )
}

/// The reply to a body with an invalid event or none, as the endpoint makes it.
fn refusal(body: &[u8], format: BatchFormat) -> Refusal {
    let options = EndpointOptions::default();
    match EventBatch::decode(body, format, options.max_events) {
        Ok(batch) => Refusal::NothingUsable(report(batch)),
        Err(error) => Refusal::Batch(error),
    }
}

fn report(batch: EventBatch) -> Report {
    let tolerance = EndpointOptions::default().future_tolerance_ms;
    judge(batch, Timestamp::default() + NOON, tolerance).1
}

fn accepted(path: &str, at: impl Fn(&str) -> String) -> Reply {
    let example =
        |name, more: &str, report: &Report| Example::new(name, at(more), json!(report.success()));
    let seed = Report { accepted: 8, ..Report::default() };
    let mixed = EventBatch::decode(MIXED.as_bytes(), BatchFormat::Json, 3).map(report);
    let mut expired = Report::default();
    (0..2).for_each(|index| expired.discard(index, RejectionCode::Expired));
    let examples = [
        example("seed", "-d @data/seed-batch.json", &seed),
        example("some", &format!("-d '{MIXED}'"), &mixed.unwrap_or_default()),
        example("rows", "-H 'accept: application/json' -d @data/seed-rows.json", &expired),
    ];
    let reply = Reply::new(
        "Every accepted event is durable. The reply lists every other event by its position in the \
         batch.",
    );
    let reply = reply.json::<Success<'_>>(examples);
    if path != "/" {
        return reply;
    }
    reply.text("text/plain", [Example::new("rows", at("-d @data/seed-rows.json"), SUCCESS)])
}

fn unusable(at: impl Fn(&str) -> String) -> Reply {
    let example = |body: &str| {
        let (command, refusal) =
            (at(&format!("-d '{body}'")), refusal(body.as_bytes(), BatchFormat::Json));
        match &refusal {
            Refusal::NothingUsable(report) => {
                let error = refusal.error();
                Example::new(error.code, command, json!(report.refusal(error.fault())))
            }
            _ => Example::error(command, &refusal.error()),
        }
    };
    let damaged = body::gunzip(b"", 0).err().map(|error| {
        Example::error(at("-H 'content-encoding: gzip' -d ''"), &Refusal::Body(error).error())
    });
    let examples = ["[{}]", "{", "{}", "[]"].map(example).into_iter().chain(damaged);
    Reply::new("The body contains no usable event.").json::<Refused>(examples)
}

fn body() -> RequestBody {
    let (user, session) =
        ("d6313e1fb7d247a6a034e2aadc30ab3f", "5f933591-8cd5-4147-8736-d6237bef5891");
    let start = json!({ "user_id": user, "session_id": session, "event": "start", "ts": "2018-11-16T18:01:37" });
    let end = json!({ "user_id": user, "session_id": session, "event": "end", "ts": "2018-11-18T06:24:50" });
    let other = json!({
        "player_id": "a477ecabc3cc455cb1c6d1dab77d8e5c",
        "session_id": "4c55263e-66b2-4814-b431-8ca4c1a9dcc8",
        "event": "start",
        "ts": "2018-11-29T19:31:43Z",
        "country": "GH",
    });
    let lines = format!("{start}\n{end}\n{other}\n");
    let session = [start, end];
    let shown =
        |summary: &str, value: Value| ExampleBuilder::new().summary(summary).value(Some(value));
    let json = ContentBuilder::new().schema(Some(schema_ref::<SentBatch>())).examples_from_iter([
        ("array", shown("An array of events", json!(session))),
        ("events", shown("Events under `events`", json!({ "events": session }))),
        ("rows", shown("Events under `rows`, with `player_id`", json!({ "rows": [other] }))),
    ]);
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("One event per line. Blank lines are ignored."));
    let lines = ContentBuilder::new()
        .schema(Some(text))
        .examples_from_iter([("lines", shown("One event per line", json!(lines)))]);
    RequestBodyBuilder::new()
        .description(Some(
            "A batch of events. By default it has at most 1,000 events and 1 MiB, both before and \
             after decompression.",
        ))
        .required(Some(Required::True))
        .content("application/json", json.build())
        .content("application/x-ndjson", lines.build())
        .build()
}
