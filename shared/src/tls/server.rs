//! The certificate that new connections get, and its replacement while the process runs.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use prometheus::Registry;
use tokio::{
    io::{self, AsyncRead, AsyncWrite},
    sync::watch,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};

use super::{
    TlsFault, TlsFiles,
    files::{Contents, Loaded},
    metrics::TlsMetrics,
};
use crate::{config::Mistakes, timestamp::Timestamp};

/// The time for which files may not fit together: they are replaced one after the other.
const PATIENCE: Duration = Duration::from_secs(2);

/// TLS of a server.
pub struct Tls {
    files: TlsFiles,
    served: Mutex<Served>,
    /// Changes when the client CA certificates do.
    authorities: watch::Sender<u64>,
    metrics: TlsMetrics,
}

/// What new connections get.
struct Served {
    config: Arc<ServerConfig>,
    contents: Contents,
    /// Files that cannot be used.
    rejected: Option<Rejected>,
}

struct Rejected {
    contents: Result<Contents, TlsFault>,
    since: Instant,
    is_reported: bool,
}

impl Tls {
    /// Reads the files, and registers the metrics of the certificate.
    ///
    /// # Errors
    /// If the files cannot be used, or the metrics are registered already.
    pub fn start(files: TlsFiles, registry: &Registry) -> anyhow::Result<Arc<Self>> {
        // They were checked with the other settings, and may be others by now.
        let loaded = files.load().map_err(|fault| Mistakes(vec![fault.to_string()]));
        let (contents, Loaded { config, expiry }) = loaded?;
        let metrics = TlsMetrics::new(registry)?;
        let served = Mutex::new(Served { config, contents, rejected: None });
        let (authorities, _) = watch::channel(0);
        let tls = Self { files, served, authorities, metrics };
        tls.metrics.reload_ok.set(1);
        tls.show_expiry(expiry);
        Ok(Arc::new(tls))
    }

    /// Looks at the files, and uses them for new connections if they have changed. Call it about
    /// every second; it reads from the disk.
    pub fn look(&self) {
        self.look_at(Instant::now());
    }

    fn look_at(&self, now: Instant) {
        let contents = self.files.contents();
        let mut served = self.served.lock();
        if contents.as_ref() == Ok(&served.contents) {
            if served.rejected.take().is_some() {
                self.metrics.reload_ok.set(1);
            }
            return;
        }
        let checked = contents.clone().and_then(|contents| {
            let loaded = self.files.check(&contents)?;
            Ok((contents, loaded))
        });
        match checked {
            Ok((contents, loaded)) => self.replace(&mut served, contents, loaded),
            Err(fault) => {
                let rejected = match &mut served.rejected {
                    Some(rejected) if rejected.contents == contents => rejected,
                    other => other.insert(Rejected { contents, since: now, is_reported: false }),
                };
                if !rejected.is_reported && now.duration_since(rejected.since) >= PATIENCE {
                    rejected.is_reported = true;
                    self.metrics.reload_ok.set(0);
                    tracing::error!(
                        %fault,
                        "the TLS files cannot be used; the earlier certificate stays in use"
                    );
                }
            }
        }
    }

    fn replace(&self, served: &mut Served, contents: Contents, loaded: Loaded) {
        let other_authorities = contents.client_ca != served.contents.client_ca;
        *served = Served { config: loaded.config, contents, rejected: None };
        self.metrics.reload_ok.set(1);
        self.show_expiry(loaded.expiry);
        if other_authorities {
            self.authorities.send_modify(|generation| *generation += 1);
        }
        tracing::info!(expires = %loaded.expiry, "new connections get another TLS certificate");
    }

    fn show_expiry(&self, expiry: Timestamp) {
        self.metrics.expiry.set(expiry.millis().div_euclid(1_000));
    }

    /// Begins TLS on `stream`. The second value changes when the client CA certificates do.
    pub(crate) fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> (impl Future<Output = io::Result<TlsStream<S>>> + use<S>, watch::Receiver<u64>) {
        // Before the configuration is taken, so that no change is missed.
        let authorities = self.authorities.subscribe();
        let config = Arc::clone(&self.served.lock().config);
        (TlsAcceptor::from(config).accept(stream), authorities)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// Writes a certificate and the key of `key`, or its own one; returns its key.
    fn write(directory: &Path, name: &str, key: Option<&str>) -> String {
        let pair = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let own = pair.signing_key.serialize_pem();
        fs::write(directory.join("tls.crt"), pair.cert.pem()).unwrap();
        fs::write(directory.join("tls.key"), key.unwrap_or(&own)).unwrap();
        own
    }

    #[test]
    fn files_that_do_not_fit_are_reported_after_a_while_and_the_earlier_ones_are_used() {
        let directory = tempfile::tempdir().unwrap();
        let (certificate, key) =
            (directory.path().join("tls.crt"), directory.path().join("tls.key"));
        write(directory.path(), "first.test", None);
        let files = TlsFiles { certificate, key: key.clone(), client_ca: None };
        let tls = Tls::start(files, &Registry::new()).unwrap();
        let config = || Arc::clone(&tls.served.lock().config);
        let (first, begin) = (config(), Instant::now());
        let is_first = || Arc::ptr_eq(&first, &config());

        let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let second = write(directory.path(), "second.test", Some(&other));
        tls.look_at(begin);
        tls.look_at(begin + PATIENCE - Duration::from_millis(1));
        assert_eq!((tls.metrics.reload_ok.get(), is_first()), (1, true));
        tls.look_at(begin + PATIENCE);
        assert_eq!((tls.metrics.reload_ok.get(), is_first()), (0, true));
        fs::remove_file(&key).unwrap();
        tls.look_at(begin + PATIENCE);
        assert_eq!((tls.metrics.reload_ok.get(), is_first()), (0, true));
        fs::write(&key, second).unwrap();
        tls.look_at(begin + PATIENCE);
        assert_eq!((tls.metrics.reload_ok.get(), is_first()), (1, false));
        assert_eq!(tls.authorities.subscribe().borrow().to_owned(), 0);
    }
}
