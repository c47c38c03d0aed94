//! The OpenAPI description of the endpoint: the body of a batch, and every reply to one. The three
//! paths differ in the reply to `rows` at `/`, and in that only `/v1` refuses unknown parameters.
//!
//! The replies of the examples come from the code that sends them. The events of the examples are
//! in the batch of the first seed or are not kept, so trying an example changes no other reply.

use std::time::Duration;

use serde_json::{Value, json};
use shared::{
    event::{BatchFormat, EventBatch, RejectionCode, Sender},
    http::{
        ErrorReply, KEY_PARAMETER, ParamsError,
        openapi::{Call, Example, SentBatch, Tag, schema_ref},
    },
    timestamp::Timestamp,
};
use utoipa::openapi::{
    ContentBuilder, ObjectBuilder, OneOfBuilder, Required, Type,
    example::ExampleBuilder,
    path::{Parameter, ParameterBuilder, ParameterIn},
    request_body::{RequestBody, RequestBodyBuilder},
};
use warp::http::StatusCode;

use super::{
    body::{self, BodyError},
    judge::judge,
    options::EndpointOptions,
    parameters::{PARAMETERS, STRICT, USER_KEY},
    refusal::Refusal,
    reply::{NothingUsable, Report, SUCCESS, Success},
};
use crate::log::{LogError, RefusalCause};

const ABOUT: &str = "\
    Sends a batch of events. The reply comes only after every accepted event is durable. Each event \
    is judged by itself: an event that is not valid does not affect the others. Sending an event \
    again changes nothing, so a batch can always be repeated. A body without a content type, or \
    with the one that curl sends by default, is read as JSON. Events on lines of their own may be \
    named by every type in use, such as `application/jsonl`. The body may be compressed, with \
    `Content-Encoding: gzip` or `zstd`.";

/// Events of which one is accepted, one is expired and one has no session.
const MIXED: &str = r#"[{"user_id":"d6313e1fb7d247a6a034e2aadc30ab30","session_id":"674606b1-2270-4285-928f-eef4a6b90a60","event":"start","ts":"2019-04-16T20:40:50","country":"TIN"},{"user_id":"u1","session_id":"s1","event":"end","ts":"2016-12-02T05:46:16Z"},{"user_id":"u1","event":"end","ts":0}]"#;

/// One event of the batch of the first seed.
const KEPT: &str = r#"{"user_id":"d6313e1fb7d247a6a034e2aadc30ab30","session_id":"674606b1-2270-4285-928f-eef4a6b90a60","event":"start","ts":"2019-04-16T20:40:50","country":"TIN"}"#;

/// An event whose time is in seconds.
const SECONDS: &str = r#"[{"user_id":"u1","session_id":"s1","event":"end","ts":1557748800}]"#;

/// The time of the examples, 2019-05-13T12:00:00Z, in milliseconds since 1970.
const NOON: i64 = 1_557_748_800_000;

/// The reply to a batch that is refused with status 400.
enum Refused {}

shared::schemas! {
    // Clients take the first that fits, and an error fits both.
    Refused as "BatchRefusal": ErrorReply<'_>, NothingUsable<'_> => OneOfBuilder::new()
        .item(schema_ref::<NothingUsable<'_>>())
        .item(schema_ref::<ErrorReply<'_>>());
}

/// The description of the call at `path`.
pub(super) fn call(path: &str) -> Call {
    let (tag, id, about) = match path {
        "/v1/events" => (Tag::Events, "sendEvents", ABOUT.to_owned()),
        "/user/batches" => (Tag::Legacy, "sendBatch", older()),
        _ => (Tag::Legacy, "sendRows", older()),
    };
    let at = |more: &str| format!("curl -X POST http://127.0.0.1:5000{path} {more}");
    let call = Call::new(tag, id, "Send a batch of events", &about).with_body::<SentBatch>(body());
    let call = accepted(call.taking([user_key(), strict(), api_key()]), at)
        .json::<Refused>("The request contains no usable event.", unusable(path, at))
        .failing(refusals().map(|(name, command, refusal)| {
            let command = command.replace("POST ", &at(""));
            Example::error(name, command, &refusal.error())
        }))
        .with_header(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Accept-Encoding",
            "The supported encodings, if the body has another one.",
        );
    if path != "/" {
        return call;
    }
    let rows = Example::new("rows", at(&format!("-d '{{\"rows\":[{KEPT}]}}'")), SUCCESS);
    call.text("The text that older clients look for.", "text/plain", rows)
}

/// The description of a path for older clients.
fn older() -> String {
    format!("Deprecated: use `/v1/events`. {ABOUT}")
}

/// The parameter that chooses the key of the user.
fn user_key() -> Parameter {
    let about = "Which key of an event names its user. The other one is then an unknown field. By \
                 default, either may, and different values are `conflicting_user_id`.";
    let names =
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["user_id", "player_id"]));
    optional(USER_KEY, about, names)
}

