//! The documentation page at `/`: Swagger UI, which shows every call and lets a reader try it. Its
//! files are compiled into the program.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use shared::http::Route;
use utoipa_swagger_ui::Config;
use warp::{http::HeaderMap, reply::Response};

use super::{
    page::{self, CSS, File, HTML, JS},
    service::QueryService,
};

/// The label of the page's files in metrics.
const ROUTE: &str = "/docs";

/// Allows nothing from other hosts. Swagger UI uses inline styles, and icons as `data:` URLs.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      object-src 'none'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

static PAGE: LazyLock<File> =
    LazyLock::new(|| own("/", HTML, include_str!("../../pages/docs/index.html")));

static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let vendored = [
        ("/docs/swagger-ui.css", CSS),
        ("/docs/swagger-ui-bundle.js", JS),
        ("/docs/favicon-32x32.png", "image/png"),
    ];
    let config = Arc::new(Config::default());
    let vendored = vendored.into_iter().filter_map(|(path, kind)| {
        let name = path.strip_prefix("/docs/")?;
        let file = utoipa_swagger_ui::serve(name, Arc::clone(&config)).ok().flatten()?;
        Some(File::new(path, kind, POLICY, file.bytes.into_owned().into()))
    });
    let own = [
        own("/docs/page.css", CSS, include_str!("../../pages/docs/page.css")),
        own("/docs/page.js", JS, include_str!("../../pages/docs/page.js")),
    ];
    vendored.chain(own).collect()
});

fn own(path: &'static str, kind: &'static str, text: &'static str) -> File {
    File::new(path, kind, POLICY, Bytes::from_static(text.as_bytes()))
}

/// The page itself.
pub(super) fn page() -> Response {
    PAGE.answer(&HeaderMap::new())
}

/// The routes of the files of the page. The page itself is one of the replies of `/`.
pub(super) fn routes() -> impl Iterator<Item = Route<QueryService>> {
    FILES.iter().map(|file| page::route(file, ROUTE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_page_names_is_served() {
        let named: Vec<_> =
            PAGE.text().split('"').filter(|text| text.starts_with("docs/")).collect();
        assert_eq!(named.len(), FILES.len());
        for name in named {
            assert!(FILES.iter().any(|file| file.path == format!("/{name}")), "{name}");
        }
    }

    #[test]
    fn nothing_is_asked_of_another_host() {
        for text in [
            PAGE.text(),
            include_str!("../../pages/docs/page.css"),
            include_str!("../../pages/docs/page.js"),
        ] {
            assert!(!text.contains("://"), "{text}");
        }
    }
}
