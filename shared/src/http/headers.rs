//! The headers of every reply. None names the server or its version.

use std::net::Ipv4Addr;

use warp::http::{HeaderMap, HeaderValue, header, uri::Authority};

use super::id::{REQUEST_ID, RequestId};

/// For a year, browsers use nothing but TLS for the host of the reply.
const TLS_ONLY: &str = "max-age=31536000";

/// What a request decides about the headers of its reply.
#[derive(Debug)]
pub(super) struct ReplyHeaders {
    id: RequestId,
    tls_only: bool,
}

impl ReplyHeaders {
    /// For a request with this `id` and these `headers`; `tls` says whether its connection is
    /// encrypted.
    pub(super) fn of(id: &RequestId, headers: &HeaderMap, tls: bool) -> Self {
        let tls_only = tls && headers.get(header::HOST).is_some_and(is_name_of_one_service);
        Self { id: id.clone(), tls_only }
    }

    /// Completes the headers of the reply.
    pub(super) fn complete(self, reply: &mut HeaderMap) {
        reply.insert(REQUEST_ID, self.id.into());
        reply.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        reply.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        if self.tls_only {
            let tls_only = HeaderValue::from_static(TLS_ONLY);
            reply.insert(header::STRICT_TRANSPORT_SECURITY, tls_only);
        }
    }
}

/// Completes the headers of a refusal that no route and no gate decided.
pub(super) fn of_a_refusal(request: &HeaderMap, tls: bool, reply: &mut HeaderMap) {
    ReplyHeaders::of(&RequestId::of(request), request, tls).complete(reply);
    reply.insert(header::VARY, header::ORIGIN.into());
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
    use super::*;

    fn completed(host: Option<&'static str>, tls: bool) -> HeaderMap {
        let host = host.map(|host| (header::HOST, HeaderValue::from_static(host)));
        let headers = HeaderMap::from_iter(host);
        let mut reply = HeaderMap::new();
        ReplyHeaders::of(&RequestId::random(), &headers, tls).complete(&mut reply);
        reply
    }

    #[test]
    fn every_reply_forbids_to_guess_types_and_to_send_referrers() {
        let reply = completed(None, false);
        assert_eq!(reply["x-content-type-options"], "nosniff");
        assert_eq!(reply["referrer-policy"], "no-referrer");
        assert_eq!(reply.len(), 3, "{reply:?}");
    }

    #[test]
    fn only_tls_to_a_name_of_one_service_is_for_good() {
        let is_for_good = |host: &'static str, tls| {
            let reply = completed(Some(host), tls);
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
        assert!(!completed(None, true).contains_key("strict-transport-security"));
    }
}
