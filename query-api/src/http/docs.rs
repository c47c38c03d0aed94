//! The page at `/` that shows every call and lets a reader try it: Swagger UI, with all that it is made of in the program.
//! It never looks at the store, and asks nothing but the service that served it.

use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, LazyLock},
};

use utoipa_swagger_ui::Config;
use warp::{
    Filter, Rejection, Reply,
    filters::{BoxedFilter, path::FullPath},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    reply::Response,
};

use crate::QueryMetrics;

/// The label in the metrics of the files that the page is made of.
const ROUTE: &str = "/docs";
/// Where they are.
const FOLDER: &str = "/docs/";

/// Nothing from elsewhere. Swagger UI writes styles into its elements, and has its icons in its style.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const PAGE: &str = include_str!("../../pages/docs/index.html");

/// A file of the page.
struct File {
    name: &'static str,
    kind: &'static str,
    bytes: Cow<'static, [u8]>,
    tag: HeaderValue,
}

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let vendored =
        [("swagger-ui.css", CSS), ("swagger-ui-bundle.js", JS), ("favicon-32x32.png", "image/png")];
    let config = Arc::new(Config::default());
    let vendored = vendored.into_iter().filter_map(|(name, kind)| {
        let file = utoipa_swagger_ui::serve(name, Arc::clone(&config)).ok().flatten()?;
        Some(File::new(name, kind, file.bytes))
    });
    let own = [
        ("page.css", CSS, include_str!("../../pages/docs/page.css")),
        ("page.js", JS, include_str!("../../pages/docs/page.js")),
    ];
    let own = own.into_iter().map(|(name, kind, text)| File::new(name, kind, Cow::Borrowed(text.as_bytes())));
    vendored.chain(own).collect()
});

impl File {
    fn new(name: &'static str, kind: &'static str, bytes: Cow<'static, [u8]>) -> Self {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let tag = format!("\"{:016x}\"", hasher.finish());
        Self {
            name,
            kind,
            bytes,
            tag: HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"0\"")),
        }
    }

    fn find(path: &str) -> Option<&'static Self> {
        let name = path.strip_prefix(FOLDER)?;
        FILES.iter().find(|file| file.name == name)
    }

    fn answer(&self, asked: &HeaderMap) -> Response {
        let known = asked.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
        let unchanged = known.is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == self.tag));
        let mut response = match &self.bytes {
            _ if unchanged => StatusCode::NOT_MODIFIED.into_response(),
            Cow::Borrowed(bytes) => bytes.into_response(),
            Cow::Owned(bytes) => bytes.clone().into_response(),
        };
        say(&mut response, self.kind);
        response.headers_mut().insert(header::ETAG, self.tag.clone());
        response
    }
}

/// Whether `path` is a file of the page.
pub(super) fn is_known(path: &str) -> bool {
    File::find(path).is_some()
}

/// The page itself.
pub(super) fn page() -> Response {
    let mut response = PAGE.into_response();
    say(&mut response, "text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// The files of the page; every other path is rejected as not found.
pub(super) fn routes(metrics: Arc<QueryMetrics>) -> BoxedFilter<(Response,)> {
    warp::path::full()
        .and(warp::method())
        .and_then(async |path: FullPath, method: Method| {
            let read = method == Method::GET || method == Method::HEAD;
            let file = File::find(path.as_str()).filter(|_| read);
            file.ok_or_else(|| -> Rejection { warp::reject::not_found() })
        })
        .and(warp::header::headers_cloned())
        .map(move |file: &'static File, headers: HeaderMap| {
            let measured = metrics.begin(ROUTE);
            let response = file.answer(&headers);
            measured.answered(response.status().as_u16());
            response
        })
        .boxed()
}

fn say(response: &mut Response, kind: &'static str) {
    let headers = response.headers_mut();
    let mut say = |name: HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
    say(header::CONTENT_TYPE, kind);
    say(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    say(header::REFERRER_POLICY, "no-referrer");
    // A browser asks again each time, and is mostly told that it has the file.
    say(header::CACHE_CONTROL, "no-cache");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_page_names_is_served() {
        let named: Vec<_> = PAGE.split('"').filter(|text| text.starts_with("docs/")).collect();
        assert_eq!(named.len(), FILES.len());
        for name in named {
            assert!(is_known(&format!("/{name}")), "{name}");
        }
    }

    #[test]
    fn nothing_is_asked_of_another_host() {
        for text in
            [PAGE, include_str!("../../pages/docs/page.css"), include_str!("../../pages/docs/page.js")]
        {
            assert!(!text.contains("://"), "{text}");
        }
    }

    #[test]
    fn a_file_that_the_browser_has_is_not_sent_again() {
        let file = File::find("/docs/swagger-ui-bundle.js").unwrap();
        let first = file.answer(&HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        let asked = HeaderMap::from_iter([(header::IF_NONE_MATCH, first.headers()["etag"].clone())]);
        assert_eq!(file.answer(&asked).status(), StatusCode::NOT_MODIFIED);
    }
}
