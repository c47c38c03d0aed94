//! A server that sends the same reply to every request, with or without TLS, and keeps the
//! requests.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer},
};

/// A certificate authority of a test.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A server that sends the same reply to every request.
#[derive(Debug)]
pub struct Origin {
    /// Its address, on the loopback.
    pub address: SocketAddr,
    scheme: &'static str,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Authority {
    /// A new authority, which nobody trusts yet.
    #[must_use]
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "an authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Writes the certificate of the authority, which clients trust.
    pub fn write(&self, file: &Path) {
        std::fs::write(file, &self.pem).unwrap();
    }

    /// A server's configuration, with a certificate for 127.0.0.1.
    fn server(&self) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Origin {
    /// Starts a server on the runtime of the caller. `head` is the status and whole header lines,
    /// for example `200 OK\r\nx-name: value`.
    pub async fn start(authority: Option<&Authority>, head: &str, body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if authority.is_some() { "https" } else { "http" };
        let tls = authority.map(|authority| TlsAcceptor::from(Arc::new(authority.server())));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let length = body.len();
        let reply = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}");
        let kept = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, reply, kept) = (tls.clone(), reply.clone(), Arc::clone(&kept));
                tokio::spawn(async move {
                    match tls {
                        None => answer(stream, &reply, &kept).await,
                        // A client that does not trust the certificate ends the handshake.
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => answer(stream, &reply, &kept).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Self { address, scheme, requests }
    }

    /// The base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// The heads of the requests so far, in lower case.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// Replies to each request of a connection until it ends.
async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    reply: &str,
    requests: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = stream.read_line(&mut head).await.ok()?;
            (read > 0).then_some(())?;
        }
        let head = head.to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut body).await.ok()?;
        requests.lock().unwrap().push(head);
        stream.write_all(reply.as_bytes()).await.ok()?;
        stream.flush().await.ok()?;
    }
}
