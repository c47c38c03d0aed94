//! TLS connections with verified server certificates.
//!
//! The driver can only verify the address of a node. Nodes often share one certificate for a host
//! name; the setting `server_name` verifies that name instead. Verification is never skipped.

use std::{path::PathBuf, sync::Arc};

use scylla::client::session::TlsContext;
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::error::CassandraOpenError;
use crate::authorities;

/// TLS settings. The server's certificate is always verified.
#[derive(Clone, Debug)]
pub struct CassandraTls {
    /// Trusted CA certificates in PEM.
    pub ca_file: PathBuf,
    /// Name that the certificate of every node must hold; by default the address of the node.
    pub server_name: Option<String>,
}

/// Verifies certificates for one name, independent of the address of the node.
#[derive(Debug)]
struct NameVerifier {
    verifier: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

/// The TLS context for the driver.
pub(super) fn context(options: &CassandraTls) -> Result<TlsContext, CassandraOpenError> {
    let unusable = |cause: String| {
        CassandraOpenError::Certificate(format!("{}: {cause}", options.ca_file.display()))
    };
    let authorities =
        authorities::read(&options.ca_file).map_err(CassandraOpenError::Certificate)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let authorities = Arc::new(authorities);
    let verifier = WebPkiServerVerifier::builder_with_provider(
        Arc::clone(&authorities),
        Arc::clone(&provider),
    )
    .build()
    .map_err(|error| unusable(error.to_string()))?;
    let versions =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.map_err(|error| unusable(error.to_string()))?;
    let config = match &options.server_name {
        None => builder.with_webpki_verifier(verifier),
        Some(name) => {
            let name =
                ServerName::try_from(name.clone()).map_err(|_| CassandraOpenError::Option {
                    name: "server name",
                    fault: format!("{name:?} is not a host name"),
                })?;
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(NameVerifier { verifier, name }))
        }
    };
    Ok(TlsContext::Rustls023(Arc::new(config.with_no_client_auth())))
}

impl ServerCertVerifier for NameVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _address: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verifier.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        signed: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(signed, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        signed: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(signed, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
