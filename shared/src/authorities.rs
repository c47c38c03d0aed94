//! Files of CA certificates, which say whose servers a client trusts.

use std::path::Path;

use tokio_rustls::rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Reads the CA certificates of `file`, in PEM.
///
/// # Errors
/// If the file cannot be read, has no certificate, or has one that no server can be verified with.
pub fn read(file: &Path) -> Result<RootCertStore, String> {
    let unusable = |cause: String| format!("{}: {cause}", file.display());
    let mut authorities = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(file).map_err(|error| unusable(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        authorities.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if authorities.is_empty() {
        return Err(unusable("the file has no PEM certificate".to_owned()));
    }
    Ok(authorities)
}
