//! The pages of other origins that may send requests and read replies.

use std::{path::PathBuf, sync::Arc};

use super::{keys::Keys, origin::AllowedOrigin};
use crate::config::{Setting, Settings};

const NAME: &str = "cors-origin";

/// The origins of `--cors-origin` and of all keys. The latter change with the file of keys.
#[derive(Clone, Default)]
pub struct AllowedOrigins {
    configured: Arc<[AllowedOrigin]>,
    keys: Option<Arc<Keys>>,
}

impl AllowedOrigins {
    /// The `configured` origins and those of `keys`.
    #[must_use]
    pub fn new(configured: Vec<AllowedOrigin>, keys: Option<Arc<Keys>>) -> Self {
        Self { configured: configured.into(), keys }
    }

    /// Whether a page with the `Origin` header `given` is allowed.
    #[must_use]
    pub fn allow(&self, given: &str) -> bool {
        self.are_configured(given)
            || self.keys.as_ref().is_some_and(|keys| keys.current().allows_origin(given))
    }

    /// Whether it is allowed with every key.
    #[must_use]
    pub fn are_configured(&self, given: &str) -> bool {
        self.configured.iter().any(|origin| origin.allows(given))
    }
}

/// The setting of the configured origins.
#[must_use]
#[rustfmt::skip]
pub fn setting() -> Setting {
    Setting::list(NAME, "ORIGIN", "Origin of web pages that may use this service, for example https://game.example; or *")
}

/// Reads the configured origins, and records mistakes in `given`.
pub fn read(given: &mut Settings) -> Vec<AllowedOrigin> {
    let origins = given.get_list(NAME);
    let has_keys = given.get_optional::<PathBuf>("keys").is_some();
    if origins.contains(&AllowedOrigin::Any) && !has_keys {
        let cause = "without --keys, every web page could read about every user; list the origins";
        given.mistake(NAME, cause);
    }
    origins
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;
    use crate::config::args;

    fn read_from(flags: &[&str]) -> Result<Vec<AllowedOrigin>, String> {
        let settings = [setting(), Setting::new("keys", "FILE", "", "File of keys")];
        let flags = ["test"].iter().chain(flags);
        let matches = Command::new("test").args(args(&settings)).get_matches_from(flags);
        let mut given = Settings::with_variables(&settings, &matches, |_| None);
        let origins = read(&mut given);
        given.finish(origins).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn several_origins_may_be_given_and_a_star_only_beside_keys() {
        let two = ["--cors-origin", "https://a.example", "--cors-origin", "http://localhost:3000"];
        let origins = AllowedOrigins::new(read_from(&two).unwrap(), None);
        for (given, allowed) in [
            ("https://a.example", true),
            ("http://localhost:3000", true),
            ("http://localhost", false),
            ("https://a.example.evil", false),
            ("null", false),
            ("*", false),
        ] {
            assert_eq!(origins.allow(given), allowed, "{given}");
        }
        let star = read_from(&["--cors-origin", "*"]).unwrap_err();
        assert!(star.starts_with("--cors-origin: \"*\" is not valid: without --keys"), "{star}");
        let star = read_from(&["--cors-origin", "*", "--keys", "keys.toml"]).unwrap();
        assert!(AllowedOrigins::new(star, None).allow("https://a.example"));
        let mistake = read_from(&["--cors-origin", "https://a.example/"]).unwrap_err();
        assert!(mistake.contains("remove the path"), "{mistake}");
    }
}
