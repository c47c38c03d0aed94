//! CORS: which pages of other origins may send requests and read replies.
//!
//! A browser asks with a preflight before it sends such a request, and hides the reply from a page
//! whose origin the reply does not allow. Nothing here refuses a request: a client that is no
//! browser ignores all of this. Credentials of browsers, such as cookies, are never allowed.

use warp::{
    Reply as _,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    reply::Response,
};

/// The headers that a page may send, besides those that need no permission.
const REQUEST_HEADERS: &str = "authorization, content-type, content-encoding, x-api-key, \
                               x-request-id, bookend-after, traceparent";
/// The headers that a page may read, besides those that need no permission.
const REPLY_HEADERS: &str = "Retry-After, X-Request-Id, WWW-Authenticate, Allow, ETag, Link, \
                             Bookend-As-Of, Bookend-Position";
/// For how many seconds a browser remembers the reply to a preflight: no browser does for longer.
const MAX_AGE: &str = "7200";

/// What a request decides about CORS in its reply.
#[derive(Debug)]
pub(super) struct Cors {
    /// The origin whose pages may read the reply.
    allowed: Option<HeaderValue>,
    preflight: bool,
}

impl Cors {
    /// For a request with this `method` and these `headers`; `allows` says which origins may read.
    pub(super) fn of(
        method: &Method,
        headers: &HeaderMap,
        allows: impl FnOnce(&HeaderValue) -> bool,
    ) -> Self {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let origin = origins.next().filter(|_| origins.next().is_none());
        let preflight = method == Method::OPTIONS
            && headers.contains_key(header::ORIGIN)
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        Self { allowed: origin.filter(|origin| allows(origin)).cloned(), preflight }
    }

    /// The reply to OPTIONS for a path that supports these `methods`, still to be completed.
    pub(super) fn options(&self, methods: &HeaderValue) -> Response {
        let mut reply = StatusCode::NO_CONTENT.into_response();
        let headers = reply.headers_mut();
        headers.insert(header::ALLOW, methods.clone());
        if self.preflight && self.allowed.is_some() {
            let mut set = |name, value| headers.insert(name, value);
            set(header::ACCESS_CONTROL_ALLOW_METHODS, methods.clone());
            let request_headers = HeaderValue::from_static(REQUEST_HEADERS);
            set(header::ACCESS_CONTROL_ALLOW_HEADERS, request_headers);
            set(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        }
        reply
    }

    /// Completes the headers of the reply.
    pub(super) fn complete(self, reply: &mut HeaderMap) {
        // On every reply: a cache must not give a page the reply to a request of another origin.
        reply.insert(header::VARY, header::ORIGIN.into());
        let Some(origin) = self.allowed else { return };
        reply.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if !self.preflight {
            let readable = HeaderValue::from_static(REPLY_HEADERS);
            reply.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, readable);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: (&str, &str) = ("origin", "https://game.example");
    const FOREIGN: (&str, &str) = ("origin", "https://evil.example");
    const ASKS: (&str, &str) = ("access-control-request-method", "POST");

    fn cors(method: &Method, lines: &[(&'static str, &'static str)]) -> Cors {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        Cors::of(method, &headers, |origin| origin == OWN.1)
    }

    /// The headers of the reply of a handler.
    fn reply(method: &Method, lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut reply = HeaderMap::new();
        cors(method, lines).complete(&mut reply);
        reply
    }

    /// The headers of the reply to OPTIONS for a path with POST.
    fn options(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let cors = cors(&Method::OPTIONS, lines);
        let mut reply = cors.options(&HeaderValue::from_static("POST"));
        assert_eq!(reply.status(), StatusCode::NO_CONTENT);
        cors.complete(reply.headers_mut());
        reply.headers().clone()
    }

    fn names(reply: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = reply.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn an_allowed_page_reads_replies_and_their_headers() {
        for method in [Method::GET, Method::POST] {
            let reply = reply(&method, &[OWN]);
            assert_eq!(reply["access-control-allow-origin"], OWN.1);
            let shown = "Retry-After, X-Request-Id, WWW-Authenticate, Allow, ETag, Link, \
                         Bookend-As-Of, Bookend-Position";
            assert_eq!(reply["access-control-expose-headers"], shown);
            assert_eq!(reply["vary"], "origin");
            assert_eq!(reply.len(), 3, "{reply:?}");
        }
    }

    #[test]
    fn a_preflight_of_an_allowed_page_gets_the_methods_and_the_headers() {
        let reply = options(&[OWN, ASKS]);
        assert_eq!(reply["access-control-allow-origin"], OWN.1);
        assert_eq!(reply["access-control-allow-methods"], "POST");
        let headers = "authorization, content-type, content-encoding, x-api-key, x-request-id, \
                       bookend-after, traceparent";
        assert_eq!(reply["access-control-allow-headers"], headers);
        assert_eq!(reply["access-control-max-age"], "7200");
        assert!(!reply.contains_key("access-control-allow-credentials"));
    }

    #[test]
    fn a_foreign_page_gets_no_permission() {
        assert_eq!(names(&options(&[FOREIGN, ASKS])), ["allow", "vary"]);
        assert_eq!(names(&reply(&Method::POST, &[FOREIGN])), ["vary"]);
        // A browser sends one origin; which of two counts is not for us to guess.
        assert_eq!(names(&reply(&Method::POST, &[OWN, FOREIGN])), ["vary"]);
        assert_eq!(names(&options(&[OWN, FOREIGN, ASKS])), ["allow", "vary"]);
    }

    #[test]
    fn options_that_is_no_preflight_gets_the_methods_alone() {
        let reply = options(&[]);
        assert_eq!(reply["allow"], "POST");
        assert_eq!(names(&reply), ["allow", "vary"]);
        assert_eq!(names(&options(&[ASKS])), ["allow", "vary"]);
        assert!(!options(&[OWN]).contains_key("access-control-allow-methods"));
    }

    #[test]
    fn a_client_that_is_no_page_gets_no_permission_and_needs_none() {
        assert_eq!(names(&reply(&Method::POST, &[])), ["vary"]);
    }
}
