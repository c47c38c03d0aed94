//! The dashboard at `/dashboard`.

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
};

use warp::{
    Filter, Reply,
    filters::{BoxedFilter, path::FullPath},
    http::{HeaderValue, StatusCode, header},
    reply::Response,
};

use super::page::{self, CSS, File, HTML, JS};
use crate::QueryMetrics;

/// The label of all of it in the metrics.
const ROUTE: &str = "/dashboard";

/// Nothing from elsewhere, nothing inline, no text that becomes markup or a script: ids are what clients chose.
const POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'";

const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

/// Files below a folder of `pages`, each served below `/dashboard` by the name it has there.
macro_rules! files {
    ($($folder:literal: [$($kind:ident $name:literal),+ $(,)?]),+ $(,)?) => {
        [$($(file(
            concat!("/dashboard/", $name),
            $kind,
            include_str!(concat!("../../pages/", $folder, "/", $name)),
        )),+),+]
    };
}

static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let page = file("/dashboard", HTML, include_str!("../../pages/dashboard/index.html"));
    let files = files![
        "dashboard": [
            CSS "style.css", CSS "tables.css", SVG "icon.svg", JS "main.js", JS "api.js", JS "charts.js", JS "dom.js",
            JS "events.js", JS "explain.js", JS "format.js", JS "metrics.js", JS "poll.js", JS "ranking.js", JS "rates.js",
            JS "span.js", JS "stack.js", JS "starts.js", JS "status.js", JS "timeline.js", JS "user.js", JS "view.js",
            JS "welcome.js", JS "window.js",
        ],
        "vendor": [JS "uplot/uPlot.iife.min.js", CSS "uplot/uPlot.min.css", TEXT "uplot/LICENSE"],
    ];
    [page].into_iter().chain(files).collect()
});

/// Where who types a slash too many is sent.
const SLASHED: &str = "/dashboard/";

fn file(path: &'static str, kind: &'static str, text: &'static str) -> File {
    File::new(path, kind, POLICY, Cow::Borrowed(text.as_bytes()))
}

fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

/// Whether something is served at `path`.
pub(super) fn is_known(path: &str) -> bool {
    path == SLASHED || find(path).is_some()
}

/// The page and its files; every other path is rejected as not found.
pub(super) fn routes(metrics: Arc<QueryMetrics>) -> BoxedFilter<(Response,)> {
    let slashed =
        warp::path::full()
            .and_then(async |path: FullPath| {
                if path.as_str() == SLASHED { Ok(()) } else { Err(warp::reject::not_found()) }
            })
            .untuple_one()
            .and(warp::get().or(warp::head()).unify())
            .map(|| {
                // Relative, for a proxy may serve all of this below a path of its own.
                let mut response = StatusCode::PERMANENT_REDIRECT.into_response();
                let to = HeaderValue::from_static("../dashboard");
                response.headers_mut().insert(header::LOCATION, to);
                response
            });
    page::routes(find, ROUTE, metrics).or(slashed).unify().boxed()
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
        let served: BTreeSet<_> = FILES
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
        for page in FILES.iter().filter(|page| !page.path.contains("/uplot/")) {
            let quoted = page.text().split('"').skip(1).step_by(2);
            for name in
                quoted.filter(|text| [".js", ".css", ".svg"].iter().any(|end| text.ends_with(end)))
            {
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
        for page in FILES.iter().filter(|page| page.kind == JS && !page.path.contains("/uplot/")) {
            assert!(page.text().starts_with("// "), "{} begins by saying what it is", page.path);
            assert!(page.text().lines().count() <= 200, "{} is over 200 lines long", page.path);
            for unsafe_word in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("]
            {
                assert!(!page.text().contains(unsafe_word), "{} uses {unsafe_word}", page.path);
            }
        }
    }
}
