//! The descriptions of the calls that every program serves: health, metrics and this document.

use serde_json::json;
use utoipa::openapi::ObjectBuilder;
use warp::http::StatusCode;

use super::{
    call::{Call, Example, Tag},
    schema::object_schema,
};

/// An OpenAPI document.
enum Description {}

crate::schemas! {
    Description as "OpenApiDocument" => ["openapi", "info", "paths"].into_iter().fold(
        object_schema([]).description(Some("An OpenAPI 3.1 document.")),
        ObjectBuilder::required,
    );
}

/// `/openapi.json`
pub(crate) fn itself() -> Call {
    let version = env!("CARGO_PKG_VERSION");
    let excerpt = json!({ "openapi": "3.1.0", "info": { "title": "Bookend", "version": version } });
    let excerpt = Example::new("excerpt", "curl http://127.0.0.1:5000/openapi.json", excerpt);
    call(
        "getOpenApi",
        "The OpenAPI document",
        "Returns this description, in the format of OpenAPI 3.1.",
    )
    .json::<Description>("Every call that this process supports.", [excerpt])
}

/// `/metrics`
pub(crate) fn metrics(excerpt: &str) -> Call {
    let excerpt = Example::new("excerpt", "curl http://127.0.0.1:5000/metrics", excerpt);
    call(
        "getMetrics",
        "Metrics for Prometheus",
        "Returns all metrics in the text format of Prometheus.",
    )
    .text("All metrics of this process.", "text/plain", excerpt)
}

/// `/livez`
pub(crate) fn livez() -> Call {
    let about = "Reports that the process is running. It checks neither the log nor the store.";
    let live = Example::new("live", "curl http://127.0.0.1:5000/livez", "live\n");
    call("checkLiveness", "Liveness check", about).text(
        "The process is running.",
        "text/plain",
        live,
    )
}

/// `/readyz`; `full` is the text for a full disk.
pub(crate) fn readyz(full: &str) -> Call {
    let about = "Reports whether the log and the store of this process can serve requests. A \
                 process that is stopping is not ready, and still answers for 5 seconds.";
    let ready = Example::new("ready", "curl http://127.0.0.1:5000/readyz", "ready\n");
    let command = "When the disk has less free space than `--min-free-disk`: \
                   `curl http://127.0.0.1:5000/readyz`";
    let full = Example::new("full_disk", command, full).with(StatusCode::SERVICE_UNAVAILABLE);
    let cannot = "The process cannot serve requests. The text states the cause.";
    call("checkReadiness", "Readiness check", about)
        .text("The process can serve requests.", "text/plain", ready)
        .text(cannot, "text/plain", full)
}

fn call(id: &str, summary: &str, description: &str) -> Call {
    Call::new(Tag::Operations, id, summary, description)
}
