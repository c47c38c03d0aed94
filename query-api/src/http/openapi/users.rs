//! The descriptions of the queries about the sessions of a user.

use serde_json::{Value, json};
use shared::http::{
    Access,
    openapi::{Call, Example, Tag, guarded},
};

use super::{
    Errors, LastSessions, SESSION, SessionsOfUser, USER, complete, curl, failing, parameters,
};
use crate::{
    error::QueryError,
    explain::Explanation,
    http::{
        body::{IN_BODY, IN_QUERY, LONGEST},
        users::{
            LAST_SESSIONS, LIMIT, SESSION_BY_QUERY, SESSIONS, SESSIONS_BY_QUERY, SessionsReply,
        },
    },
};

/// `/v1/users/{user_id}/sessions`
pub(in crate::http) fn sessions() -> Call {
    let of = |user: &str, query: &str| match query {
        "" => format!("/v1/users/{user}/sessions"),
        _ => format!("/v1/users/{user}/sessions?{query}"),
    };
    let call = Call::new(Tag::Queries, "listUserSessions", "List the sessions of a user", LIST)
        .taking(parameters::path(&["user_id"]))
        .taking(parameters::query(&SESSIONS, LIMIT))
        .json::<SessionsReply>(PAGE, pages(of));
    failing(call, &of(USER, ""), &SESSIONS, wrong_page(of), false)
}

/// `/v1/sessions`
pub(in crate::http) fn sessions_by_query() -> Call {
    let path = "/v1/sessions";
    let of = |user: &str, query: &str| match query {
        "" => format!("{path}?user_id={user}"),
        _ => format!("{path}?user_id={user}&{query}"),
    };
    let about = format!(
        "The same as `/v1/users/{{user_id}}/sessions`, also behind a proxy that decodes `%2F` in paths. {LIST}"
    );
    let summary = "List the sessions of a user by query";
    let call = Call::new(Tag::Queries, "listUserSessionsByQuery", summary, &about)
        .taking(parameters::required(&["user_id"]))
        .taking(parameters::query(&SESSIONS, LIMIT))
        .json::<SessionsReply>(PAGE, pages(of));
    let mut errors = wrong_page(of);
    errors.push(("missing_user_id", curl(path), QueryError::MissingUserId(IN_QUERY)));
    failing(call, path, &SESSIONS_BY_QUERY, errors, false)
}

const LIST: &str = "Lists the sessions of a user, newest first, page by page. Complete sessions and \
                    orphans are ordered by their end, open sessions by their start. Sessions with \
                    equal times are ordered by their id. If a user has more than 20,000 sessions of \
                    any status (3,000 on Cassandra), open sessions and orphans are ordered by their \
                    id, and the reply says so by `order`.";
const PAGE: &str = "One page of the sessions of the user.";

/// Pages of sessions; `of` returns the path and query for a user.
fn pages(of: impl Fn(&str, &str) -> String) -> [Example; 4] {
    let (open, orphan) = ("d6313e1fb7d247a6a034e2aadc30ab30", "29bb390d9b1b4b4b9ec0d6243da34ec4");
    let opened = json!({
        "user_id": open, "session_id": "674606b1-2270-4285-928f-eef4a6b90a60",
        "country": "TIN", "started_at": "2019-04-16T20:40:50Z",
    });
    let ended = json!({
        "user_id": orphan, "session_id": "ef939180-692a-4845-aef7-afb03524c2da",
        "ended_at": "2018-11-13T10:38:09Z",
    });
    let page = |name, user: &str, query: &str, sessions: &[Value]| {
        let body = json!({ "user_id": user, "sessions": sessions, "next": null });
        Example::new(name, curl(&of(user, query)), body)
    };
    [
        page("complete", USER, "", &[complete()]),
        page("open", open, "status=open", &[opened]),
        page("orphan", orphan, "status=orphan", &[ended]),
        page("unknown", "nobody", "", &[]),
    ]
}

/// The errors of a page of sessions.
fn wrong_page(of: impl Fn(&str, &str) -> String) -> Errors {
    let at = |query: &str| curl(&of(USER, query));
    vec![
        ("invalid_status", at("status=closed"), QueryError::InvalidStatus),
        ("invalid_limit", at("limit=101"), QueryError::InvalidNumber("limit", LIMIT.1)),
        ("invalid_cursor", at("cursor=x"), QueryError::InvalidCursor),
        ("invalid_user_id", curl(&of("null", "")), QueryError::InvalidUserId),
    ]
}

/// `/v1/users/{user_id}/sessions/{session_id}`
pub(in crate::http) fn session() -> Call {
    let of = |user: &str, session: &str| format!("/v1/users/{user}/sessions/{session}");
    let call = Call::new(Tag::Queries, "explainSession", "Explain a session", EXPLAIN)
        .taking(parameters::path(&["user_id", "session_id"]))
        .json::<Explanation>(EXPLAINED, explanations(of));
    failing(call, &of(USER, SESSION), &[], wrong_session(of), false)
}

