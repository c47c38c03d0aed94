//! What a newcomer gets at `/`: the questions that can be asked, each with an example.

use serde::Serialize;

use super::reply::Answer;

#[derive(Serialize)]
struct Index {
    service: &'static str,
    routes: [Entry; 7],
}

#[derive(Clone, Copy, Serialize)]
struct Entry {
    path: &'static str,
    what: &'static str,
    example: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'static str>,
}

const ROUTES: [Entry; 7] = [
    entry("/v1/session-starts", "the session starts of each country", "/v1/session-starts?days=1&country=SK"),
    entry("/v1/session-starts/counts", "how many there were", "/v1/session-starts/counts?days=7&step=day"),
    entry(
        "/v1/users/{user_id}/sessions",
        "the last complete, open or orphan sessions of a user",
        "/v1/users/d6313e1f/sessions?limit=20&status=complete",
    ),
    entry(
        "/v1/users/{user_id}/sessions/{session_id}",
        "everything that is known of a session, and what it makes",
        "/v1/users/d6313e1f/sessions/5f933591",
    ),
    entry("/user/last-events", "the session starts of each country, uncut", "/user/last-events?hours=1.5"),
    entry(
        "/user/last-sessions-user",
        "the last 20 complete sessions of a user",
        "/user/last-sessions-user?user_id=d6313e1f",
    ),
    Entry {
        body: Some(r#"{"user_id": "d6313e1f"}"#),
        ..entry("/", "the last 20 complete sessions of the user named in a JSON body", "/")
    },
];

const fn entry(path: &'static str, what: &'static str, example: &'static str) -> Entry {
    Entry { path, what, example, body: None }
}

pub(super) fn answer() -> Answer {
    Answer::json(&Index { service: "Bookend", routes: ROUTES }, 0)
}

#[cfg(test)]
mod tests {
    use super::{super::route::Route, *};

    #[test]
    fn every_example_leads_to_the_route_that_it_stands_for() {
        for Entry { path, example, .. } in ROUTES {
            let (asked, _) = example.split_once('?').unwrap_or((example, ""));
            assert_eq!(Route::of(asked).map(|route| route.template()), Some(path));
        }
    }
}
