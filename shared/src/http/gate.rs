//! Decides whether a request may reach its handler: by where it comes from, by its key, and by the
//! right that its route needs.
//!
//! Nothing of a body is read before the decision. A denial never says whether a user, a session or
//! another key exists.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use prometheus::Registry;
use warp::http::{HeaderMap, HeaderName, HeaderValue, Method, header, uri::Authority};

use super::{
    caller::Caller,
    denial::{Denial, Denials},
    id::RequestId,
    params::Params,
    request::Request,
};
use crate::{
    access::{AllowedOrigin, Key, Keys, Origin, Right, Unfit},
    clock::Clock,
};

/// The header that carries a key for clients that cannot set `Authorization`.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// By whom a browser says that a request was made; no page can set it.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The parameter that carries a key for `navigator.sendBeacon`, which cannot set headers.
pub const KEY_PARAMETER: &str = "key";
/// The authentication scheme of a key in `Authorization`.
const SCHEME: &[u8] = b"Bearer ";

/// The gate in front of all routes of a process.
#[derive(Debug, Default)]
pub struct Gate {
    keys: Option<Arc<Keys>>,
    /// The names, beside those of this machine, by which a service on loopback may be called;
    /// `None` allows every name.
    hosts: Option<BTreeSet<String>>,
    /// The origins whose pages may call the service, beside those of its keys.
    origins: Vec<AllowedOrigin>,
    /// Whether it is that of the port for operators.
    operations: bool,
    denials: Arc<Denials>,
}

impl Gate {
    /// A gate that asks for one of `keys`.
    #[must_use]
    pub fn with_keys(self, keys: Arc<Keys>) -> Self {
        Self { keys: Some(keys), ..self }
    }

    /// Without keys, refuses requests to other hosts than this machine and `names`.
    #[must_use]
    pub fn with_hosts(self, names: BTreeSet<String>) -> Self {
        Self { hosts: Some(names), ..self }
    }

    /// Lets the pages of `origins` call the service and read its replies.
    #[must_use]
    pub fn with_origins(self, origins: Vec<AllowedOrigin>) -> Self {
        Self { origins, ..self }
    }

    /// Counts denials in `registry`.
    pub fn counted(self, registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self { denials: Arc::new(Denials::counted(registry)?), ..self })
    }

    /// The gate of the port for operators, which is not called by browsers.
    #[must_use]
    pub fn for_operations(&self) -> Self {
        let (keys, denials) = (self.keys.clone(), Arc::clone(&self.denials));
        Self { keys, denials, operations: true, ..Self::default() }
    }

    /// Whether pages of this `origin` may send requests and read replies.
    pub(super) fn allows_page(&self, origin: &HeaderValue) -> bool {
        let of_keys = |keys: &Arc<Keys>| {
            origin.to_str().is_ok_and(|origin| keys.current().allows_origin(origin))
        };
        is_allowed(origin, &self.origins) || self.keys.as_ref().is_some_and(of_keys)
    }

    /// A caller whose key was not looked at.
    pub(super) fn stranger(&self, id: &RequestId) -> Caller {
        let key = if self.keys.is_some() { Err(Denial::NoKey) } else { Ok(None) };
        self.caller_with(id, key)
    }

    /// Without keys, refuses the requests that web pages make in the name of a developer: those of
    /// another origin, and those to a name that an attacker pointed at this machine.
    pub(super) fn source(&self, request: &Request) -> Result<(), Denial> {
        let Request { headers, id, .. } = request;
        if self.keys.is_some() {
            return Ok(());
        }
        let is_own =
            |host: &HeaderValue| self.hosts.as_ref().is_none_or(|names| is_here(host, names));
        if !headers.get_all(header::HOST).iter().all(is_own) {
            return Err(self.denials.deny(Denial::ForeignHost, id));
        }
        let is_same =
            || headers.get(FETCH_SITE).is_some_and(|site| site == "same-origin" || site == "none");
        let may_call = |origin: &HeaderValue| {
            is_same()
                || is_host(origin, headers.get(header::HOST))
                || is_allowed(origin, &self.origins)
        };
        if headers.get_all(header::ORIGIN).iter().all(may_call) {
            Ok(())
        } else {
            Err(self.denials.deny(Denial::ForeignOrigin, id))
        }
    }

    /// Finds the key of a request.
    pub(super) fn caller(&self, request: &Request) -> Caller {
        if self.keys.is_none() && is_foreign(&request.headers) {
            return self.caller_with(&request.id, Err(Denial::ForeignOrigin));
        }
        let found = self.keys.as_ref().map(|keys| {
            let key = find(keys, request)?;
            let mut origins = request.headers.get_all(header::ORIGIN).iter();
            let is_own =
                key.origins.is_empty() || origins.all(|origin| is_allowed(origin, &key.origins));
            if is_own { Ok(key) } else { Err(Denial::ForeignOrigin) }
        });
        self.caller_with(&request.id, found.transpose())
    }

    fn caller_with(&self, id: &RequestId, key: Result<Option<Arc<Key>>, Denial>) -> Caller {
        Caller::new(Arc::clone(&self.denials), id.clone(), key, self.operations)
    }
}

