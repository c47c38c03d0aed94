//! The parameters of a batch in the query string.

use shared::{
    event::UserKey,
    http::{KEY_PARAMETER, Params, Request},
};

use super::refusal::Refusal;

/// The parameter that chooses the key of the user.
pub(super) const USER_KEY: &str = "id";

/// Every parameter; an API key is read before the batch.
pub(super) const PARAMETERS: [&str; 2] = [USER_KEY, KEY_PARAMETER];

/// The key of the user that the request chooses. Older calls ignore parameters that they do not
/// know.
pub(super) fn user_key(request: &Request) -> Result<UserKey, Refusal> {
    let read = if request.route.starts_with("/v1/") { Params::parse } else { Params::parse_known };
    match read(&request.query, &PARAMETERS)?.one(USER_KEY) {
        None => Ok(UserKey::Either),
        Some("user_id") => Ok(UserKey::UserId),
        Some("player_id") => Ok(UserKey::PlayerId),
        Some(_) => Err(Refusal::UserKey),
    }
}
