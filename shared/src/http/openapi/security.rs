//! What a call needs of its callers: the schemes of keys, and the replies to those without a right.
//!
//! It follows from the right of the route, so no call describes it itself.

use utoipa::openapi::{
    OpenApi,
    security::{
        ApiKey, ApiKeyValue, Http, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
    },
};
use warp::http::StatusCode;

use super::call::{Call, Example};
use crate::{
    access::Right,
    http::{gate::Access, reply::HttpError},
};

/// The names of the schemes. Pages use the first.
const SCHEMES: [&str; 2] = ["bearer", "api_key"];

/// Describes `call` as one that needs `access`.
pub(in crate::http) fn guarded(call: Call, access: Access) -> Call {
    let Some(right) = right(access) else { return call };
    let keys = SCHEMES.map(|scheme| SecurityRequirement::new(scheme, [right.as_str()]));
    // Without --keys, a service needs none.
    let nothing = SecurityRequirement::default();
    call.requiring(keys.into_iter().chain([nothing]))
        .failing([no_key(), missing_right(right)])
        .with_header(StatusCode::UNAUTHORIZED, "WWW-Authenticate", "It names the scheme `Bearer`.")
}

/// Adds the schemes to a document.
pub(super) fn declare(document: &mut OpenApi) {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
    let about = "A key of a service with `--keys`, as `bookend key new` prints it. Other services \
                 need none.";
    let bearer: Http = bearer.bearer_format("bk_ID_SECRET_CHECK").description(Some(about)).build();
    let header = ApiKeyValue::with_description("X-API-Key", "The same key in another header.");
    let schemes = [SecurityScheme::Http(bearer), SecurityScheme::ApiKey(ApiKey::Header(header))];
    let components = document.components.get_or_insert_default();
    for (name, scheme) in SCHEMES.into_iter().zip(schemes) {
        components.add_security_scheme(name, scheme);
    }
}

/// The right that a key must have.
fn right(access: Access) -> Option<Right> {
    match access {
        Access::Public => None,
        Access::Ingest => Some(Right::Ingest),
        Access::ReadAll | Access::ReadUser => Some(Right::Read),
        Access::Operate => Some(Right::Operate),
    }
}

/// A request without a key.
fn no_key() -> Example {
    let message = "this service needs an API key; send it as `Authorization: Bearer KEY`";
    let error = HttpError::new(StatusCode::UNAUTHORIZED, "no_key", message);
    Example::error("no_key", "When the service has keys and the request has none.", &error)
}

/// A request with a key that has other rights.
fn missing_right(right: Right) -> Example {
    let message = format!("this key does not have the right `{right}`");
    let error = HttpError::new(StatusCode::FORBIDDEN, "missing_right", message);
    Example::error("missing_right", "When the key of the request has other rights.", &error)
}
