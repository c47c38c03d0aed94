//! The seeds' own questions, as they are described.

use serde_json::json;
use shared::{
    http::openapi::{Call, Example, Reply, Schemas, Tag, add, list, of},
    session::CompletedSession,
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};
use warp::http::StatusCode;

use super::{StartsByCountry, USER, complete, curl, not_now, params, refused, starts::of_170_days};

const LAST_EVENTS: &str = "/user/last-events";
const LAST_SESSIONS: &str = "/user/last-sessions-user";

/// A bare array of sessions.
enum LastSessions {}

impl PartialSchema for LastSessions {
    fn schema() -> RefOr<Schema> {
        list(of::<CompletedSession>())
    }
}

impl ToSchema for LastSessions {
    fn schemas(schemas: &mut Schemas) {
        add::<CompletedSession>(schemas);
    }
}

/// Sessions under the one key of their user.
enum SessionsOfUser {}

impl PartialSchema for SessionsOfUser {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .additional_properties(Some(list(of::<CompletedSession>())))
            .min_properties(Some(1))
            .max_properties(Some(1))
            .description(Some("The one key is the user."))
            .into()
    }
}

impl ToSchema for SessionsOfUser {
    fn schemas(schemas: &mut Schemas) {
        add::<CompletedSession>(schemas);
    }
}

pub(super) fn last_events() -> Call {
    let about = "Newest first in each country, streamed however many there are.";
    let starts = Example::new("starts", curl(&format!("{LAST_EVENTS}?days=170")), of_170_days());
    let call = Call::get(Tag::Older, LAST_EVENTS, "The starts of each country", about)
        .taking(params::length())
        .answering(StatusCode::OK, Reply::new("The starts.").json::<StartsByCountry>([starts]));
    let at = |query: &str| curl(&format!("{LAST_EVENTS}{query}"));
    let wrong = vec![
        Example::error("missing_window", at(""), "say how far to look back: days=1, or hours=1.5"),
        Example::error(
            "invalid_window",
            at("?days=366"),
            "`days` and `hours` must be numbers above 0, fractions allowed, and at most a year",
        ),
        Example::error_as(
            "two_windows",
            "invalid_window",
            at("?days=1&hours=1"),
            "give `days` or `hours`, not both",
        ),
    ];
    not_now(refused(call, LAST_EVENTS, &["days", "hours"], wrong), true)
}

pub(super) fn last_sessions() -> Call {
    let at = |query: &str| curl(&format!("{LAST_SESSIONS}{query}"));
    let examples = [
        Example::new("some", at(&format!("?user_id={USER}")), json!({ USER: [complete()] })),
        Example::new(
            "by_player_id",
            at(&format!("?player_id={USER}")),
            json!({ USER: [complete()] }),
        ),
        Example::new("none", at("?user_id=nobody"), json!({ "nobody": [] })),
    ];
    let about =
        "The last 20 complete ones, newest end first. The user is named in one of the two ways.";
    let call = Call::get(Tag::Older, LAST_SESSIONS, "The last sessions of a user", about)
        .taking(params::user())
        .answering(StatusCode::OK, Reply::new("The sessions.").json::<SessionsOfUser>(examples));
    let wrong = wrong_user(
        |user| at(&if user.is_empty() { String::new() } else { format!("?{user}") }),
        "user_id=d6313e1f",
    );
    not_now(refused(call, LAST_SESSIONS, &["user_id", "player_id"], wrong), false)
}

pub(super) fn root() -> Call {
    let with = |body: &str| format!("curl -X GET http://127.0.0.1:5000/ -d '{body}'");
    let page = Example::new("page", curl("/"), "<!doctype html>\n<html lang=\"en\">\n");
    let examples = [
        Example::new("some", with(&format!("{{\"player_id\":\"{USER}\"}}")), json!([complete()])),
        Example::new("none", with("{\"user_id\":\"nobody\"}"), json!([])),
    ];
    let about = format!(
        "Without a body: this page. With one: the last 20 complete sessions of the user that it names, `{{\"player_id\": …}}` or \
         `{{\"user_id\": …}}`. A browser sends no body with GET, nor does OpenAPI describe one:\n\n```sh\n{}\n```",
        with(&format!("{{\"player_id\":\"{USER}\"}}"))
    );
    let call = Call::get(Tag::Older, "/", "This page, or a user's last sessions", &about)
        .answering(
            StatusCode::OK,
            Reply::new("The page, or the sessions.")
                .text("text/html", [page])
                .json::<LastSessions>(examples),
        )
        .answering(
            StatusCode::REQUEST_TIMEOUT,
            Reply::error(
                "The body did not come in time.",
                [Example::error(
                    "slow_body",
                    "With a body that is announced and does not come for 10 seconds.",
                    "the body did not come in time",
                )],
            ),
        )
        .answering(
            StatusCode::PAYLOAD_TOO_LARGE,
            Reply::error(
                "The body names more than a user.",
                [Example::error(
                    "body_too_large",
                    "head -c 8193 /dev/zero | curl -X GET http://127.0.0.1:5000/ --data-binary @-",
                    "the body may be 8192 bytes long at most",
                )],
            ),
        );
    let mut wrong = wrong_user(
        |user| match user.split_once('&') {
            Some(_) => with("{\"user_id\":\"a\",\"player_id\":\"b\"}"),
            None if user.is_empty() => with("{}"),
            None => with("{\"user_id\":\"null\"}"),
        },
        "the body may be {\"user_id\": \"d6313e1f\"}",
    );
    wrong.push(Example::error(
        "invalid_body",
        with("[]"),
        "the body must be a JSON object such as {\"user_id\": \"d6313e1f\"}",
    ));
    not_now(refused(call, "/", &[], wrong), false)
}

/// How a user can be named wrongly; `ask` is given what a query would say.
fn wrong_user(ask: impl Fn(&str) -> String, example: &str) -> Vec<Example> {
    vec![
        Example::error(
            "missing_user_id",
            ask(""),
            &format!("say whose sessions are meant: {example}"),
        ),
        Example::error(
            "invalid_user_id",
            ask("user_id=null"),
            "`user_id` must be 1 to 128 bytes of UTF-8 without control characters, and not a placeholder such as `null`",
        ),
        Example::error(
            "conflicting_user_id",
            ask("user_id=a&player_id=b"),
            "`player_id` is another name of `user_id`: give one of them",
        ),
    ]
}
