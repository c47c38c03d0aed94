//! The pages for browsers and the files that they consist of. All of them are compiled into the
//! program, so they need neither a disk nor a network. A page never reads the store: it sends the
//! same queries as any other client.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use bytes::Bytes;
use shared::http::{Access, Request, Route, of_shared_bytes};
use warp::{
    Reply,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    reply::Response,
};

use super::service::QueryService;

pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const CSS: &str = "text/css; charset=utf-8";
pub(super) const JS: &str = "text/javascript; charset=utf-8";

/// A file and the path at which it is served.
pub(super) struct File {
    pub(super) path: &'static str,
    pub(super) kind: &'static str,
    bytes: Bytes,
    /// The content security policy.
    policy: &'static str,
    /// Identifies the bytes; `None` makes browsers load the file each time.
    tag: Option<HeaderValue>,
}

impl File {
    pub(super) fn new(
        path: &'static str,
        kind: &'static str,
        policy: &'static str,
        bytes: Bytes,
    ) -> Self {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        // A weak one, because the same file is also sent compressed.
        let tag = HeaderValue::from_str(&format!("W/\"{:016x}\"", hasher.finish())).ok();
        Self { path, kind, bytes, policy, tag }
    }

    /// Returns the file, or 304 when the browser has it already.
    pub(super) fn answer(&self, request: &HeaderMap) -> Response {
        let known = request.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
        let unchanged = known
            .zip(self.tag.as_ref())
            .is_some_and(|(known, own)| known.split(',').any(|tag| tag.trim() == own));
        let mut response = if unchanged {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            of_shared_bytes(Response::new(self.bytes.clone().into()))
        };
        let headers = response.headers_mut();
        let mut set =
            |name: HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
        set(header::CONTENT_TYPE, self.kind);
        set(header::CONTENT_SECURITY_POLICY, self.policy);
        // The browser asks every time whether the file has changed; the reply is mostly 304.
        set(header::CACHE_CONTROL, "no-cache");
        headers.extend(self.tag.clone().map(|tag| (header::ETAG, tag)));
        response
    }

    #[cfg(test)]
    pub(super) fn text(&self) -> &str {
        str::from_utf8(&self.bytes).unwrap()
    }
}

/// The route of a file, which is counted as `label`.
pub(super) fn route(file: &'static File, label: &'static str) -> Route<QueryService> {
    let handler = move |service: Arc<QueryService>, request: Request| async move {
        let measured = service.metrics.begin(request.route, &request.caller);
        let response = file.answer(&request.headers);
        measured.answered(response.status().as_u16());
        response
    };
    Route::get(file.path, Access::Public, handler).labelled(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_the_browser_has_is_not_sent_again() {
        let file =
            |text: &'static str| File::new("/a", HTML, "", Bytes::from_static(text.as_bytes()));
        let first = file("one").answer(&HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        let asked =
            HeaderMap::from_iter([(header::IF_NONE_MATCH, first.headers()["etag"].clone())]);
        assert_eq!(file("one").answer(&asked).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(file("two").answer(&asked).status(), StatusCode::OK);
    }
}
