//! The origin of a web page: `scheme://host[:port]`, as browsers send it in the header `Origin`.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Serialize, Serializer};

/// An origin in the only spelling that browsers use: lower case, without the default port.
///
/// So two origins are equal if and only if their texts are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin(String);

/// The origins that may use a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AllowedOrigin {
    /// Every origin: `*`.
    Any,
    /// One origin.
    One(Origin),
}

/// Why a text is not an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnOrigin {
    /// `null`, which browsers send for every page without an origin of its own.
    #[error("`null` is the origin of every file and sandboxed page, so it cannot be allowed")]
    Null,
    /// There is no `scheme://`.
    #[error("expected scheme://host or scheme://host:port, for example https://game.example")]
    Form,
    /// It has upper-case letters.
    #[error("expected lower case, as browsers send it")]
    UpperCase,
    /// A user name or a password.
    #[error("an origin has no user name and no password")]
    UserInfo,
    /// A path, a query or a fragment; also a `/` at the end.
    #[error("an origin ends after the host or port; remove the path, also a single /")]
    Path,
    /// The host is empty, or not spelled as browsers spell it.
    #[error("expected a host name in ASCII (xn--…) or an IP address in its shortest form")]
    Host,
    /// Not a port.
    #[error("expected a port from 1 to 65535")]
    Port,
    /// `:443` of https or `:80` of http.
    #[error("browsers do not send the default port; remove it")]
    DefaultPort,
}

impl Origin {
    /// The text, as a browser sends it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `host`, a `Host` header or an `:authority`, has the same host and port.
    #[must_use]
    pub fn has_host(&self, host: &str) -> bool {
        let Some((scheme, own)) = self.0.split_once("://") else { return false };
        let is_own = |host: &str| host.eq_ignore_ascii_case(own);
        let without_default = default_port(scheme).and_then(|port| host.strip_suffix(port));
        is_own(host) || without_default.is_some_and(is_own)
    }
}

impl AllowedOrigin {
    /// Whether it allows a page with the `Origin` header `given`.
    #[must_use]
    pub fn allows(&self, given: &str) -> bool {
        match self {
            Self::Any => true,
            Self::One(origin) => origin.as_str() == given,
        }
    }
}

impl FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        if text.eq_ignore_ascii_case("null") {
            return Err(NotAnOrigin::Null);
        }
        let (scheme, rest) = text.split_once("://").ok_or(NotAnOrigin::Form)?;
        if text.contains(|letter: char| letter.is_ascii_uppercase()) {
            return Err(NotAnOrigin::UpperCase);
        }
        let is_scheme = scheme.starts_with(|letter: char| letter.is_ascii_lowercase())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if !is_scheme {
            return Err(NotAnOrigin::Form);
        }
        if rest.contains(['/', '?', '#', '\\']) {
            return Err(NotAnOrigin::Path);
        }
        if rest.contains('@') {
            return Err(NotAnOrigin::UserInfo);
        }
        let host_end =
            if rest.starts_with('[') { rest.find(']').map_or(0, |at| at + 1) } else { 0 };
        let (host, port) = match rest[host_end..].find(':') {
            Some(colon) => rest.split_at(host_end + colon),
            None => (rest, ""),
        };
        if !is_host(host) {
            return Err(NotAnOrigin::Host);
        }
        if !port.is_empty() {
            if default_port(scheme) == Some(port) {
                return Err(NotAnOrigin::DefaultPort);
            }
            let digits = &port[1..];
            let number = digits.parse::<u16>().ok().filter(|number| *number > 0);
            // Without leading zeros and signs.
            number.filter(|number| number.to_string() == digits).ok_or(NotAnOrigin::Port)?;
        }
        Ok(Self(text.to_owned()))
    }
}

/// The port, with its colon, that browsers leave out.
fn default_port(scheme: &str) -> Option<&'static str> {
    match scheme {
        "http" | "ws" => Some(":80"),
        "https" | "wss" => Some(":443"),
        _ => None,
    }
}

