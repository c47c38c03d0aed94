//! The settings that say who may use a service.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, sync::Arc};

use super::{AllowedOrigin, Keys, TrustedProxies};
use crate::{
    config::{ListenAddress, Setting, Settings},
    words,
};

/// Who may use a service.
#[derive(Clone, Debug)]
pub struct AccessConfig {
    /// The file of keys; without one, the service asks for no key.
    pub keys: Option<PathBuf>,
    /// Whether a service without keys may be reached from other machines.
    pub open: bool,
    /// Further names by which a service on loopback may be called.
    pub allowed_hosts: BTreeSet<String>,
    /// The proxies that report the address of a client.
    pub trusted_proxies: TrustedProxies,
    /// The origins whose pages may call the service, beside those of its keys.
    pub cors_origins: Vec<AllowedOrigin>,
    /// The address of the port for operators.
    pub operations: Option<SocketAddr>,
}

/// The value of `--access`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Open,
}

words!(Mode: "open" => Open);

/// The settings of an [`AccessConfig`].
#[must_use]
#[rustfmt::skip]
pub fn settings() -> Vec<Setting> {
    [
        Setting::new("keys", "FILE", "", "File of API keys (see `bookend key`); requests then need a key, on loopback too").common(),
        Setting::new("access", "MODE", "", "open: allow everybody to use a service without --keys that other machines can reach").one_of::<Mode>().common(),
        Setting::list("allowed-host", "NAME", "Further host name by which an open service on loopback may be called"),
        Setting::list("trusted-proxies", "CIDR", "Network of proxies whose X-Forwarded-For names the client, for --quota"),
        Setting::list("cors-origin", "ORIGIN", "Origin whose web pages may call the service, for example https://game.example; or *"),
        Setting::new("operations-listen", "ADDRESS", "", "Second address, in clear text, for /metrics, /livez and /readyz; the first one then has none of them"),
    ]
    .map(|setting| setting.under("Access"))
    .into()
}

impl AccessConfig {
    /// Reads the settings and records mistakes in `given`.
    pub fn read(given: &mut Settings) -> Self {
        let names: Vec<String> = given.get_list("allowed-host");
        let config = Self {
            keys: given.get_optional("keys"),
            open: given.get_optional::<Mode>("access").is_some(),
            allowed_hosts: names.into_iter().map(|name| name.to_ascii_lowercase()).collect(),
            trusted_proxies: TrustedProxies::all(given.get_list("trusted-proxies")),
            cors_origins: given.get_list("cors-origin"),
            operations: given
                .get_optional("operations-listen")
                .map(|ListenAddress(address)| address),
        };
        if config.keys.is_none() && config.cors_origins.contains(&AllowedOrigin::Any) {
            let cause =
                "without --keys, all web pages could read about all users; list the origins";
            given.mistake("cors-origin", cause);
        }
        if config.open && config.keys.is_some() {
            given.mistake(
                "access",
                "the service cannot be open and have --keys; remove one of them",
            );
        }
        config
    }

    /// Records the mistakes that only a service can make: a broken file of keys, and an address
    /// that everybody reaches, unless it has `nothing_to_protect`.
    pub fn check(&self, listen: SocketAddr, nothing_to_protect: bool, given: &mut Settings) {
        match &self.keys {
            Some(path) => {
                if let Err(mistakes) = Keys::open_beside(path, self.cors_origins.clone()) {
                    given.mistake("keys", &mistakes.join("; "));
                }
            }
            None if self.open || nothing_to_protect || listen.ip().to_canonical().is_loopback() => {
            }
            None => given.mistake(
                "listen",
                "other machines may reach this address, and anybody there could send events and \
                 read sessions; make keys with `bookend key new` and give --keys FILE, or allow it \
                 with --access open",
            ),
        }
    }

    /// Whether keys travel in clear text to `listen` from other machines.
    #[must_use]
    pub fn shows_keys(&self, listen: SocketAddr) -> bool {
        let is_local = listen.ip().to_canonical().is_loopback();
        self.keys.is_some() && !is_local && self.trusted_proxies.is_empty()
    }

    /// Opens the file of keys, if there is one.
    pub fn open_keys(&self) -> anyhow::Result<Option<Arc<Keys>>> {
        let opened = self.keys.as_ref().map(|path| {
            Keys::open_beside(path, self.cors_origins.clone())
                .map(Arc::new)
                .map_err(|mistakes| anyhow::anyhow!("{}: {}", path.display(), mistakes.join("; ")))
        });
        opened.transpose()
    }
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;
    use crate::config::args;

    fn read(flags: &[&str]) -> Result<AccessConfig, String> {
        let flags = ["test"].iter().chain(flags);
        let matches = Command::new("test").args(args(&settings())).get_matches_from(flags);
        let mut given = Settings::with_variables(&settings(), &matches, |_| None);
        let config = AccessConfig::read(&mut given);
        given.finish(config).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn keys_travel_in_clear_text_to_another_address_than_loopback_without_a_proxy() {
        let (here, everywhere) = ("127.0.0.1:1".parse().unwrap(), "0.0.0.0:1".parse().unwrap());
        let keys = read(&["--keys", "keys.toml"]).unwrap();
        assert!(keys.shows_keys(everywhere) && !keys.shows_keys(here));
        assert!(keys.shows_keys("[::]:1".parse().unwrap()));
        assert!(!keys.shows_keys("[::1]:1".parse().unwrap()));
        let behind = read(&["--keys", "keys.toml", "--trusted-proxies", "10.0.0.0/8,fd00::1"]);
        assert!(!behind.unwrap().shows_keys(everywhere));
        assert!(!read(&["--access", "open"]).unwrap().shows_keys(everywhere));
    }

    #[test]
    fn origins_may_be_listed_and_all_are_allowed_only_beside_keys() {
        let two = ["--cors-origin", "https://a.example", "--cors-origin", "http://localhost:3000"];
        let origins = read(&two).unwrap().cors_origins.into_iter().map(|it| it.to_string());
        assert!(origins.eq(["https://a.example", "http://localhost:3000"]));
        let star = read(&["--cors-origin", "*"]).unwrap_err();
        assert!(star.starts_with("--cors-origin: \"*\" is not valid: without --keys"), "{star}");
        let star = read(&["--cors-origin", "*", "--keys", "keys.toml"]).unwrap();
        assert_eq!(star.cors_origins, [AllowedOrigin::Any]);
        let mistake = read(&["--cors-origin", "https://a.example/"]).unwrap_err();
        assert!(mistake.contains("remove the path"), "{mistake}");
    }
}
