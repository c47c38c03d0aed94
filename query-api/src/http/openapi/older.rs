//! The descriptions of the seeds' own queries.

use serde_json::json;
use shared::http::openapi::{Call, Example, Reply, Tag};
use warp::http::StatusCode;

use super::{
    Errors, USER, complete, curl, examples, failing, parameters,
    schema::{LastSessions, SessionsOfUser, StartsByCountry},
    starts::of_170_days,
};
use crate::{
    error::QueryError,
    http::{
        body::{IN_BODY, IN_QUERY, LONGEST},
        starts::LAST_EVENTS,
        users::{LAST_SESSIONS, LIMIT},
    },
    window::{LENGTH, LENGTH_EXAMPLES, ONE_LENGTH},
};

/// `/user/last-events`
pub(in crate::http) fn last_events() -> Call {
    let path = "/user/last-events";
    let at = |query: &str| curl(&format!("{path}{query}"));
    let starts = Example::new("starts", at("?days=170"), of_170_days());
    let about = "Returns all session starts of each country in the window, newest first, in one \
                 streamed reply of any length.";
    let call = Call::new(Tag::Older, "List all session starts by country", about)
        .taking(parameters::query(&LAST_EVENTS, LIMIT))
        .answering(
            StatusCode::OK,
            Reply::new("The session starts of each country.").json::<StartsByCountry>([starts]),
        );
    let errors = vec![
        ("missing_window", at(""), QueryError::MissingWindow(LENGTH_EXAMPLES)),
        ("invalid_window", at("?days=366"), QueryError::InvalidWindow(LENGTH)),
        ("two_windows", at("?days=1&hours=1"), QueryError::InvalidWindow(ONE_LENGTH)),
    ];
    failing(call, path, &LAST_EVENTS, errors, true)
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
    let about = "Returns the 20 most recent complete sessions of a user, newest end first. Name \
                 the user by `user_id` or by `player_id`.";
    let call = Call::new(Tag::Older, "List the last sessions of a user", about)
        .taking(parameters::query(&LAST_SESSIONS, LIMIT))
        .answering(
            StatusCode::OK,
            Reply::new("The sessions of the user.").json::<SessionsOfUser>(sessions),
        );
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
        "Without a body, returns this documentation page. With a body `{{\"player_id\": …}}` or \
         `{{\"user_id\": …}}`, returns the 20 most recent complete sessions of that user. Browsers \
         cannot send a body with GET, and OpenAPI cannot describe one. Use curl:\n\n\
         ```sh\n{ask}\n```"
    );
    let slow = "When a client announces a body and does not send it for 10 seconds.".to_owned();
    let large = "head -c 8193 /dev/zero | curl -X GET http://127.0.0.1:5000/ --data-binary @-";
    let reply = Reply::new("The page, or the sessions of the user.")
        .text("text/html", [page])
        .json::<LastSessions>(sessions);
    let call = Call::new(Tag::Older, "Documentation page, or the last sessions of a user", &about)
        .answering(StatusCode::OK, reply)
        .failing(
            "The body did not arrive in time.",
            examples([("slow_body", slow, QueryError::SlowBody)]),
        )
        .failing(
            "The body is too large to name a user.",
            examples([("body_too_large", large.to_owned(), QueryError::BodyTooLarge(LONGEST))]),
        );
    let both = with("{\"user_id\":\"a\",\"player_id\":\"b\"}");
    let mut errors = wrong_user(with("{}"), with("{\"user_id\":\"null\"}"), both, IN_BODY);
    errors.push(("invalid_body", with("[]"), QueryError::InvalidBody));
    failing(call, "/", &[], errors, false)
}

/// The errors for a user that is missing, invalid, or named twice.
fn wrong_user(none: String, invalid: String, both: String, example: &'static str) -> Errors {
    vec![
        ("missing_user_id", none, QueryError::MissingUserId(example)),
        ("invalid_user_id", invalid, QueryError::InvalidUserId),
        ("conflicting_user_id", both, QueryError::ConflictingUserId),
    ]
}
