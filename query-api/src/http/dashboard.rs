//! The dashboard at `/dashboard` and the files it is made of. All of them are in the program: the page is served without a
//! disk, and asks nothing but this service. It never looks at the store: the page asks the same questions as any reader.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, LazyLock},
};

use warp::{
    Filter, Rejection, Reply,
    filters::{BoxedFilter, path::FullPath},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    reply::Response,
};

use crate::QueryMetrics;

/// The label of all of it in the metrics.
const ROUTE: &str = "/dashboard";

/// Nothing from elsewhere, nothing inline, no text that becomes markup or a script: ids are what clients chose.
const POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

/// A file with its address below `/dashboard`, its type and its text.
struct Page {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

/// Files below a folder of `pages`, each served below `/dashboard` by the name it has there.
macro_rules! pages {
    ($($folder:literal: [$($kind:ident $name:literal),+ $(,)?]),+ $(,)?) => {
        &[$($(Page {
            path: concat!("/dashboard/", $name),
            kind: $kind,
            text: include_str!(concat!("../../pages/", $folder, "/", $name)),
        }),+),+]
    };
}

const INDEX: Page =
    Page { path: "/dashboard", kind: HTML, text: include_str!("../../pages/dashboard/index.html") };

const ASSETS: &[Page] = pages![
    "dashboard": [
        CSS "style.css", CSS "tables.css", SVG "icon.svg", JS "main.js", JS "api.js", JS "charts.js", JS "dom.js", JS "events.js",
        JS "explain.js", JS "format.js", JS "metrics.js", JS "poll.js", JS "ranking.js", JS "rates.js", JS "span.js", JS "stack.js",
        JS "starts.js", JS "status.js", JS "timeline.js", JS "user.js", JS "view.js", JS "welcome.js", JS "window.js",
    ],
    "vendor": [JS "uplot/uPlot.iife.min.js", CSS "uplot/uPlot.min.css", TEXT "uplot/LICENSE"],
];

/// Where who types a slash too many is sent.
const SLASHED: &str = "/dashboard/";

/// Changes with every text above, so that a browser asks for each once per build.
static ETAG: LazyLock<HeaderValue> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    for page in std::iter::once(&INDEX).chain(ASSETS) {
        page.text.hash(&mut hasher);
    }
    let tag = format!("\"{:016x}\"", hasher.finish());
    HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"0\""))
});

/// Whether something is served at `path`.
pub(super) fn is_known(path: &str) -> bool {
    path == SLASHED || find(path).is_some()
}

/// The page and its files; every other path is rejected as not found.
pub(super) fn routes(metrics: Arc<QueryMetrics>) -> BoxedFilter<(Response,)> {
    warp::path::full()
        .and(warp::method())
        .and_then(async |path: FullPath, method: Method| {
            let known = is_known(path.as_str()) && (method == Method::GET || method == Method::HEAD);
            if known { Ok(path) } else { Err::<_, Rejection>(warp::reject::not_found()) }
        })
        .and(warp::header::headers_cloned())
        .map(move |path: FullPath, headers: HeaderMap| {
            let measured = metrics.begin(ROUTE);
            let response = answer(path.as_str(), &headers);
            measured.answered(response.status().as_u16());
            response
        })
        .boxed()
}

fn find(path: &str) -> Option<&'static Page> {
    std::iter::once(&INDEX).chain(ASSETS).find(|page| page.path == path)
}

fn answer(path: &str, asked: &HeaderMap) -> Response {
    let Some(page) = find(path) else {
        // Relative, for a proxy may serve all of this below a path of its own.
        let mut response = StatusCode::PERMANENT_REDIRECT.into_response();
        response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("../dashboard"));
        return response;
    };
    let known = asked.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let unchanged = known.is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == *ETAG));
    let mut response =
        if unchanged { StatusCode::NOT_MODIFIED.into_response() } else { page.text.into_response() };
    let headers = response.headers_mut();
    let mut say = |name: HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
    say(header::CONTENT_TYPE, page.kind);
    say(header::CONTENT_SECURITY_POLICY, POLICY);
    say(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    say(header::REFERRER_POLICY, "no-referrer");
    say(header::CACHE_CONTROL, "no-cache");
    headers.insert(header::ETAG, ETAG.clone());
    response
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    fn folder() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/pages/dashboard"))
    }

    #[test]
    fn every_file_of_the_page_is_served_and_nothing_else_is() {
        let names = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
        let files: BTreeSet<_> = names.map(|name| name.into_string().unwrap()).collect();
        let served: BTreeSet<_> = ASSETS
            .iter()
            .filter_map(|page| page.path.strip_prefix("/dashboard/"))
            .filter(|name| !name.contains('/'))
            .chain(["index.html"])
            .map(str::to_owned)
            .collect();
        assert_eq!(files, served);
    }

    #[test]
    fn what_a_file_names_is_served() {
        for page in std::iter::once(&INDEX).chain(ASSETS).filter(|page| !page.path.contains("/uplot/")) {
            let quoted = page.text.split('"').skip(1).step_by(2);
            for name in quoted.filter(|text| [".js", ".css", ".svg"].iter().any(|end| text.ends_with(end))) {
                let path = match name.strip_prefix("./") {
                    Some(sibling) => format!("/dashboard/{sibling}"),
                    None => format!("/{name}"),
                };
                assert!(find(&path).is_some(), "{} names {name}", page.path);
            }
        }
    }

    #[test]
    fn no_text_becomes_markup_and_no_file_is_longer_than_a_reader_can_hold() {
        for page in ASSETS.iter().filter(|page| page.kind == JS && !page.path.contains("/uplot/")) {
            assert!(page.text.starts_with("// "), "{} begins by saying what it is", page.path);
            assert!(page.text.lines().count() <= 200, "{} is over 200 lines long", page.path);
            for unsafe_word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                assert!(!page.text.contains(unsafe_word), "{} uses {unsafe_word}", page.path);
            }
        }
    }
}
