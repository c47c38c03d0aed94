//! The reply to a request that no route takes: 404, 405, or 204 for OPTIONS.

use warp::{
    http::{HeaderValue, Method, StatusCode, header},
    reply::Response,
};

use super::{code::ErrorCode, cors::Cors, reply::HttpError};

/// The reply to `method` for a path that supports `methods`.
pub(super) fn unrouted(method: &Method, methods: &[&str], cors: &Cors) -> Response {
    let Ok(allow) = HeaderValue::from_str(&methods.join(", ")) else { return not_found() };
    if methods.is_empty() {
        return not_found();
    }
    if method == Method::OPTIONS {
        return cors.options(&allow);
    }
    let message = format!("this path does not support this method; use {}", methods.join(" or "));
    let error =
        HttpError::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::MethodNotAllowed, message);
    let mut reply = error.to_response();
    reply.headers_mut().insert(header::ALLOW, allow);
    reply
}

fn not_found() -> Response {
    let message = "nothing is served at this path; GET /openapi.json lists the paths";
    HttpError::new(StatusCode::NOT_FOUND, ErrorCode::NotFound, message).to_response()
}
