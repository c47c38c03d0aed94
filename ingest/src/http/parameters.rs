//! The parameters of a batch in the query string.

use shared::{
    event::{Sender, UserKey},
    http::{KEY_PARAMETER, Params, Request},
};

use super::refusal::Refusal;

/// The parameter that chooses the key of the user.
pub(super) const USER_KEY: &str = "id";

/// The parameter that has events with unknown fields rejected.
pub(super) const STRICT: &str = "strict";

/// Every parameter; an API key is read before the batch.
pub(super) const PARAMETERS: [&str; 3] = [USER_KEY, STRICT, KEY_PARAMETER];

/// The sender of the events, as the parameters describe it. Older calls ignore parameters that they
/// do not know.
pub(super) fn sender(request: &Request) -> Result<Sender<'static>, Refusal> {
    let read = if request.route.starts_with("/v1/") { Params::parse } else { Params::parse_known };
    let params = read(&request.query, &PARAMETERS)?;
    let user_key = match params.one(USER_KEY) {
        None => UserKey::Either,
        Some("user_id") => UserKey::UserId,
        Some("player_id") => UserKey::PlayerId,
        Some(_) => return Err(Refusal::UserKey),
    };
    let strict = match params.one(STRICT) {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Refusal::Strict),
    };
    Ok(Sender { user_key, users_prefix: None, strict })
}