/// Whether `host` is a name or an address as browsers write it.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']');
        return address.is_some_and(is_canonical::<Ipv6Addr>);
    }
    // A name whose last label is a number is an IPv4 address to a browser.
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return is_canonical::<Ipv4Addr>(host);
    }
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

/// Whether `text` is the shortest text of an address.
fn is_canonical<A: FromStr + fmt::Display>(text: &str) -> bool {
    text.parse::<A>().is_ok_and(|address| address.to_string() == text)
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for AllowedOrigin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        if text == "*" { Ok(Self::Any) } else { text.parse().map(Self::One) }
    }
}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.pad("*"),
            Self::One(origin) => origin.fmt(f),
        }
    }
}

impl Serialize for AllowedOrigin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_browsers_send_is_an_origin() {
        for text in [
            "https://game.example",
            "http://localhost:3000",
            "http://127.0.0.1:8080",
            "http://[::1]:8080",
            "https://[2001:db8::1]",
            "https://xn--bcher-kva.example:8443",
            "https://under_score.example",
            "http://game.example:443",
            "https://game.example.",
            "capacitor://localhost",
            "chrome-extension://abcdefghijklmnop",
        ] {
            let origin: Origin = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(origin.to_string(), text);
            assert!(AllowedOrigin::One(origin).allows(text));
        }
    }

    #[test]
    fn what_no_browser_sends_is_a_mistake_with_its_cause() {
        use NotAnOrigin::{DefaultPort, Form, Host, Null, Path, Port, UpperCase, UserInfo};
        for (text, cause) in [
            ("null", Null),
            ("NULL", Null),
            ("", Form),
            ("*", Form),
            ("game.example", Form),
            ("//game.example", Form),
            ("://game.example", Form),
            ("1a://game.example", Form),
            ("https:game.example", Form),
            ("https://Game.example", UpperCase),
            ("HTTPS://game.example", UpperCase),
            ("https://me:secret@game.example", UserInfo),
            ("https://game.example/", Path),
            ("https://game.example/play", Path),
            ("https://game.example?a", Path),
            ("https://game.example#a", Path),
            ("https://", Host),
            ("https://:8443", Host),
            ("https://game .example", Host),
            ("https://*.example", Host),
            ("https://bücher.example", Host),
            ("https://[::1", Host),
            ("https://[::0001]", Host),
            ("https://[::1]x", Host),
            ("https://127.1", Host),
            ("https://127.0.0.01", Host),
            ("https://game.example:", Port),
            ("https://game.example:0", Port),
            ("https://game.example:65536", Port),
            ("https://game.example:+80", Port),
            ("https://game.example:080", Port),
            ("https://game.example:443", DefaultPort),
            ("http://game.example:80", DefaultPort),
            ("http://[::1]:80", DefaultPort),
        ] {
            assert_eq!(text.parse::<Origin>(), Err(cause), "{text}");
        }
    }

    #[test]
    fn the_host_of_a_request_may_be_that_of_its_origin() {
        for (origin, host, same) in [
            ("http://localhost:5000", "localhost:5000", true),
            ("http://localhost:5000", "LOCALHOST:5000", true),
            ("http://localhost:5000", "localhost", false),
            ("http://localhost", "localhost", true),
            ("http://localhost", "localhost:80", true),
            ("http://localhost", "localhost:443", false),
            ("https://game.example", "game.example:443", true),
            ("https://game.example", "game.example:80", false),
            ("https://game.example", "game.example.evil", false),
            ("http://[::1]:5000", "[::1]:5000", true),
            ("http://game.example", "", false),
        ] {
            assert_eq!(origin.parse::<Origin>().unwrap().has_host(host), same, "{origin} {host}");
        }
    }

    #[test]
    fn any_origin_is_written_as_a_star() {
        let any: AllowedOrigin = "*".parse().unwrap();
        assert!(any.allows("https://game.example") && any.allows("null"));
        assert_eq!(any.to_string(), "*");
        let one: AllowedOrigin = "https://game.example".parse().unwrap();
        assert!(!one.allows("https://game.example:8443") && !one.allows("null"));
    }
}
