//! Every way in which a batch is refused, as it is described. What is decided here is nothing: see `refusal`.

use serde_json::json;
use shared::http::openapi::{Example, Reply};
use warp::http::StatusCode;

use super::Refused;

/// The statuses of refusals, each with its examples.
pub(super) fn answers(path: &str) -> Vec<(StatusCode, Reply)> {
    let at = |more: &str| format!("curl -X POST http://127.0.0.1:5000{path} {more}");
    vec![
        (StatusCode::BAD_REQUEST, unusable(at)),
        (
            StatusCode::REQUEST_TIMEOUT,
            Reply::error(
                "The body did not come in time; the connection is closed.",
                [Example::error(
                    "slow_body",
                    "With a body that is announced and does not come for 15 seconds.",
                    "the body did not arrive within 15 seconds",
                )],
            ),
        ),
        (StatusCode::PAYLOAD_TOO_LARGE, too_large(path)),
        (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Reply::error(
                "The body is of another type.",
                [
                    Example::error(
                        "unsupported_media_type",
                        at("-H 'content-type: text/csv' -d 'u1,s1,end,0'"),
                        "send application/json or application/x-ndjson, not text/csv",
                    ),
                    Example::error(
                        "unsupported_encoding",
                        at("-H 'content-encoding: br' -d '[]'"),
                        "send a body as it is, or with gzip or zstd, not br",
                    ),
                ],
            ),
        ),
        (
            StatusCode::TOO_MANY_REQUESTS,
            Reply::for_now(
                "More events than one client may send a second. There is no such quota unless the operator sets one.",
                [Example::error(
                    "over_quota",
                    "With `--quota 1000`, when 1,000 events were sent at once and 1,000 more follow.",
                    "more events than this service takes from one client; try again in 1 s",
                )],
            ),
        ),
        (
            StatusCode::SERVICE_UNAVAILABLE,
            Reply::for_now(
                "Not now. Sending the batch again is always safe.",
                [
                    unavailable(
                        "log",
                        "With a disk that has less room than `--min-free-disk` wants.",
                        "the log cannot take this batch at the moment",
                    ),
                    unavailable(
                        "late",
                        "With a log that does not take the batch within 12 seconds.",
                        "the log did not take this batch in time",
                    ),
                    unavailable(
                        "inflight",
                        "With more bytes of bodies under way than `--max-inflight`.",
                        "too much is being received at the moment",
                    ),
                ],
            ),
        ),
    ]
}

fn unavailable(name: &'static str, asked: &str, message: &str) -> Example {
    Example::error_as(name, "unavailable", asked, message)
}

fn unusable(at: impl Fn(&str) -> String) -> Reply {
    let nothing = json!({
        "error": { "code": "nothing_usable", "message": "every event of the batch was rejected" },
        "accepted": 0,
        "discarded": [],
        "rejected": [{ "index": 0, "code": "missing_user_id", "detail": "`user_id` is absent, null or empty" }],
    });
    Reply::new("Nothing usable was sent.").json::<Refused>([
        Example::new("nothing_usable", at("-d '[{}]'"), nothing),
        Example::error(
            "not_json",
            at("-d '{'"),
            "the body is not valid JSON: EOF while parsing an object at line 1 column 1",
        ),
        Example::error(
            "not_a_batch",
            at("-d '{}'"),
            "an object must hold an array of events as `events` or `rows`",
        ),
        Example::error("empty_batch", at("-d '[]'"), "the batch holds no events"),
        Example::error(
            "damaged_body",
            at("-H 'content-encoding: gzip' -d ''"),
            "the body is no gzip: unexpected end of file",
        ),
    ])
}

fn too_large(path: &str) -> Reply {
    let piped = |text: &str, more: &str| {
        format!("{text} | curl -X POST http://127.0.0.1:5000{path} {more}--data-binary @-")
    };
    Reply::error(
        "Too much at once.",
        [
            Example::error(
                "body_too_large",
                piped("head -c 1048577 /dev/zero", ""),
                "a body, before and after inflating, has at most 1048576 bytes; send smaller batches",
            ),
            Example::error_as(
                "inflated",
                "body_too_large",
                piped("head -c 1048577 /dev/zero | gzip", "-H 'content-encoding: gzip' "),
                "a body, before and after inflating, has at most 1048576 bytes; send smaller batches",
            ),
            Example::error(
                "too_many_events",
                piped("yes '{}' | head -n 1001", "-H 'content-type: application/x-ndjson' "),
                "a batch may hold at most 1000 events",
            ),
        ],
    )
}