/// The parameter that has events with unknown fields rejected.
fn strict() -> Parameter {
    let about = "Whether to reject an event with an unknown field, such as a mistyped one, as \
                 `unknown_field`. Any other fault of the event is named first. By default, unknown \
                 fields are ignored.";
    let flag = ObjectBuilder::new().schema_type(Type::Boolean).default(Some(json!(false)));
    optional(STRICT, about, flag)
}

fn optional(name: &str, about: &str, schema: ObjectBuilder) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(about))
        .schema(Some(schema))
        .build()
}

/// The parameter for clients that cannot set headers.
fn api_key() -> Parameter {
    let about = "An API key whose sole right is `ingest`, for `navigator.sendBeacon`, which cannot \
                 set headers. Any other key must be in a header.";
    optional(KEY_PARAMETER, about, ObjectBuilder::new().schema_type(Type::String))
}

/// The refusals with other statuses than 400: the name of the example, the command or the
/// condition, and the refusal. `POST` in a command stands for curl with the address of the call.
fn refusals() -> [(&'static str, &'static str, Refusal); 12] {
    let EndpointOptions { max_body_bytes: limit, max_events, body_timeout: timeout, .. } =
        EndpointOptions::default();
    let slow = Refusal::Body(BodyError::Slow { timeout });
    let large = || Refusal::Body(BodyError::TooLarge { limit });
    let many = refusal("{}\n".repeat(max_events + 1).as_bytes(), BatchFormat::Lines);
    let media = Refusal::Body(BodyError::MediaType("text/csv".to_owned()));
    let encoding = Refusal::Body(BodyError::Encoding("br".to_owned()));
    let (quota, full) = (Refusal::Quota { seconds: 1 }, LogError::Busy(String::new()));
    let (cause, detail) = (RefusalCause::TooLarge, String::new());
    let refused = Refusal::Log(LogError::Refused { cause, detail });
    let left = Duration::from_secs(12);
    let over_quota = "When the brokers throttle the service for another 12 s because of a quota.";
    let limit_below =
        "When the brokers refuse the records, for example with a small `max.message.bytes`.";
    let gzip = "head -c 1048577 /dev/zero | gzip | \
                POST -H 'content-encoding: gzip' --data-binary @-";
    let lines = "yes '{}' | head -n 1001 | \
                 POST -H 'content-type: application/x-ndjson' --data-binary @-";
    let csv = "POST -H 'content-type: text/csv' -d 'u1,s1,end,0'";
    let over = "With `--quota 1000`, when a client sends 1,000 events and then 1,000 more.";
    let held = "When the bodies in flight hold more bytes than `--max-inflight`.";
    [
        ("slow_body", "When a client does not send its body within 15 seconds.", slow),
        ("body_too_large", "head -c 1048577 /dev/zero | POST --data-binary @-", large()),
        ("inflated", gzip, large()),
        ("too_many_events", lines, many),
        ("unsupported_media_type", csv, media),
        ("unsupported_encoding", "POST -H 'content-encoding: br' -d '[]'", encoding),
        ("over_quota", over, quota),
        ("log", "When the disk has less free space than `--min-free-disk`.", Refusal::Log(full)),
        ("log_refused", limit_below, refused),
        ("throttled", over_quota, Refusal::Log(LogError::Throttled { left })),
        (
            "late",
            "When the log does not confirm the batch within the deadline, 12 seconds by default.",
            Refusal::TimedOut,
        ),
        ("inflight", held, Refusal::Body(BodyError::Busy)),
    ]
}

/// The reply to a body with an invalid event or none, as the endpoint makes it.
fn refusal(body: &[u8], format: BatchFormat) -> Refusal {
    match EventBatch::decode(body, format, EndpointOptions::default().max_events) {
        Ok(batch) => Refusal::NothingUsable(report(batch)),
        Err(error) => Refusal::Batch(error),
    }
}

fn report(batch: EventBatch) -> Report {
    let noon = Timestamp::default() + NOON;
    judge(batch, noon, noon + EndpointOptions::default().future_tolerance_ms).1
}

