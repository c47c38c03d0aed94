//! The contents of the files, and what is wrong with them.

use std::{fs, path::Path, sync::Arc};

use tokio_rustls::rustls::{
    self, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::{CERTIFICATE, CLIENT_CA, KEY, TlsFault, TlsFiles};
use crate::{clock::Clock, timestamp::Timestamp};

/// The protocols that the server offers, the best one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The contents of the files.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    pub(super) client_ca: Option<Vec<u8>>,
}

/// What the server needs of the files.
pub(super) struct Loaded {
    pub(super) config: Arc<ServerConfig>,
    /// When the certificate expires.
    pub(super) expiry: Timestamp,
}

impl TlsFiles {
    /// Reads and checks the files.
    pub(super) fn load(&self) -> Result<(Contents, Loaded), TlsFault> {
        let contents = self.contents()?;
        let loaded = self.check(&contents)?;
        Ok((contents, loaded))
    }

    pub(super) fn contents(&self) -> Result<Contents, TlsFault> {
        let read = |setting, path: &Path| {
            fs::read(path).map_err(|error| fault(setting, format!("cannot be read: {error}")))
        };
        Ok(Contents {
            certificate: read(CERTIFICATE, &self.certificate)?,
            key: read(KEY, &self.key)?,
            client_ca: self.client_ca.as_deref().map(|path| read(CLIENT_CA, path)).transpose()?,
        })
    }

    /// The configuration of a server with these `contents`.
    pub(super) fn check(&self, contents: &Contents) -> Result<Loaded, TlsFault> {
        let chain = certificates(CERTIFICATE, &contents.certificate)?;
        let expiry = expiry(&chain)?;
        if expiry <= Clock::machine().now() {
            let cause = format!("the certificate expired on {expiry}; replace it");
            return Err(fault(CERTIFICATE, cause));
        }
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|_| fault(KEY, "the file has no private key in PEM"))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| fault(CERTIFICATE, error.to_string()))?;
        let builder = match &contents.client_ca {
            None => builder.with_no_client_auth(),
            Some(authorities) => {
                let authorities = certificates(CLIENT_CA, authorities)?;
                builder.with_client_cert_verifier(verifier(authorities, provider)?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(unusable_key)?;
        config.alpn_protocols = PROTOCOLS.map(Vec::from).into();
        Ok(Loaded { config: Arc::new(config), expiry })
    }
}

fn certificates(
    setting: &'static str,
    text: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(fault(setting, "the file has no certificate in PEM")),
        Err(error) => Err(fault(setting, format!("the file is not valid PEM: {error}"))),
    }
}

/// When the first certificate of `chain` expires.
fn expiry(chain: &[CertificateDer<'_>]) -> Result<Timestamp, TlsFault> {
    let first = chain.first().and_then(|der| X509Certificate::from_der(der).ok());
    let (_, first) =
        first.ok_or_else(|| fault(CERTIFICATE, "the file has no valid certificate"))?;
    let seconds = first.validity().not_after.timestamp();
    Ok(Timestamp::default() + seconds.saturating_mul(1_000))
}

fn unusable_key(error: rustls::Error) -> TlsFault {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            fault(KEY, "the key does not belong to the certificate of --tls-cert")
        }
        error => fault(KEY, format!("the key cannot be used: {error}")),
    }
}

fn verifier(
    authorities: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsFault> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).map_err(|error| fault(CLIENT_CA, error.to_string()))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| fault(CLIENT_CA, error.to_string()))
}

fn fault(setting: &'static str, cause: impl Into<String>) -> TlsFault {
    TlsFault { setting, cause: cause.into() }
}
