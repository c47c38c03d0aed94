//! Which path asks which question.

use super::{dashboard, docs};

/// A question, with the segments of its path as they came: percent-encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Root,
    Starts,
    StartCounts,
    Sessions { user: String },
    Session { user: String, session: String },
    LastEvents,
    LastSessions,
}

impl Route {
    /// The question that a raw path asks. A slash within an id is `%2F`, so raw slashes always part segments.
    pub(super) fn of(path: &str) -> Option<Self> {
        let segments: Vec<_> = path.strip_prefix('/')?.splitn(6, '/').collect();
        match segments[..] {
            [""] => Some(Self::Root),
            ["v1", "session-starts"] => Some(Self::Starts),
            ["v1", "session-starts", "counts"] => Some(Self::StartCounts),
            ["v1", "users", user, "sessions"] => Some(Self::Sessions { user: user.to_owned() }),
            ["v1", "users", user, "sessions", session] => {
                Some(Self::Session { user: user.to_owned(), session: session.to_owned() })
            }
            ["user", "last-events"] => Some(Self::LastEvents),
            ["user", "last-sessions-user"] => Some(Self::LastSessions),
            _ => None,
        }
    }

    /// The path with its variable segments named: the closed set of a metric's label.
    pub(super) fn template(&self) -> &'static str {
        match self {
            Self::Root => "/",
            Self::Starts => "/v1/session-starts",
            Self::StartCounts => "/v1/session-starts/counts",
            Self::Sessions { .. } => "/v1/users/{user_id}/sessions",
            Self::Session { .. } => "/v1/users/{user_id}/sessions/{session_id}",
            Self::LastEvents => "/user/last-events",
            Self::LastSessions => "/user/last-sessions-user",
        }
    }
}

/// The methods that the query service takes at `path`, as it stands in the request (percent-encoded, without the query):
/// none when the path is not one of its own. With this the filter behind [`routes`](super::routes) tells a 405, and its
/// `allow`, from a 404.
#[must_use]
pub fn methods(path: &str) -> &'static [&'static str] {
    let known = Route::of(path).is_some() || docs::is_known(path) || dashboard::is_known(path);
    if known { &["GET", "HEAD"] } else { &[] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_in_an_id_is_escaped_and_a_raw_one_parts_segments() {
        let user = "a%2Fb".to_owned();
        assert_eq!(Route::of("/v1/users/a%2Fb/sessions"), Some(Route::Sessions { user }));
        assert_eq!(Route::of("/v1/users/a/b/sessions"), None);
        assert_eq!(Route::of("/v1/users/a/sessions/b/c"), None);
    }

    #[test]
    fn a_path_that_is_not_a_query_takes_no_method() {
        for path in [
            "/v1",
            "/dashboard/x",
            "/docs",
            "/docs/x",
            "/v1/events",
            "/v1/session-starts/",
            "/v1/users/a",
            "/metrics",
            "/user/batches",
            "*",
            "",
        ] {
            assert!(methods(path).is_empty(), "{path}");
        }
        assert_eq!(methods("/"), ["GET", "HEAD"]);
        assert_eq!(methods("/dashboard"), ["GET", "HEAD"]);
        assert_eq!(methods("/docs/swagger-ui.css"), ["GET", "HEAD"]);
        assert_eq!(methods("/v1/users/a/sessions/b"), ["GET", "HEAD"]);
    }
}
