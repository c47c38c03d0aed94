//! An encrypted connection whose server shows the certificate that is expected.
//!
//! The driver reaches a node by its address and can ask for nothing else than that in a certificate. Nodes mostly share a
//! certificate for a name: then that name is what is verified. Nothing here ever skips the verification.

use std::sync::Arc;

use scylla::client::session::TlsContext;
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use super::{CassandraTls, OpenError};

/// Verifies that a certificate is valid for one name, whatever address it was reached by.
#[derive(Debug)]
struct Named {
    verifier: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

/// What the driver encrypts its connections with.
pub(super) fn context(options: &CassandraTls) -> Result<TlsContext, OpenError> {
    let unusable =
        |cause: String| OpenError::Certificate(format!("{}: {cause}", options.ca_file.display()));
    let mut authorities = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(&options.ca_file)
        .map_err(|error| unusable(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        authorities.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if authorities.is_empty() {
        return Err(unusable("it holds no certificate in PEM".to_owned()));
    }
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
            let name = ServerName::try_from(name.clone()).map_err(|_| OpenError::Option {
                name: "server name",
                fault: format!("{name:?} is no name of a host"),
            })?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Named { verifier, name }))
        }
    };
    Ok(TlsContext::Rustls023(Arc::new(config.with_no_client_auth())))
}

impl ServerCertVerifier for Named {
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
