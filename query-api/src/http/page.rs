//! What a browser is served: pages and the files that they are made of. All of them are in the program, so they need no disk and
//! no network. Nothing here looks at the store: a page asks the same questions as any other reader.

use std::{
    borrow::Cow,
    future,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use warp::{
    Filter, Rejection, Reply,
    filters::{BoxedFilter, path::FullPath},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    reply::Response,
};

use crate::QueryMetrics;

pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const CSS: &str = "text/css; charset=utf-8";
pub(super) const JS: &str = "text/javascript; charset=utf-8";

/// A file with its address.
pub(super) struct File {
    pub(super) path: &'static str,
    pub(super) kind: &'static str,
    bytes: Cow<'static, [u8]>,
    /// What a browser may do with it.
    policy: &'static str,
    /// Changes with its bytes.
    tag: HeaderValue,
}

impl File {
    pub(super) fn new(
        path: &'static str,
        kind: &'static str,
        policy: &'static str,
        bytes: Cow<'static, [u8]>,
    ) -> Self {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let tag = HeaderValue::from_str(&format!("\"{:016x}\"", hasher.finish()));
        Self { path, kind, bytes, policy, tag: tag.unwrap_or(HeaderValue::from_static("\"0\"")) }
    }

    /// The file, or that it is what the browser has already.
    pub(super) fn answer(&self, asked: &HeaderMap) -> Response {
        let known = asked.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
        let unchanged = known.is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == self.tag));
        let mut response = match &self.bytes {
            _ if unchanged => StatusCode::NOT_MODIFIED.into_response(),
            Cow::Borrowed(bytes) => bytes.into_response(),
            Cow::Owned(bytes) => bytes.clone().into_response(),
        };
        let headers = response.headers_mut();
        let mut say =
            |name: HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
        say(header::CONTENT_TYPE, self.kind);
        say(header::CONTENT_SECURITY_POLICY, self.policy);
        say(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        say(header::REFERRER_POLICY, "no-referrer");
        // A browser asks again each time, and is mostly told that it has the file.
        say(header::CACHE_CONTROL, "no-cache");
        headers.insert(header::ETAG, self.tag.clone());
        response
    }

    #[cfg(test)]
    pub(super) fn text(&self) -> &str {
        str::from_utf8(&self.bytes).unwrap()
    }
}

/// The files that `find` knows, counted as `label`; every other path is rejected as not found.
pub(super) fn routes(
    find: fn(&str) -> Option<&'static File>,
    label: &'static str,
    metrics: Arc<QueryMetrics>,
) -> BoxedFilter<(Response,)> {
    warp::path::full()
        .and(warp::method())
        .and_then(move |path: FullPath, method: Method| {
            let read = method == Method::GET || method == Method::HEAD;
            let file = find(path.as_str()).filter(|_| read);
            future::ready(file.ok_or_else(|| -> Rejection { warp::reject::not_found() }))
        })
        .and(warp::header::headers_cloned())
        .map(move |file: &'static File, headers: HeaderMap| {
            let measured = metrics.begin(label);
            let response = file.answer(&headers);
            measured.answered(response.status().as_u16());
            response
        })
        .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_the_browser_has_is_not_sent_again() {
        let file = |text: &'static str| File::new("/a", HTML, "", Cow::Borrowed(text.as_bytes()));
        let first = file("one").answer(&HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        let asked =
            HeaderMap::from_iter([(header::IF_NONE_MATCH, first.headers()["etag"].clone())]);
        assert_eq!(file("one").answer(&asked).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(file("two").answer(&asked).status(), StatusCode::OK);
    }
}