fn accepted(call: Call, at: impl Fn(&str) -> String) -> Call {
    let example =
        |name, more: &str, report: &Report| Example::new(name, at(more), json!(report.success()));
    let seed = Report { accepted: 8, ..Report::default() };
    let mixed = EventBatch::decode(MIXED.as_bytes(), BatchFormat::Json, 3).map(report);
    let seconds = EventBatch::decode(SECONDS.as_bytes(), BatchFormat::Json, 1).map(report);
    let mut expired = Report::default();
    (0..2).for_each(|index| expired.discard(index, RejectionCode::Expired, None));
    let about = "Every accepted event is durable. Every other event is listed by its position.";
    call.json::<Success<'_>>(
        about,
        [
            example("seed", "-d @data/seed-batch.json", &seed),
            example("some", &format!("-d '{MIXED}'"), &mixed.unwrap_or_default()),
            example("seconds", &format!("-d '{SECONDS}'"), &seconds.unwrap_or_default()),
            example("rows", "-H 'accept: application/json' -d @data/seed-rows.json", &expired),
        ],
    )
}

fn unusable(path: &str, at: impl Fn(&str) -> String) -> Vec<Example> {
    let sent = ["[{}]", "{", "{}", "[]"]
        .map(|body| (format!("-d '{body}'"), refusal(body.as_bytes(), BatchFormat::Json)));
    let gzip = "-H 'content-encoding: gzip' -d ''".to_owned();
    let damaged = body::gunzip(b"", 0).err().map(|error| (gzip, Refusal::Body(error)));
    let example = |(more, refusal): (String, Refusal)| {
        let error = refusal.error();
        let body = match &refusal {
            Refusal::NothingUsable(report) => json!(report.refusal(error.fault())),
            _ => json!(error.body()),
        };
        Example::new(error.code.as_str(), at(&more), body).with(error.status)
    };
    let form = refusal(b"%5B%5D", BatchFormat::Json).error();
    let line = refusal(b"{}{}", BatchFormat::Lines).error();
    let lines = at("-H 'content-type: application/x-ndjson' -d '{}{}'");
    let words = [
        Example::error("percent_encoded", at("-d '%5B%5D'"), &form),
        Example::error("no_newlines", lines, &line),
    ];
    let asked = |name, query: &str, error| {
        let command = format!("curl -X POST 'http://127.0.0.1:5000{path}?{query}' -d '[]'");
        Example::error(name, command, &error)
    };
    let mut queries = vec![
        asked("invalid_id", "id=ts", Refusal::UserKey.error()),
        asked("invalid_strict", "strict=1", Refusal::Strict.error()),
    ];
    let repeated = ParamsError::Repeated(USER_KEY).http();
    queries.push(asked("repeated_parameter", "id=user_id&id=user_id", repeated));
    queries.push(asked("invalid_query", "id=%FF", ParamsError::Invalid.http()));
    // Older calls ignore parameters that they do not know.
    if path.starts_with("/v1/") {
        let unknown = ParamsError::unknown("ids", &PARAMETERS).http();
        queries.push(asked("unknown_parameter", "ids=1", unknown));
    }
    queries.push(unknown_field(path));
    sent.into_iter().chain(damaged).map(example).chain(words).chain(queries).collect()
}

/// A mistyped field in the only event of a strict sender.
fn unknown_field(path: &str) -> Example {
    let body = KEPT.replace("country", "contry");
    let sender = Sender { strict: true, ..Sender::default() };
    let refusal = match EventBatch::decode_by(body.as_bytes(), BatchFormat::Lines, 1, sender) {
        Ok(batch) => report(batch),
        Err(_) => Report::default(),
    };
    let error = Refusal::NothingUsable(Report::default()).error();
    let command = format!("curl -X POST 'http://127.0.0.1:5000{path}?strict=true' -d '[{body}]'");
    Example::new("unknown_field", command, json!(refusal.refusal(error.fault()))).with(error.status)
}

fn body() -> RequestBody {
    let session =
        [("start", "2018-11-16T18:01:37Z"), ("end", "2018-11-18T06:24:50Z")].map(|(event, ts)| {
            json!({
                "user_id": "d6313e1fb7d247a6a034e2aadc30ab3f",
                "session_id": "5f933591-8cd5-4147-8736-d6237bef5891",
                "event": event, "ts": ts,
            })
        });
    let other = json!({
        "player_id": "a477ecabc3cc455cb1c6d1dab77d8e5c",
        "session_id": "4c55263e-66b2-4814-b431-8ca4c1a9dcc8",
        "event": "start", "ts": "2018-11-29T19:31:43Z", "country": "GH",
    });
    let lines = format!("{}\n{}\n{other}\n", session[0], session[1]);
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
    let lines = [("lines", shown("One event per line", json!(lines)))];
    let lines = ContentBuilder::new().schema(Some(text)).examples_from_iter(lines);
    RequestBodyBuilder::new()
        .description(Some("A batch of events, as JSON or as one event per line."))
        .required(Some(Required::True))
        .content("application/json", json.build())
        .content("application/x-ndjson", lines.build())
        .build()
}
