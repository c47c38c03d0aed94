//! The questions about the sessions of a user, as they are described.

use serde_json::json;
use shared::http::openapi::{Call, Example, Reply, Tag};
use warp::http::StatusCode;

use super::{SESSION, USER, complete, curl, not_now, params, refused, starts::invalid_cursor};
use crate::{explain::Explanation, http::users::SessionsReply};

const SESSIONS: &str = "/v1/users/{user_id}/sessions";
const EXPLAINED: &str = "/v1/users/{user_id}/sessions/{session_id}";

/// What an id may be.
const ID: &str = "must be 1 to 128 bytes of UTF-8 without control characters, and not a placeholder such as `null`";

pub(super) fn sessions() -> Call {
    let of = |user: &str, query: &str| format!("/v1/users/{user}/sessions{query}");
    let (open, orphan) = ("d6313e1fb7d247a6a034e2aadc30ab30", "29bb390d9b1b4b4b9ec0d6243da34ec4");
    let some = |user: &str, sessions: serde_json::Value| json!({ "user_id": user, "sessions": sessions, "next": null });
    let examples = [
        Example::new("complete", curl(&of(USER, "")), some(USER, json!([complete()]))),
        Example::new(
            "open",
            curl(&of(open, "?status=open")),
            some(
                open,
                json!([{
                    "user_id": open,
                    "session_id": "674606b1-2270-4285-928f-eef4a6b90a60",
                    "country": "TIN",
                    "started_at": "2019-04-16T20:40:50Z",
                }]),
            ),
        ),
        Example::new(
            "orphan",
            curl(&of(orphan, "?status=orphan")),
            some(
                orphan,
                json!([{
                    "user_id": orphan,
                    "session_id": "ef939180-692a-4845-aef7-afb03524c2da",
                    "ended_at": "2018-11-13T10:38:09Z",
                }]),
            ),
        ),
        Example::new("unknown", curl(&of("nobody", "")), some("nobody", json!([]))),
    ];
    let call = Call::get(
        Tag::Questions,
        SESSIONS,
        "The last sessions of a user",
        "Newest first, equal times by session.",
    )
    .taking([params::user_segment(), params::status()])
    .taking(params::page(20, 100))
    .answering(StatusCode::OK, Reply::new("The sessions.").json::<SessionsReply>(examples));
    let wrong = vec![
        Example::error(
            "invalid_status",
            curl(&of(USER, "?status=closed")),
            "`status` must be `complete`, `open` or `orphan`",
        ),
        Example::error(
            "invalid_limit",
            curl(&of(USER, "?limit=101")),
            "`limit` must be a whole number from 1 to 100",
        ),
        invalid_cursor(&of(USER, "?cursor=x")),
        Example::error("invalid_user_id", curl(&of("null", "")), &format!("`user_id` {ID}")),
    ];
    not_now(refused(call, &of(USER, ""), &["status", "limit", "cursor"], wrong), false)
}

pub(super) fn session() -> Call {
    let of = |session: &str| format!("/v1/users/{USER}/sessions/{session}");
    let explained = json!({
        "user_id": USER,
        "session_id": SESSION,
        "status": "complete",
        "facts": [
            { "kind": "start", "ts": "2018-11-16T18:01:37Z", "country": "ZZ" },
            { "kind": "end", "ts": "2018-11-18T06:24:50Z" },
        ],
        "session": complete(),
        "why": "The session is complete because it started at 2018-11-16T18:01:37Z in ZZ and it ended at 2018-11-18T06:24:50Z.",
    });
    let orphan = json!({
        "user_id": "8d0e3cd4a25d4a0895a6c2e13b5bb26a",
        "session_id": "a78a4889-4bcf-45a7-a4bd-967cc7adf581",
        "status": "orphan",
        "facts": [{ "kind": "end", "ts": "2018-11-24T02:12:33Z" }],
        "session": null,
        "why": "The session is an orphan because it ended at 2018-11-24T02:12:33Z and no start of it is known.",
    });
    let of_orphan =
        "/v1/users/8d0e3cd4a25d4a0895a6c2e13b5bb26a/sessions/a78a4889-4bcf-45a7-a4bd-967cc7adf581";
    let examples = [
        Example::new("complete", curl(&of(SESSION)), explained),
        Example::new("orphan", curl(of_orphan), orphan),
    ];
    let unknown = Example::error(
        "unknown_session",
        curl(&of("s1")),
        "nothing is known of this session of this user; a session is answered for a year, counted from its start",
    );
    let about = "Everything that is known of a session, what it makes of it, and why.";
    let call = Call::get(Tag::Questions, EXPLAINED, "Why a session is what it is", about)
        .taking([params::user_segment(), params::session_segment()])
        .answering(StatusCode::OK, Reply::new("The session.").json::<Explanation>(examples))
        .answering(StatusCode::NOT_FOUND, Reply::error("Nothing is known of it.", [unknown]));
    let wrong = vec![
        Example::error(
            "invalid_user_id",
            curl("/v1/users/null/sessions/s1"),
            &format!("`user_id` {ID}"),
        ),
        Example::error("invalid_session_id", curl(&of("null")), &format!("`session_id` {ID}")),
    ];
    not_now(refused(call, &of(SESSION), &[], wrong), false)
}
