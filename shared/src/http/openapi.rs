//! The OpenAPI description of the HTTP API: what is common to all programs, and the route that serves a program's own.
//!
//! For whoever describes a call, see [`Call`]; the services describe theirs beside their routes. Nothing here answers a call or
//! decides a status: that a description is true is held by tests that try every example of it.

mod call;
mod event;
mod process;
mod types;

pub use utoipa::openapi::OpenApi;
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApiBuilder, Server, tag::TagBuilder};
use warp::{
    Filter, Reply as _,
    filters::BoxedFilter,
    http::{HeaderValue, header},
    reply::Response,
};

pub use self::{
    call::{Call, Example, Reply},
    event::Batch,
    types::{Schemas, add, by_country, list, of},
};

/// Where a program's description is served.
const PATH: &str = "/openapi.json";

const WHAT: &str = "A *start* event and an *end* event bookend every session of a user. Batches of such events go in; which sessions \
    started in which country, and which are a user's last ones, is answered. What is answered is never older than a year.";

const HOW: &str = "\
    - Times are RFC 3339 in UTC with `Z`, with milliseconds only when they are not zero.\n\
    - Every error is `{\"error\":{\"code\",\"message\"}}`: a word that never changes, and a sentence for you.\n\
    - Where there is GET there is HEAD. An address with nothing at it is answered 404 `not_found`; one that does not take the \
    method 405 `method_not_allowed`, and `allow` tells what it takes; a connection too many 503 `unavailable`.\n\
    - Every example of a reply stands beside the command that gets it. They were made with the clock set back and the first seed's \
    batch: `bookend serve --as-of 2019-05-13T12:00:00Z`, then `curl -X POST http://127.0.0.1:5000/user/batches -d \
    @data/seed-batch.json`. The page that lets you try them moves what is sent to yesterday or so: send a batch first, then ask for its \
    user.";

/// What calls are listed under, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tag {
    /// Sending events.
    Events,
    /// Asking about sessions.
    Questions,
    /// The seeds' calls.
    Older,
    /// What a process tells about itself.
    Process,
}

/// The description of a program that takes `calls`, beside those that every program takes.
#[must_use]
pub fn document(calls: impl IntoIterator<Item = Call>) -> OpenApi {
    let mut calls: Vec<_> = calls.into_iter().chain(process::calls()).collect();
    calls.sort_by_key(Call::tag);
    let mut tags: Vec<_> = calls.iter().map(Call::tag).collect();
    tags.dedup();
    // Whoever answers no questions has nothing to show.
    let people = if tags.contains(&Tag::Questions) {
        "For people: the [dashboard](dashboard). "
    } else {
        ""
    };
    let licence = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0"));
    let info = InfoBuilder::new()
        .title("Bookend")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(format!(
            "{WHAT}\n\n{people}For Prometheus: [metrics](metrics).\n\n{HOW}"
        )))
        .license(Some(licence.build()));
    let mut document =
        OpenApiBuilder::new()
            .info(info)
            // Wherever the description was read from is where its calls go.
            .servers(Some([Server::new("/")]))
            .tags(Some(tags.into_iter().map(|tag| {
                TagBuilder::new().name(tag.name()).description(Some(tag.about())).build()
            })))
            .build();
    for call in calls {
        call.enter(&mut document);
    }
    document
}

/// `document` as it is served, and kept in `specification/`.
#[must_use]
pub fn text(document: &OpenApi) -> String {
    // Its keys are texts and its numbers finite, so there is always a JSON of it.
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// `/openapi.json`, which answers with `document`.
pub fn routes(document: &OpenApi) -> BoxedFilter<(Response,)> {
    let text: &'static str = text(document).leak();
    let served = warp::path::full().and_then(async |path: warp::path::FullPath| {
        if path.as_str() == PATH { Ok(()) } else { Err(warp::reject::not_found()) }
    });
    warp::get()
        .or(warp::head())
        .unify()
        .and(served)
        .map(move |()| {
            let mut response = text.into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            response
        })
        .boxed()
}

/// The methods that `path` takes in [`routes`]; none for another path.
#[must_use]
pub fn methods(path: &str) -> &'static [&'static str] {
    if path == PATH { &["GET", "HEAD"] } else { &[] }
}

impl Tag {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Events => "Events",
            Self::Questions => "Questions",
            Self::Older => "Calls of older clients",
            Self::Process => "The process",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::Events => "Sending events. The reply comes when every accepted one is durable.",
            Self::Questions => "Which sessions started where, and which are a user's.",
            Self::Older => "The same, at the addresses and in the shapes that older clients know.",
            Self::Process => "What a process tells about itself.",
        }
    }
}
