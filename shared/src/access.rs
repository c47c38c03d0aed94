//! Who may do what: API keys, their rights and the origins of web pages.
//!
//! It reads the file of keys and finds the key that a request gives. Whether a request is refused
//! is decided where routes are, in [`crate::http`].

pub use self::{
    forwarded::TrustedProxies,
    key::{KeyHash, KeyId, generate},
    keys::{Key, KeySet, Keys, Unfit, parse_day},
    metrics::{register_denials, register_without_keys},
    origin::{AllowedOrigin, Origin},
    right::{Right, Rights},
};

pub mod config;
pub mod edit;
mod forwarded;
mod key;
mod keys;
mod metrics;
mod origin;
mod right;
