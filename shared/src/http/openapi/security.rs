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
    http::{denial::Denial, right::Access},
};

/// The names of the schemes. Pages use the first.
const SCHEMES: [&str; 2] = ["bearer", "api_key"];

/// Describes `call` as one that needs `access`. The router does so for each route; the handler of a
/// public route may need it for some requests.
#[must_use]
pub fn guarded(call: Call, access: Access) -> Call {
    let Some(right) = access.right() else { return call };
    let keys = SCHEMES.map(|scheme| SecurityRequirement::new(scheme, [right.as_str()]));
    // Without --keys, a service needs none.
    let nothing = SecurityRequirement::default();
    let for_users = matches!(access, Access::ReadAll | Access::ReadUser).then(foreign_user);
    call.requiring(keys.into_iter().chain([nothing]))
        .failing([no_key(), missing_right(right)].into_iter().chain(for_users))
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

/// A request without a key.
fn no_key() -> Example {
    let about = "When the service has keys and the request has none.";
    Example::error("no_key", about, &Denial::NoKey.http())
}

/// A request with a key that has other rights.
fn missing_right(right: Right) -> Example {
    let about = "When the key of the request has other rights.";
    Example::error("missing_right", about, &Denial::MissingRight(right).http())
}

/// A request with a key of a tenant.
fn foreign_user() -> Example {
    let about = "When the key of the request has another `users_prefix`.";
    Example::error("foreign_user", about, &Denial::ForeignUser.http())
}
