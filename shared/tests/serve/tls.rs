//! TLS: protocols, clients that are let in, and certificates that are replaced while the server
//! runs.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use prometheus::Registry;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use shared::{
    config::Settings,
    http::Listener,
    tls::{self, Tls, TlsFiles},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
        version::{TLS12, TLS13},
    },
};

use super::*;

/// An authority and the directory of the files that it signed.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    files: TempDir,
}

/// A certificate and its key in PEM.
struct Pair {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority");
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        Self { issuer, files: tempfile::tempdir().unwrap() }
    }

    /// A pair for servers and clients; it is valid until the end of `year`.
    fn pair(&self, name: &str, year: i32) -> Pair {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 12, 31);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        // By rename, as tools that renew certificates do.
        fs::write(self.path("new"), text).unwrap();
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    fn write_pair(&self, pair: &Pair) {
        self.write("tls.crt", &pair.certificate);
        self.write("tls.key", &pair.key);
    }

    /// Reads the settings of the files `names` of this authority, which may have mistakes.
    fn settings(&self, names: &[(&str, &str)]) -> Result<Option<TlsFiles>, String> {
        let flags = names.iter().flat_map(|(setting, name)| {
            [format!("--{setting}"), self.path(name).display().to_string()]
        });
        let settings = tls::settings();
        let matches = clap::Command::new("test")
            .args(shared::config::args(&settings))
            .get_matches_from(std::iter::once("test".to_owned()).chain(flags));
        let mut given = Settings::with_variables(&settings, &matches, |_| None);
        let files = TlsFiles::read(&mut given);
        given.finish(files).map_err(|mistakes| mistakes.to_string())
    }

    fn trusted(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.issuer.pem().as_bytes()).unwrap()).unwrap();
        roots
    }
}

const PAIR: [(&str, &str); 2] = [("tls-cert", "tls.crt"), ("tls-key", "tls.key")];
const WITH_CLIENTS: [(&str, &str); 3] = [PAIR[0], PAIR[1], ("tls-client-ca", "clients.crt")];

/// A server with the files `names` of `authority`, and its metrics.
async fn start(
    authority: &Authority,
    names: &[(&str, &str)],
    options: ServeOptions,
) -> (Server, Registry) {
    let registry = Registry::new();
    let files = authority.settings(names).unwrap().unwrap();
    let tls = Tls::start(files, &registry).unwrap();
    let router = on_request(async |request| {
        let encrypted = if request.connected.tls { "encrypted" } else { "plain" };
        encrypted.into_response()
    });
    let secure = |tcp| Listener::new(tcp, Some(tls));
    (Server::start_with(router, options, secure).await, registry)
}

