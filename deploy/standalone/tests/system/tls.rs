//! The program with TLS: its clients, its metrics, a certificate that is replaced, and mistakes at
//! the start.

use std::{
    fs,
    io::{self, BufReader, Write},
    path::Path,
    sync::Arc,
};

use tempfile::TempDir;
use test_support::client::{Reply, read_reply};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use crate::service::{Metrics, Service, eventually, serve};

/// Writes a certificate for `name` and its key; returns the certificate.
fn renew(directory: &Path, name: &str) -> String {
    let pair = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    fs::write(directory.join("tls.key"), pair.signing_key.serialize_pem()).unwrap();
    fs::write(directory.join("tls.crt"), pair.cert.pem()).unwrap();
    pair.cert.pem()
}

/// Sends a request over a new connection with TLS to a server with this certificate for `name`.
fn send(
    service: &Service,
    (certificate, name): (&str, &str),
    method: &str,
    path: &str,
    body: &str,
) -> io::Result<Reply> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, service.client().connect()?);
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    read_reply(&mut BufReader::new(stream))
}

#[test]
fn events_and_questions_travel_encrypted_and_a_certificate_is_replaced_while_the_program_runs() {
    let data = TempDir::new().unwrap();
    let path = |name: &str| data.path().join(name).display().to_string();
    let first = renew(data.path(), "first.test");
    let first = (first.as_str(), "first.test");
    let as_of = "2019-05-13T12:00:00Z";
    let flags = ["--tls-cert", &path("tls.crt"), "--tls-key", &path("tls.key"), "--as-of", as_of];
    let service = Service::begin(serve(data.path(), &flags));
    let ask = |server, path: &str| send(&service, server, "GET", path, "");
    eventually("the service is ready", || {
        (ask(first, "/readyz").ok()?.status == 200).then_some(())
    });
    let events = r#"[{"user_id":"u","session_id":"s","event":"start","ts":"2019-05-13T09:00:00Z"},
        {"user_id":"u","session_id":"s","event":"end","ts":"2019-05-13T09:01:00Z"}]"#;
    let now = ask(first, "/metrics").unwrap();
    assert_eq!(Metrics(now.text()).sum("bookend_tls_reload_ok"), 1.0);
    assert_eq!(send(&service, first, "POST", "/v1/events", events).unwrap().status, 200);
    eventually("the session is answered", || {
        let sessions = ask(first, "/v1/users/u/sessions").unwrap().json();
        (sessions["sessions"][0]["session_id"] == "s").then_some(())
    });
    assert!(service.client().get("/livez").is_err(), "it answers in clear text");

    fs::write(path("tls.key"), "no key").unwrap();
    eventually("the broken file is reported", || {
        let metrics = Metrics(ask(first, "/metrics").unwrap().text());
        (metrics.sum("bookend_tls_reload_ok") == 0.0).then_some(())
    });
    assert!(service.said().contains("--tls-key: the file has no private key in PEM"));
    let second = renew(data.path(), "second.test");
    let second = (second.as_str(), "second.test");
    eventually("the second certificate is served", || ask(second, "/livez").ok());
    let metrics = Metrics(ask(second, "/metrics").unwrap().text());
    assert_eq!(metrics.sum("bookend_tls_reload_ok"), 1.0);
    service.stop();
}

#[test]
fn the_program_does_not_start_with_files_that_cannot_be_used() {
    let data = TempDir::new().unwrap();
    let path = |name: &str| data.path().join(name).display().to_string();
    renew(data.path(), "first.test");
    let flags = ["--tls-cert", &path("tls.crt"), "--tls-key", &path("tls.crt")];
    let ended = serve(data.path(), &flags).output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(64), "{said}");
    let mistake = format!(
        "--tls-key: {:?} is not valid: the file has no private key in PEM\n",
        path("tls.crt")
    );
    assert!(said.ends_with(&mistake), "{said}");
}
