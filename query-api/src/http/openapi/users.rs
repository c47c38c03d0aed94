//! The descriptions of the queries about the sessions of a user.

use serde_json::{Value, json};
use shared::http::openapi::{Call, Example, Reply, Tag};
use warp::http::StatusCode;

use super::{SESSION, USER, complete, curl, examples, failing, parameters};
use crate::{
    error::QueryError,
    explain::Explanation,
    http::users::{LIMIT, SESSIONS, SessionsReply},
};

/// `/v1/users/{user_id}/sessions`
pub(in crate::http) fn sessions() -> Call {
    let of = |user: &str, query: &str| format!("/v1/users/{user}/sessions{query}");
    let (open, orphan) = ("d6313e1fb7d247a6a034e2aadc30ab30", "29bb390d9b1b4b4b9ec0d6243da34ec4");
    let opened = json!({
        "user_id": open,
        "session_id": "674606b1-2270-4285-928f-eef4a6b90a60",
        "country": "TIN",
        "started_at": "2019-04-16T20:40:50Z",
    });
    let ended = json!({
        "user_id": orphan,
        "session_id": "ef939180-692a-4845-aef7-afb03524c2da",
        "ended_at": "2018-11-13T10:38:09Z",
    });
    let page = |name, user: &str, query: &str, sessions: &[Value]| {
        let body = json!({ "user_id": user, "sessions": sessions, "next": null });
        Example::new(name, curl(&of(user, query)), body)
    };
    let pages = [
        page("complete", USER, "", &[complete()]),
        page("open", open, "?status=open", &[opened]),
        page("orphan", orphan, "?status=orphan", &[ended]),
        page("unknown", "nobody", "", &[]),
    ];
    let about = "Lists the sessions of a user, newest first, page by page. Complete sessions and \
                 orphans are ordered by their end, open sessions by their start. Sessions with \
                 equal times are ordered by their id.";
    let call = Call::new(Tag::Questions, "List the sessions of a user", about)
        .taking([parameters::user()])
        .taking(parameters::query(&SESSIONS, LIMIT))
        .answering(
            StatusCode::OK,
            Reply::new("One page of the sessions of the user.").json::<SessionsReply>(pages),
        );
    let at = |query: &str| curl(&of(USER, query));
    let errors = vec![
        ("invalid_status", at("?status=closed"), QueryError::InvalidStatus),
        ("invalid_limit", at("?limit=101"), QueryError::InvalidLimit(LIMIT.1)),
        ("invalid_cursor", at("?cursor=x"), QueryError::InvalidCursor),
        ("invalid_user_id", curl(&of("null", "")), QueryError::InvalidUserId),
    ];
    failing(call, &of(USER, ""), &SESSIONS, errors, false)
}

/// `/v1/users/{user_id}/sessions/{session_id}`
pub(in crate::http) fn session() -> Call {
    let of = |user: &str, session: &str| format!("/v1/users/{user}/sessions/{session}");
    let explained = json!({
        "user_id": USER,
        "session_id": SESSION,
        "status": "complete",
        "facts": [
            { "kind": "start", "ts": "2018-11-16T18:01:37Z", "country": "ZZ" },
            { "kind": "end", "ts": "2018-11-18T06:24:50Z" },
        ],
        "session": complete(),
        "why": "The session is complete because it started at 2018-11-16T18:01:37Z in ZZ and it \
                ended at 2018-11-18T06:24:50Z.",
    });
    let (user, session) =
        ("8d0e3cd4a25d4a0895a6c2e13b5bb26a", "a78a4889-4bcf-45a7-a4bd-967cc7adf581");
    let orphan = json!({
        "user_id": user,
        "session_id": session,
        "status": "orphan",
        "facts": [{ "kind": "end", "ts": "2018-11-24T02:12:33Z" }],
        "session": null,
        "why": "The session is an orphan because it ended at 2018-11-24T02:12:33Z and no start of \
                it is known.",
    });
    let explanations = [
        Example::new("complete", curl(&of(USER, SESSION)), explained),
        Example::new("orphan", curl(&of(user, session)), orphan),
    ];
    let unknown = ("unknown_session", curl(&of(USER, "s1")), QueryError::UnknownSession);
    let about = "Lists the stored events of a session, and explains its status and its times.";
    let call = Call::new(Tag::Questions, "Explain a session", about)
        .taking([parameters::user(), parameters::session()])
        .answering(
            StatusCode::OK,
            Reply::new("The session and its explanation.").json::<Explanation>(explanations),
        )
        .failing("No events of this session are stored.", examples([unknown]));
    let errors = vec![
        ("invalid_user_id", curl(&of("null", "s1")), QueryError::InvalidUserId),
        ("invalid_session_id", curl(&of(USER, "null")), QueryError::InvalidSessionId),
    ];
    failing(call, &of(USER, SESSION), &[], errors, false)
}