fn client(
    authority: &Authority,
    pair: Option<&Pair>,
    protocol: &[u8],
    version: &'static SupportedProtocolVersion,
) -> TlsConnector {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(authority.trusted());
    let mut config = match pair {
        None => builder.with_no_client_auth(),
        Some(Pair { certificate, key }) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    TlsConnector::from(Arc::new(config))
}

async fn connect(
    address: SocketAddr,
    client: &TlsConnector,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    timeout(LIMIT, client.connect(name, stream)).await.unwrap()
}

/// Sends `GET /hello` in HTTP/1.1 and reads the reply; it ends with its body.
async fn hello(stream: &mut TlsStream<TcpStream>) -> std::io::Result<String> {
    stream.write_all(&bare("GET", "/hello")).await?;
    let mut reply = Vec::new();
    let read = async {
        while !reply.ends_with(b"encrypted") {
            if stream.read_buf(&mut reply).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(String::from_utf8(reply).unwrap())
    };
    timeout(LIMIT, read).await.unwrap()
}

async fn is_closed(stream: &mut TlsStream<TcpStream>) -> bool {
    timeout(LIMIT, stream.read(&mut [0])).await.unwrap().is_ok_and(|read| read == 0)
}

#[tokio::test]
async fn both_protocols_and_both_versions_of_tls_are_served() {
    let authority = Authority::new();
    authority.write_pair(&authority.pair("bookend.test", 2200));
    let (server, _) = start(&authority, &PAIR, ServeOptions::default()).await;
    for (version, expected) in
        [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)]
    {
        let one = client(&authority, None, b"http/1.1", version);
        let mut stream = connect(server.address, &one, "bookend.test").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert_eq!(stream.get_ref().1.protocol_version(), Some(expected));
        let reply = hello(&mut stream).await.unwrap();
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
        assert!(reply.contains("strict-transport-security: max-age=31536000\r\n"), "{reply}");

        let two = client(&authority, None, b"h2", version);
        let stream = connect(server.address, &two, "bookend.test").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut sending, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = warp::http::Request::get("https://bookend.test/hello").body(()).unwrap();
        let reply = sending.send_request(request, true).unwrap().0;
        let (status, _, body) = http2::read(reply).await.unwrap();
        assert_eq!((status, &body[..]), (200, &b"encrypted"[..]));
    }
    let other = client(&authority, None, b"spdy/1", &TLS13);
    assert!(connect(server.address, &other, "bookend.test").await.is_err());
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(&bare("GET", "/hello")).await.unwrap();
    let mut alert = Vec::new();
    timeout(LIMIT, plain.read_to_end(&mut alert)).await.unwrap().ok();
    assert!(!alert.starts_with(b"HTTP"), "{alert:?}");
}

#[tokio::test]
async fn clients_that_do_not_complete_the_handshake_are_cut_off_and_keep_no_other_out() {
    const SILENT: usize = 50;
    let authority = Authority::new();
    authority.write_pair(&authority.pair("bookend.test", 2200));
    let (server, _) = start(&authority, &PAIR, ServeOptions::default()).await;
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        let mut stream = Connection::open(server.address).await;
        // The begin of a ClientHello.
        stream.send(b"\x16\x03\x01\x02\0\x01").await;
        silent.push(stream);
    }
    let one = client(&authority, None, b"http/1.1", &TLS13);
    let mut stream = connect(server.address, &one, "bookend.test").await.unwrap();
    hello(&mut stream).await.unwrap();

    let options =
        ServeOptions { header_timeout: Duration::from_millis(200), ..ServeOptions::default() };
    let (server, _) = start(&authority, &PAIR, options).await;
    let mut silent = Connection::open(server.address).await;
    silent.send(b"\x16\x03\x01\x02\0\x01").await;
    assert!(silent.is_cut().await);
}