/// `/v1/session`
pub(in crate::http) fn session_by_query() -> Call {
    let path = "/v1/session";
    let of = |user: &str, session: &str| format!("{path}?user_id={user}&session_id={session}");
    let about = format!(
        "The same as `/v1/users/{{user_id}}/sessions/{{session_id}}`, also behind a proxy that \
         decodes `%2F` in paths. {EXPLAIN}"
    );
    let summary = "Explain a session by query";
    let call = Call::new(Tag::Queries, "explainSessionByQuery", summary, &about)
        .taking(parameters::required(&SESSION_BY_QUERY))
        .json::<Explanation>(EXPLAINED, explanations(of));
    let mut errors = wrong_session(of);
    let only = |query: &str| curl(&format!("{path}?{query}"));
    errors.push(("missing_user_id", only("session_id=s1"), QueryError::MissingUserId(IN_QUERY)));
    errors.push(("missing_session_id", only("user_id=u1"), QueryError::MissingSessionId));
    failing(call, path, &SESSION_BY_QUERY, errors, false)
}

const EXPLAIN: &str =
    "Lists the stored events of a session, and explains its status and its times.";
const EXPLAINED: &str = "The session and its explanation.";

/// Explanations; `of` returns the path and query for a session.
fn explanations(of: impl Fn(&str, &str) -> String) -> [Example; 2] {
    let explained = json!({
        "user_id": USER, "session_id": SESSION, "status": "complete",
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
        "user_id": user, "session_id": session, "status": "orphan",
        "facts": [{ "kind": "end", "ts": "2018-11-24T02:12:33Z" }],
        "session": null,
        "why": "The session is an orphan because it ended at 2018-11-24T02:12:33Z and no start of \
                it is known.",
    });
    [
        Example::new("complete", curl(&of(USER, SESSION)), explained),
        Example::new("orphan", curl(&of(user, session)), orphan),
    ]
}

/// The errors of an explanation.
fn wrong_session(of: impl Fn(&str, &str) -> String) -> Errors {
    vec![
        ("unknown_session", curl(&of(USER, "s1")), QueryError::UnknownSession),
        ("invalid_user_id", curl(&of("null", "s1")), QueryError::InvalidUserId),
        ("invalid_session_id", curl(&of(USER, "null")), QueryError::InvalidSessionId),
    ]
}

/// `/user/last-sessions-user`
pub(in crate::http) fn last_sessions() -> Call {
    let path = "/user/last-sessions-user";
    let at = |query: &str| curl(&format!("{path}{query}"));
    let sessions = [
        Example::new("some", at(&format!("?user_id={USER}")), json!({ USER: [complete()] })),
        Example::new(
            "by_player_id",
            at(&format!("?player_id={USER}")),
            json!({ USER: [complete()] }),
        ),
        Example::new("none", at("?user_id=nobody"), json!({ "nobody": [] })),
    ];
    let about = "Deprecated: use `/v1/users/{user_id}/sessions`. Returns the 20 most recent \
                 complete sessions of a user, newest end first. Name the user by `user_id` or by \
                 `player_id`.";
    let call =
        Call::new(Tag::Legacy, "listLastSessions", "List the last sessions of a user", about)
            .taking(parameters::query(&LAST_SESSIONS, LIMIT))
            .json::<SessionsOfUser>("The sessions of the user.", sessions);
    let errors = wrong_user(at(""), at("?user_id=null"), at("?user_id=a&player_id=b"), IN_QUERY);
    failing(call, path, &LAST_SESSIONS, errors, false)
}

/// `/`
pub(in crate::http) fn root() -> Call {
    let with = |body: &str| format!("curl -X GET http://127.0.0.1:5000/ -d '{body}'");
    let ask = with(&format!("{{\"player_id\":\"{USER}\"}}"));
    let page = Example::new("page", curl("/"), "<!doctype html>\n<html lang=\"en\">\n");
    let sessions = [
        Example::new("some", ask.as_str(), json!([complete()])),
        Example::new("none", with("{\"user_id\":\"nobody\"}"), json!([])),
    ];
    let about = format!(
        "Without a body, returns this documentation page. Deprecated: with a body \
         `{{\"player_id\": …}}` or `{{\"user_id\": …}}`, returns the 20 most recent complete \
         sessions of that user. Only this needs a key. Browsers cannot send a body with GET, and \
         OpenAPI cannot describe one. Use curl:\n\n\
         ```sh\n{ask}\n```"
    );
    let slow = "When a client announces a body and does not send it for 10 seconds.";
    let large = "head -c 8193 /dev/zero | curl -X GET http://127.0.0.1:5000/ --data-binary @-";
    let summary = "Documentation page, or the last sessions of a user";
    let call = Call::new(Tag::Legacy, "getRoot", summary, &about)
        .text("The page, or the sessions of the user.", "text/html", page)
        .json::<LastSessions>("The sessions of the user.", sessions);
    let both = with("{\"user_id\":\"a\",\"player_id\":\"b\"}");
    let mut errors = wrong_user(with("{}"), with("{\"user_id\":\"null\"}"), both, IN_BODY);
    errors.push(("invalid_body", with("[]"), QueryError::InvalidBody));
    errors.push(("slow_body", slow.to_owned(), QueryError::SlowBody));
    errors.push(("body_too_large", large.to_owned(), QueryError::BodyTooLarge(LONGEST)));
    // The page is public.
    guarded(failing(call, "/", &[], errors, false), Access::ReadUser)
}

/// The errors for a user that is missing, invalid, or named twice.
fn wrong_user(none: String, invalid: String, both: String, example: &'static str) -> Errors {
    vec![
        ("missing_user_id", none, QueryError::MissingUserId(example)),
        ("invalid_user_id", invalid, QueryError::InvalidUserId),
        ("conflicting_user_id", both, QueryError::ConflictingUserId),
    ]
}
