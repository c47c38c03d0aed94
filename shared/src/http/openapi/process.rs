//! The calls that every program takes: what a process tells about itself. Their routes are in `telemetry` and one floor up.

use serde_json::json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};
use warp::http::StatusCode;

use super::{Call, Example, PATH, Reply, Tag};

/// The description itself.
enum Description {}

impl PartialSchema for Description {
    fn schema() -> RefOr<Schema> {
        let fields = ["openapi", "info", "paths"].into_iter();
        let object = ObjectBuilder::new()
            .schema_type(Type::Object)
            .description(Some("An OpenAPI 3.1 document."));
        fields.fold(object, ObjectBuilder::required).into()
    }
}

impl ToSchema for Description {}

/// All of them.
pub(super) fn calls() -> Vec<Call> {
    let version = env!("CARGO_PKG_VERSION");
    let excerpt = json!({ "openapi": "3.1.0", "info": { "title": "Bookend", "version": version } });
    let description = Example::new("excerpt", "curl http://127.0.0.1:5000/openapi.json", excerpt);
    let metrics = "# HELP bookend_build_info The build of this process; always 1\n# TYPE bookend_build_info gauge\n";
    let metrics = Example::new("excerpt", "curl http://127.0.0.1:5000/metrics", metrics);
    let live = Example::new("live", "curl http://127.0.0.1:5000/livez", "live\n");
    let ready = Example::new("ready", "curl http://127.0.0.1:5000/readyz", "ready\n");
    let full = Example::new(
        "full_disk",
        "With a disk that has less room than `--min-free-disk` wants: `curl http://127.0.0.1:5000/readyz`",
        "the log cannot take more now: 104857600 bytes are free on the disk, and 268435456 are to stay free\n",
    );
    let get = |path, summary, description| Call::get(Tag::Process, path, summary, description);
    vec![
        get(PATH, "This description", "By OpenAPI 3.1.").answering(
            StatusCode::OK,
            Reply::new("The description of what this process takes.")
                .json::<Description>([description]),
        ),
        get(
            "/metrics",
            "For Prometheus",
            "Every metric of this process, in the text format of Prometheus.",
        )
        .answering(StatusCode::OK, Reply::new("The metrics.").text("text/plain", [metrics])),
        get("/livez", "Whether the process runs", "Never looks at what it depends on.")
            .answering(StatusCode::OK, Reply::new("It runs.").text("text/plain", [live])),
        get("/readyz", "Whether it can serve", "Looks at the log and the store.")
            .answering(StatusCode::OK, Reply::new("It can serve.").text("text/plain", [ready]))
            .answering(
                StatusCode::SERVICE_UNAVAILABLE,
                Reply::new("It cannot, and why.").text("text/plain", [full]),
            ),
    ]
}