#[tokio::test]
async fn only_clients_with_a_certificate_are_let_in_if_an_authority_is_given() {
    let (authority, clients) = (Authority::new(), Authority::new());
    authority.write_pair(&authority.pair("bookend.test", 2200));
    authority.write("clients.crt", &clients.issuer.pem());
    let (server, _) = start(&authority, &WITH_CLIENTS, ServeOptions::default()).await;
    let (known, foreign) = (clients.pair("client.test", 2200), authority.pair("client.test", 2200));
    for (pair, is_let_in) in [(Some(&known), true), (Some(&foreign), false), (None, false)] {
        let one = client(&authority, pair, b"http/1.1", &TLS13);
        // In TLS 1.3 the client learns only afterwards that its certificate was refused.
        let reply = match connect(server.address, &one, "bookend.test").await {
            Ok(mut stream) => hello(&mut stream).await,
            Err(error) => Err(error),
        };
        assert_eq!(reply.is_ok(), is_let_in, "{reply:?}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_the_earlier_ones_go_on() {
    let authority = Authority::new();
    authority.write_pair(&authority.pair("old.test", 2200));
    let (server, registry) = start(&authority, &PAIR, ServeOptions::default()).await;
    assert_eq!(
        metric(&registry, "bookend_tls_certificate_expiry_timestamp_seconds"),
        7_289_568_000.0
    );
    let one = client(&authority, None, b"http/1.1", &TLS13);
    let mut earlier = connect(server.address, &one, "old.test").await.unwrap();
    hello(&mut earlier).await.unwrap();
    authority.write_pair(&authority.pair("new.test", 2100));
    let replaced = timeout(LIMIT, async {
        while connect(server.address, &one, "new.test").await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    replaced.await.unwrap();
    assert_eq!(metric(&registry, "bookend_tls_reload_ok"), 1.0);
    assert_eq!(
        metric(&registry, "bookend_tls_certificate_expiry_timestamp_seconds"),
        4_133_894_400.0
    );
    hello(&mut earlier).await.unwrap();
}

#[tokio::test]
async fn other_authorities_of_clients_end_the_earlier_connections() {
    let (authority, clients) = (Authority::new(), Authority::new());
    authority.write_pair(&authority.pair("bookend.test", 2200));
    authority.write("clients.crt", &clients.issuer.pem());
    let (server, _) = start(&authority, &WITH_CLIENTS, ServeOptions::default()).await;
    let pair = clients.pair("client.test", 2200);
    let one = client(&authority, Some(&pair), b"http/1.1", &TLS13);
    let mut earlier = connect(server.address, &one, "bookend.test").await.unwrap();
    hello(&mut earlier).await.unwrap();
    let two = client(&authority, Some(&pair), b"h2", &TLS13);
    let stream = connect(server.address, &two, "bookend.test").await.unwrap();
    let (_sending, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    authority.write("clients.crt", &Authority::new().issuer.pem());
    assert!(is_closed(&mut earlier).await);
    let outcome = timeout(LIMIT, connection).await.unwrap().unwrap();
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[tokio::test]
async fn a_mistake_in_the_files_is_named() {
    let authority = Authority::new();
    let (good, other) = (authority.pair("a.test", 2200), authority.pair("b.test", 2200));
    let expired = authority.pair("a.test", 2021);
    let mistake = |certificate: &str, key: &str| {
        authority.write("tls.crt", certificate);
        authority.write("tls.key", key);
        authority.settings(&PAIR).unwrap_err()
    };
    let named = |name: &str, file: &str, cause: &str| {
        format!("--{name}: {:?} is not valid: {cause}", authority.path(file).display().to_string())
    };
    let of_key = |cause| named("tls-key", "tls.key", cause);
    let of_certificate = |cause| named("tls-cert", "tls.crt", cause);
    let (certificate, key) = (&good.certificate, &good.key);
    for (certificate, key, expected) in [
        (
            certificate,
            &other.key,
            of_key("the key does not belong to the certificate of --tls-cert"),
        ),
        // That it expired is said first.
        (
            &expired.certificate,
            &other.key,
            of_certificate("the certificate expired on 2021-12-31T00:00:00Z; replace it"),
        ),
        (certificate, certificate, of_key("the file has no private key in PEM")),
        (key, key, of_certificate("the file has no certificate in PEM")),
        (&String::new(), key, of_certificate("the file has no certificate in PEM")),
    ] {
        assert_eq!(mistake(certificate, key), expected);
    }
    authority.write_pair(&good);
    let missing = "cannot be read: No such file or directory (os error 2)";
    for (names, expected) in [
        (vec![PAIR[0], ("tls-key", "none")], named("tls-key", "none", missing)),
        (vec![("tls-cert", "none"), PAIR[1]], named("tls-cert", "none", missing)),
        (vec![PAIR[0]], of_certificate("it needs --tls-key")),
        (vec![PAIR[1]], of_key("it needs --tls-cert")),
        (
            WITH_CLIENTS[2..].to_vec(),
            named("tls-client-ca", "clients.crt", "it needs --tls-cert and --tls-key"),
        ),
        (WITH_CLIENTS.to_vec(), named("tls-client-ca", "clients.crt", missing)),
    ] {
        assert_eq!(authority.settings(&names).unwrap_err(), expected);
    }
    assert_eq!(authority.settings(&[]), Ok(None));
}

fn metric(registry: &Registry, name: &str) -> f64 {
    let families = registry.gather();
    let family = families.iter().find(|family| family.name() == name).unwrap();
    family.get_metric()[0].get_gauge().get_value()
}
