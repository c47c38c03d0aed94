//! TLS of the HTTP server: its files, and the configuration that follows from them.
//!
//! The files may be replaced while the process runs. TLS admits a connection; it says nothing about
//! what a client may do.

use std::path::PathBuf;

pub use self::server::Tls;
use crate::config::{Setting, Settings};

mod files;
mod metrics;
mod server;

const CERTIFICATE: &str = "tls-cert";
const KEY: &str = "tls-key";
const CLIENT_CA: &str = "tls-client-ca";

/// The files of the server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

/// The reason why files cannot be used: a setting, and what is wrong with its file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--{setting}: {cause}")]
pub struct TlsFault {
    setting: &'static str,
    cause: String,
}

/// The settings of [`TlsFiles`].
#[must_use]
#[rustfmt::skip]
pub fn settings() -> Vec<Setting> {
    [
        Setting::new(CERTIFICATE, "FILE", "", "Certificate in PEM, then those of its issuers; with it only TLS is served"),
        Setting::new(KEY, "FILE", "", "Private key of --tls-cert in PEM; both files are read again when they change"),
        Setting::new(CLIENT_CA, "FILE", "", "CA certificates in PEM; then only clients with a certificate of one of them may connect"),
    ]
    .map(|setting| setting.under("TLS"))
    .into()
}

impl TlsFiles {
    /// Reads the settings and checks the files; records mistakes in `given`. Returns `None` if no
    /// certificate is configured.
    pub fn read(given: &mut Settings) -> Option<Self> {
        let certificate: Option<PathBuf> = given.get_optional(CERTIFICATE);
        let key: Option<PathBuf> = given.get_optional(KEY);
        let client_ca = given.get_optional(CLIENT_CA);
        let (certificate, key) = match (certificate, key, &client_ca) {
            (Some(certificate), Some(key), _) => (certificate, key),
            (Some(_), None, _) => return mistake(given, CERTIFICATE, "it needs --tls-key"),
            (None, Some(_), _) => return mistake(given, KEY, "it needs --tls-cert"),
            (None, None, Some(_)) => {
                return mistake(given, CLIENT_CA, "it needs --tls-cert and --tls-key");
            }
            (None, None, None) => return None,
        };
        let files = Self { certificate, key, client_ca };
        if let Err(fault) = files.load() {
            given.mistake(fault.setting, &fault.cause);
        }
        Some(files)
    }
}

fn mistake(given: &mut Settings, setting: &'static str, cause: &str) -> Option<TlsFiles> {
    given.mistake(setting, cause);
    None
}
