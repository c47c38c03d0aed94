//! The HTTP client of every command that sends requests to a service, and of the benchmark.
//!
//! It sends the API key of the environment with each request. It follows no redirect, so the key
//! reaches no other host than the one that was named.

use std::{error::Error, io, iter, net::IpAddr, path::PathBuf, sync::Arc};

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{
    ClientBuilder, RequestBuilder, StatusCode, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION},
    redirect::Policy,
};
use serde::Deserialize;
use shared::{
    authorities,
    config::{self, Mistakes, Secret, Setting},
};
use tokio_rustls::rustls::{self, ClientConfig, crypto::aws_lc_rs};

/// The API key. Other users of a machine can read the flags of a process, so there is no flag.
pub const API_KEY: Setting =
    Setting::secret("api-key", "API key, sent with every request to a service that has --keys");

/// The most characters of an unknown reply that an error shows.
const MOST_SHOWN: usize = 300;

/// How a client proves who it is, and which servers it trusts.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct ClientOptions {
    /// CA certificates in PEM to trust for https, instead of those of the system
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,

    /// The API key, which [`read_key`](Self::read_key) sets.
    #[arg(skip)]
    pub key: Option<Secret>,
}

/// An error as the service sends it.
#[derive(Deserialize)]
struct Refused {
    error: Cause,
}

#[derive(Deserialize)]
struct Cause {
    message: String,
}

impl ClientOptions {
    /// Reads the API key from the environment.
    pub fn read_key(&mut self) -> Result<(), Mistakes> {
        self.key = config::read_secret(&API_KEY)?;
        Ok(())
    }

    /// A client for the service at `url`. It uses the proxy of the environment, except for
    /// addresses of this machine, which another machine cannot reach.
    ///
    /// # Errors
    /// The proxy would read the key, or an option is not usable.
    pub fn builder(&self, url: &Url) -> Result<ClientBuilder, Mistakes> {
        let builder = if is_loopback(url) {
            ClientBuilder::new().no_proxy()
        } else if self.key.is_some() && url.scheme() == "http" && has_proxy(url) {
            return Err(mistake(format!(
                "{url}: the proxy of http_proxy could read the API key; use https, or add the host \
                 to no_proxy"
            )));
        } else {
            ClientBuilder::new()
        };
        let builder = builder
            .user_agent(concat!("bookend/", env!("CARGO_PKG_VERSION")))
            // A redirect may lead to another host, and may change a POST into a GET.
            .redirect(Policy::none())
            .default_headers(self.headers()?);
        match (self.tls()?, url.scheme()) {
            (Some(tls), "https") => Ok(builder.tls_backend_preconfigured(tls)),
            (Some(_), _) => Err(mistake(format!("--tls-ca is only for https, not for {url}"))),
            (None, "https") => Ok(builder),
            // Otherwise it reads the certificates of the system, which an image may not have.
            (None, _) => Ok(builder.tls_certs_only([])),
        }
    }

    /// The headers of every request.
    pub fn headers(&self) -> Result<HeaderMap, Mistakes> {
        let mut headers = HeaderMap::new();
        if let Some(key) = &self.key {
            let wrong = |_| {
                mistake(format!("{}: the key has a character that no key has", API_KEY.variable()))
            };
            let bearer = format!("Bearer {}", key.reveal());
            let mut bearer = HeaderValue::try_from(bearer).map_err(wrong)?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        Ok(headers)
    }

    /// The TLS configuration that trusts `--tls-ca`; `None` without it.
    pub fn tls(&self) -> Result<Option<ClientConfig>, Mistakes> {
        let Some(file) = &self.tls_ca else { return Ok(None) };
        let unusable = |cause: String| mistake(format!("--tls-ca: {cause}"));
        let authorities = authorities::read(file).map_err(unusable)?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Some(config.with_root_certificates(authorities).with_no_client_auth()))
    }
}

/// Whether the host is an address or a name of this machine.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let name = host.strip_suffix('.').unwrap_or(host);
    address.is_ok_and(|address| address.to_canonical().is_loopback())
        || name == "localhost"
        || name.ends_with(".localhost")
}

/// Whether the environment names a proxy for `url`. The client reads it in the same way.
fn has_proxy(url: &Url) -> bool {
    let Ok(url) = url.as_str().parse() else { return false };
    Matcher::from_system().intercept(&url).is_some()
}

fn mistake(text: String) -> Mistakes {
    Mistakes(vec![text])
}

/// Sends a request and returns the body of the reply.
///
/// # Errors
/// If there is no reply, or its status is not one of success.
pub async fn fetch(request: RequestBuilder) -> anyhow::Result<bytes::Bytes> {
    let reply = request.send().await?;
    let (status, headers, url) = (reply.status(), reply.headers().clone(), reply.url().clone());
    let body = reply.bytes().await?;
    anyhow::ensure!(status.is_success(), "{url} {}", describe(status, &headers, &body));
    Ok(body)
}

/// Describes a reply that is not the expected one: the target of a redirect, or the message of the
/// service.
#[must_use]
pub fn describe(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> String {
    if status.is_redirection()
        && let Some(target) = headers.get(LOCATION)
    {
        let target = String::from_utf8_lossy(target.as_bytes());
        return format!("redirects to {target} ({status}), which is not followed");
    }
    let message = match serde_json::from_slice(body) {
        Ok(Refused { error }) => error.message,
        Err(_) => String::from_utf8_lossy(body).chars().take(MOST_SHOWN).collect(),
    };
    format!("returned {status}: {}", message.trim())
}

/// The last of the causes of `error`, which alone says what happened.
#[must_use]
pub fn root_cause(error: &reqwest::Error) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

/// Whether the certificate of the server is not valid or not trusted.
#[must_use]
pub fn is_untrusted(error: &reqwest::Error) -> bool {
    causes(error).any(is_wrong_certificate)
}

fn is_wrong_certificate(error: &(dyn Error + 'static)) -> bool {
    if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
        return true;
    }
    // An I/O error is not the source of what it wraps, which may be another one.
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    wrapped.is_some_and(|wrapped| is_wrong_certificate(wrapped))
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let first: &(dyn Error + 'static) = error;
    iter::successors(Some(first), |&error| error.source())
}
