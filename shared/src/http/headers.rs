//! The headers of every reply, and the id of every request. No header names the server or its
//! version.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    net::Ipv4Addr,
};

use warp::http::{HeaderMap, HeaderName, HeaderValue, header, uri::Authority};

/// The header of a request's id, in requests and in replies.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The length of the longest id that is taken from a client.
const LONGEST_ID: usize = 64;
/// For a year, browsers use nothing but TLS for the host of the reply.
const TLS_ONLY: &str = "max-age=31536000";

/// The headers that every reply has with the same value.
pub(super) const EVERY_REPLY: [(HeaderName, &str); 2] =
    [(header::X_CONTENT_TYPE_OPTIONS, "nosniff"), (header::REFERRER_POLICY, "no-referrer")];

/// The id of a request, which its reply and its log lines contain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id that the client gave, or a random one if it gave none, several, or an unusable one.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut given = headers.get_all(REQUEST_ID).iter();
        match (given.next(), given.next()) {
            (Some(id), None) if is_usable(id.as_bytes()) => Self(id.clone()),
            _ => Self::random(),
        }
    }

    /// A random id. It is no secret, so each one takes no call of the operating system: the keys of
    /// a hash are random once for each thread, and differ from one hash to the next.
    #[must_use]
    pub fn random() -> Self {
        Self(RandomState::new().hash_one(()).into())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never empty: every id is ASCII.
        f.write_str(self.0.to_str().unwrap_or_default())
    }
}

/// What a request decides about the headers of its reply.
#[derive(Debug)]
pub(super) struct ReplyHeaders {
    id: RequestId,
    tls_only: bool,
}

impl ReplyHeaders {
    /// For a request with these `headers`; `tls` says whether its connection is encrypted.
    pub(super) fn of(headers: &HeaderMap, tls: bool) -> Self {
        let tls_only = tls && headers.get(header::HOST).is_some_and(is_name_of_one_service);
        Self { id: RequestId::of(headers), tls_only }
    }

    /// The id of the request.
    pub(super) fn id(&self) -> &RequestId {
        &self.id
    }

    /// Completes the headers of the reply.
    pub(super) fn complete(self, reply: &mut HeaderMap) {
        reply.insert(REQUEST_ID, self.id.0);
        for (name, value) in EVERY_REPLY {
            reply.insert(name, HeaderValue::from_static(value));
        }
        if self.tls_only {
            reply.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(TLS_ONLY));
        }
    }
}

/// Whether an id of a client may stand in log lines.
fn is_usable(id: &[u8]) -> bool {
    (1..=LONGEST_ID).contains(&id.len())
        && id.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Whether a browser may remember that it reaches `host` by TLS only. It ignores ports: after one
/// TLS service on `localhost`, all others there would become unreachable.
fn is_name_of_one_service(host: &HeaderValue) -> bool {
    let Ok(authority) = Authority::try_from(host.as_bytes()) else { return false };
    let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let is_address = name.starts_with('[') || name.parse::<Ipv4Addr>().is_ok();
    !is_address && name != "localhost" && !name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn of(lines: &[(&'static str, &str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        let mut headers = HeaderMap::new();
        for (name, value) in lines.iter().map(line) {
            headers.append(name, value);
        }
        headers
    }

    fn completed(lines: &[(&'static str, &str)], tls: bool) -> HeaderMap {
        let mut reply = HeaderMap::new();
        ReplyHeaders::of(&of(lines), tls).complete(&mut reply);
        reply
    }

    #[test]
    fn a_usable_id_is_kept() {
        let longest = "a".repeat(64);
        for id in ["a", "0", "-", "d6313e1f-Z9", longest.as_str()] {
            let reply = completed(&[("x-request-id", id)], false);
            assert_eq!(reply["x-request-id"], id);
            assert_eq!(RequestId::of(&of(&[("x-request-id", id)])).to_string(), id);
        }
    }

    #[test]
    fn an_unusable_id_is_replaced_by_a_usable_one() {
        let too_long = "a".repeat(65);
        for id in ["", "a b", "a_b", "a.b", "a\"b", "ä", too_long.as_str()] {
            let reply = completed(&[("x-request-id", id)], false);
            assert_ne!(reply["x-request-id"], id);
            assert!(is_usable(reply["x-request-id"].as_bytes()), "{reply:?}");
        }
        let two = completed(&[("x-request-id", "a"), ("x-request-id", "b")], false);
        let ids: Vec<_> = two.get_all("x-request-id").iter().collect();
        assert!(ids.len() == 1 && ids[0] != "a" && ids[0] != "b", "{ids:?}");
    }

    #[test]
    fn requests_without_an_id_get_different_ones() {
        let threads = [(); 4].map(|()| {
            std::thread::spawn(|| -> Vec<_> {
                (0..1_000).map(|_| RequestId::of(&HeaderMap::new()).to_string()).collect()
            })
        });
        let ids: HashSet<_> = threads.into_iter().flat_map(|ids| ids.join().unwrap()).collect();
        assert_eq!(ids.len(), 4_000);
    }

    #[test]
    fn every_reply_forbids_to_guess_types_and_to_send_referrers() {
        let reply = completed(&[], false);
        assert_eq!(reply["x-content-type-options"], "nosniff");
        assert_eq!(reply["referrer-policy"], "no-referrer");
        assert_eq!(reply.len(), 3, "{reply:?}");
    }

    #[test]
    fn only_tls_to_a_name_of_one_service_is_for_good() {
        let is_for_good = |host: &str, tls| {
            let reply = completed(&[("host", host)], tls);
            reply.get("strict-transport-security").map(|value| value == "max-age=31536000")
        };
        for host in ["bookend.example", "bookend.example:8443", "bookend", "localhost.example"] {
            assert_eq!((is_for_good(host, true), is_for_good(host, false)), (Some(true), None));
        }
        let others = [
            "localhost",
            "LOCALHOST:8443",
            "localhost.",
            "a.localhost:1",
            "127.0.0.1:8443",
            "10.1.2.3",
            "[::1]:8443",
            "[2001:db8::1]",
            "",
            "a b",
        ];
        for host in others {
            assert_eq!(is_for_good(host, true), None, "{host}");
        }
        assert!(!completed(&[], true).contains_key("strict-transport-security"));
    }
}
