//! The id of a request, under which its client, proxies and log lines name it.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
};

use warp::http::{HeaderMap, HeaderName, HeaderValue};

/// The header of a request's id, in requests and in replies.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The length of the longest id that is taken from a client.
const LONGEST: usize = 64;

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

    /// A random id. It is not a secret, so it needs no call of the operating system: the keys of a
    /// hash are random once for each thread, and differ from one hash to the next.
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

impl From<RequestId> for HeaderValue {
    fn from(id: RequestId) -> Self {
        id.0
    }
}

/// Whether an id of a client may stand in log lines.
fn is_usable(id: &[u8]) -> bool {
    (1..=LONGEST).contains(&id.len())
        && id.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn id(given: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for id in given {
            headers.append(REQUEST_ID, HeaderValue::from_bytes(id.as_bytes()).unwrap());
        }
        RequestId::of(&headers).to_string()
    }

    #[test]
    fn a_usable_id_is_kept() {
        for given in ["a", "0", "-", "d6313e1f-Z9", &"a".repeat(64)] {
            assert_eq!(id(&[given]), given);
        }
    }

    #[test]
    fn an_unusable_id_is_replaced_by_a_usable_one() {
        for given in ["", "a b", "a_b", "a.b", "a\"b", "ä", &"a".repeat(65)] {
            let id = id(&[given]);
            assert!(id != given && is_usable(id.as_bytes()), "{given}: {id}");
        }
        let one_of_two = id(&["a", "b"]);
        assert!(!["a", "b"].contains(&one_of_two.as_str()), "{one_of_two}");
    }

    #[test]
    fn requests_without_an_id_get_different_ones() {
        let threads = [(); 4]
            .map(|()| std::thread::spawn(|| (0..1_000).map(|_| id(&[])).collect::<Vec<_>>()));
        let ids: HashSet<_> = threads.into_iter().flat_map(|ids| ids.join().unwrap()).collect();
        assert_eq!(ids.len(), 4_000);
    }
}
