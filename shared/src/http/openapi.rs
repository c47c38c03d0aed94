//! The OpenAPI document of a program: the parts that all programs share.
//!
//! A route is described by a [`Call`], next to its entry in the table of routes. Nothing here
//! answers a request or decides a status; tests run every example against a real service.

mod call;
pub(crate) mod process;
mod schema;
mod security;

pub use utoipa::openapi::OpenApi;
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApiBuilder, Server, tag::TagBuilder};
use warp::http::Method;

pub(super) use self::process::itself;
pub use self::{
    call::{Call, Example, Tag},
    schema::{
        EventKind, Schemas, SentBatch, array_of, by_country, object_schema, register, schema_ref,
    },
    security::guarded,
};

const WHAT: &str = "\
    Every session of a user begins with a *start* event and ends with an *end* event. Clients \
    send these events in batches. Bookend pairs them, and returns the sessions that started in \
    each country and the most recent sessions of a user. Replies never contain a session that is \
    older than one year.";

const HOW: &str = "\
    - Times in replies are in UTC, in the format of RFC 3339 with `Z`. Milliseconds appear only \
    when they are not zero.\n\
    - Every error has the form `{\"error\":{\"code\",\"message\"}}`. The code never changes and \
    is meant for programs. The message is meant for people. There is one exception: a request \
    that is not valid HTTP, or whose headers are too large, is refused before any code of Bookend \
    sees it, with 400, 414 or 431 and an empty body.\n\
    - Replies with text from 1 KiB on are compressed if the client sends `Accept-Encoding: gzip` \
    or `zstd`. They are sent uncompressed when many others are being compressed.\n\
    - Every path that supports GET also supports HEAD. An unknown path returns 404 `not_found`. A \
    path that does not support the method returns 405 `method_not_allowed`, and the header \
    `Allow` lists the methods that it supports; OPTIONS returns 204 with the same header. Calls \
    under `/v1` refuse unknown query parameters with 400 `unknown_parameter`; older calls and \
    pages ignore them.\n\
    - Every reply has an `X-Request-Id`, which log lines about the request contain. A request's \
    own is kept if it has 1 to 64 letters, digits and hyphens.\n\
    - A service with `--keys` needs an API key for each call that names a right below: as \
    `Authorization: Bearer KEY` or `X-API-Key: KEY`. A key that may only send events can also be \
    sent as `?key=KEY`. Without a valid key, these calls return 401. They return 403 if the key \
    lacks the right, is for other users, or is not for the origin of the page that sends it. A \
    service without `--keys` returns 403 to pages of other origins, and on loopback to unknown \
    host names, for every path. The documentation page keeps a key until its tab is closed.\n\
    - An idle connection is closed 75 seconds after its last reply, or sooner when a new one \
    needs its place, as does one without a complete request. When all connections are busy, a \
    new one receives 503 `unavailable`. A reply that is sent before the whole request was read, \
    or while the process is stopping, has `Connection: close`; with HTTP/2, the stream is reset \
    without an error or the connection says GOAWAY. A connection of HTTP/2 may have 100 requests \
    at once. Only one of them is sure of a place; without a free place, the others receive 503 \
    without a body.\n\
    - HTTP/1.1 and HTTP/2 are served, HTTP/2 by ALPN or, without TLS, by prior knowledge. A reply \
    that a client does not read for 30 seconds is given up.\n\
    - Every example of a reply comes with the command that returns it. The examples were recorded \
    with the clock set back and the batch of the first seed: `bookend serve --as-of \
    2019-05-13T12:00:00Z`, then `curl -X POST http://127.0.0.1:5000/user/batches -d \
    @data/seed-batch.json`. When you try a call on the page at `/`, the page moves the times of \
    the events that it sends to about yesterday. Send a batch first, then query its user.";

/// The OpenAPI document of a program that serves `calls`.
#[must_use]
pub fn document(calls: impl IntoIterator<Item = (Method, &'static str, Call)>) -> OpenApi {
    let mut calls: Vec<_> = calls.into_iter().collect();
    calls.sort_by_key(|(_, _, call)| call.tag());
    let mut tags: Vec<_> = calls.iter().map(|(_, _, call)| call.tag()).collect();
    tags.dedup();
    // Only a program that answers queries serves the dashboard.
    let people = if tags.contains(&Tag::Queries) {
        "For people, there is a [dashboard](dashboard). "
    } else {
        ""
    };
    let description =
        format!("{WHAT}\n\n{people}For Prometheus, there are [metrics](metrics).\n\n{HOW}");
    let licence = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0"));
    let info = InfoBuilder::new()
        .title("Bookend")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(description))
        .license(Some(licence.build()));
    let tags = tags.into_iter().map(|tag| {
        let (name, description) = tag.texts();
        TagBuilder::new().name(name).description(Some(description)).build()
    });
    // Calls go to the host that the document was read from.
    let servers = [Server::new("/")];
    let mut document =
        OpenApiBuilder::new().info(info).servers(Some(servers)).tags(Some(tags)).build();
    for (method, path, call) in calls {
        call.enter(&method, path, &mut document);
    }
    security::declare(&mut document);
    document
}

/// The text of a document, as it is served and kept in `specification/`.
pub fn text(document: &OpenApi) -> serde_json::Result<String> {
    Ok(document.to_pretty_json()? + "\n")
}
