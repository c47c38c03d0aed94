//! The settings that say who may use a service.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, sync::Arc};

use super::Keys;
use crate::{
    config::{Setting, Settings},
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
        Setting::new("keys", "FILE", "", "File of API keys (see `bookend key`); requests then need a key, on loopback too"),
        Setting::new("access", "MODE", "", "open: allow everybody to use a service without --keys that other machines can reach"),
        Setting::list("allowed-host", "NAME", "Further host name by which an open service on loopback may be called"),
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
            operations: given.get_optional("operations-listen"),
        };
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
                if let Err(mistakes) = Keys::open(path) {
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

    /// Opens the file of keys, if there is one.
    pub fn open_keys(&self) -> anyhow::Result<Option<Arc<Keys>>> {
        let opened = self.keys.as_ref().map(|path| {
            Keys::open(path)
                .map(Arc::new)
                .map_err(|mistakes| anyhow::anyhow!("{}: {}", path.display(), mistakes.join("; ")))
        });
        opened.transpose()
    }
}
