//! The descriptions of the calls that every program serves: health, metrics and this document.

use serde_json::json;
use utoipa::openapi::ObjectBuilder;
use warp::http::StatusCode;

use super::{
    call::{Call, Example, Reply, Tag},
    schema::object_schema,
};

/// An OpenAPI document.
enum Description {}

crate::schemas! {
    Description => ["openapi", "info", "paths"].into_iter().fold(
        object_schema([]).description(Some("An OpenAPI 3.1 document.")),
        ObjectBuilder::required,
    );
}

/// `/openapi.json`
pub(crate) fn itself() -> Call {
    let version = env!("CARGO_PKG_VERSION");
    let excerpt = json!({ "openapi": "3.1.0", "info": { "title": "Bookend", "version": version } });
    let excerpt = Example::new("excerpt", "curl http://127.0.0.1:5000/openapi.json", excerpt);
    let reply = Reply::new("The description of every call that this process supports.");
    call("The OpenAPI document", "Returns this description, in the format of OpenAPI 3.1.")
        .answering(StatusCode::OK, reply.json::<Description>([excerpt]))
}

/// `/metrics`
pub(crate) fn metrics(excerpt: &str) -> Call {
    let excerpt = Example::new("excerpt", "curl http://127.0.0.1:5000/metrics", excerpt);
    let reply = Reply::new("All metrics of this process.").text("text/plain", [excerpt]);
    call("Metrics for Prometheus", "Returns all metrics in the text format of Prometheus.")
        .answering(StatusCode::OK, reply)
}

/// `/livez`
pub(crate) fn livez() -> Call {
    let live = Example::new("live", "curl http://127.0.0.1:5000/livez", "live\n");
    let reply = Reply::new("The process is running.").text("text/plain", [live]);
    call(
        "Liveness check",
        "Reports that the process is running. It does not check the log or the store.",
    )
    .answering(StatusCode::OK, reply)
}

/// `/readyz`
pub(crate) fn readyz() -> Call {
    let ready = Example::new("ready", "curl http://127.0.0.1:5000/readyz", "ready\n");
    let full = Example::new(
        "full_disk",
        "When the disk has less free space than `--min-free-disk`: \
         `curl http://127.0.0.1:5000/readyz`",
        "the log cannot take more now: 104857600 bytes are free on the disk, and 268435456 are to \
         stay free\n",
    );
    let not_ready = Reply::new("The process cannot serve requests. The text states the cause.");
    call(
        "Readiness check",
        "Reports whether the log and the store that this process uses can serve requests.",
    )
    .answering(
        StatusCode::OK,
        Reply::new("The process can serve requests.").text("text/plain", [ready]),
    )
    .answering(StatusCode::SERVICE_UNAVAILABLE, not_ready.text("text/plain", [full]))
}

fn call(summary: &str, description: &str) -> Call {
    Call::new(Tag::Process, summary, description)
}
