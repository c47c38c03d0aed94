//! The dashboard at `/dashboard`.

use std::sync::LazyLock;

use bytes::Bytes;
use shared::http::{Access, Route};
use warp::{
    Reply,
    http::{HeaderValue, StatusCode, header},
    reply::Response,
};

use super::{
    page::{self, CSS, File, HTML, JS},
    service::QueryService,
};

/// The label of the page and its files in metrics.
const ROUTE: &str = "/dashboard";

/// Allows nothing from other hosts, nothing inline, and no text to become markup or a script: ids
/// are texts that clients chose.
const POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'";

const SVG: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

/// The files of a folder of `pages`, each served below `/dashboard` under its own name.
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
            CSS "style.css", CSS "tables.css", SVG "icon.svg", JS "main.js", JS "api.js",
            JS "charts.js", JS "dom.js", JS "events.js", JS "explain.js", JS "format.js",
            JS "key.js", JS "keyform.js", JS "metrics.js", JS "poll.js", JS "ranking.js",
            JS "rates.js", JS "span.js", JS "stack.js", JS "starts.js", JS "status.js",
            JS "timeline.js", JS "user.js", JS "view.js", JS "welcome.js", JS "window.js",
        ],
        "vendor": [JS "uplot/uPlot.iife.min.js", CSS "uplot/uPlot.min.css", TEXT "uplot/LICENSE"],
    ];
    [page].into_iter().chain(files).collect()
});

/// The path with a trailing slash, which redirects to the page.
const SLASHED: &str = "/dashboard/";

fn file(path: &'static str, kind: &'static str, text: &'static str) -> File {
    File::new(path, kind, POLICY, Bytes::from_static(text.as_bytes()))
}

/// The routes of the page, its files, and the path with a trailing slash.
pub(super) fn routes() -> impl Iterator<Item = Route<QueryService>> {
    let files = FILES.iter().map(|file| page::route(file, ROUTE));
    files.chain([Route::get(SLASHED, Access::Public, async |_, _| redirect())])
}

fn redirect() -> Response {
    let mut response = StatusCode::PERMANENT_REDIRECT.into_response();
    // Relative, because a proxy may serve Bookend below a path of its own.
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("../dashboard"));
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
                let served = FILES.iter().any(|file| file.path == path);
                assert!(served, "{} names {name}", page.path);
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