/// The key that a request gives, if it is valid.
fn find(keys: &Keys, request: &Request) -> Result<Arc<Key>, Denial> {
    let headers = &request.headers;
    let bearer = headers.get_all(header::AUTHORIZATION).iter().filter_map(bearer);
    let in_headers = bearer.chain(headers.get_all(API_KEY).iter().map(HeaderValue::as_bytes));
    let in_query = if request.method == Method::POST { in_query(&request.query) } else { None };
    let given = in_headers.chain(in_query.as_deref().map(str::as_bytes));
    // HTTP/1.1 and HTTP/2 differ in whether they keep the blank after a scheme without a key.
    let mut given = given.filter(|key| !key.is_empty());
    let first = given.next().ok_or(Denial::NoKey)?;
    if given.any(|other| other != first) {
        return Err(Denial::SeveralKeys);
    }
    // Not the clock of --as-of: that of old data would bring expired keys back.
    let now = Clock::machine().now();
    let key = keys.current().find(first, now).map(Arc::clone).map_err(|unfit| match unfit {
        Unfit::Malformed => Denial::MalformedKey,
        Unfit::Unknown => Denial::UnknownKey,
        Unfit::Expired => Denial::ExpiredKey,
    })?;
    // An address ends up in the logs of proxies and in the history of browsers.
    if in_query.is_some() && !key.rights.only(Right::Ingest) {
        return Err(Denial::KeyInAddress);
    }
    Ok(key)
}

fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, key) = value.as_bytes().split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| key.trim_ascii())
}

fn in_query(query: &str) -> Option<String> {
    // The handler refuses a query string that cannot be read.
    let params = Params::parse_known(query, &[KEY_PARAMETER]).ok()?;
    params.one(KEY_PARAMETER).map(str::to_owned)
}

/// Whether a page of another origin made the request without naming its origin. Browsers do so when
/// they load an image or a link: the page cannot read the reply, but it learns the status.
fn is_foreign(headers: &HeaderMap) -> bool {
    let of_others = |site: &HeaderValue| site == "cross-site" || site == "same-site";
    !headers.contains_key(header::ORIGIN) && headers.get(FETCH_SITE).is_some_and(of_others)
}

/// Whether a `Host` is a name of this machine or one of `names`. A name with a dot can be pointed
/// at this machine by anybody who owns it.
fn is_here(host: &HeaderValue, names: &BTreeSet<String>) -> bool {
    let Some(host) = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()) else {
        return host.is_empty();
    };
    let name = host.host().to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    if names.contains(name) || name.ends_with(".localhost") {
        return true;
    }
    match name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        // Of these, browsers do not say whether a page of another origin calls them.
        Ok(address) => !address.is_unspecified() && address == address.to_canonical(),
        Err(_) => !name.contains(['.', '[']),
    }
}

/// Whether an `Origin` is that of the pages of this `host`.
fn is_host(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Origin>().ok());
    let host = host.and_then(|host| host.to_str().ok());
    origin.zip(host).is_some_and(|(origin, host)| origin.has_host(host))
}

fn is_allowed(origin: &HeaderValue, allowed: &[AllowedOrigin]) -> bool {
    origin.to_str().is_ok_and(|origin| allowed.iter().any(|allowed| allowed.allows(origin)))
}

#[cfg(test)]
mod tests;
