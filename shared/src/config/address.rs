//! An address to listen on.

use std::{
    net::{Ipv6Addr, SocketAddr, ToSocketAddrs},
    str::FromStr,
};

const EXPECTED: &str = "expected ADDRESS:PORT, for example 127.0.0.1:5000";

/// An address to listen on: `127.0.0.1:5000`, `[::1]:5000`, `localhost:5000`, or `:5000` for every
/// address of the machine. A name means its first address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress(pub SocketAddr);

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self(address));
        }
        let (name, port) = text.rsplit_once(':').ok_or(EXPECTED)?;
        let port: u16 = port.parse().map_err(|_| EXPECTED)?;
        if name.is_empty() {
            return Ok(Self((Ipv6Addr::UNSPECIFIED, port).into()));
        }
        // An IPv6 address without brackets, or a URL.
        if name.contains([':', '/', '[', ' ']) {
            return Err(EXPECTED.to_owned());
        }
        let mut found =
            (name, port).to_socket_addrs().map_err(|cause| format!("{name:?}: {cause}"))?;
        found.next().map(Self).ok_or_else(|| format!("{name:?} has no address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, String> {
        text.parse().map(|ListenAddress(address)| address.to_string())
    }

    #[test]
    fn an_address_a_name_or_a_port_alone_is_an_address_to_listen_on() {
        assert_eq!(parsed("127.0.0.1:5000").unwrap(), "127.0.0.1:5000");
        assert_eq!(parsed("[::1]:5000").unwrap(), "[::1]:5000");
        assert_eq!(parsed(":6200").unwrap(), "[::]:6200");
        let ListenAddress(local) = "localhost:6200".parse().unwrap();
        assert!(local.ip().is_loopback() && local.port() == 6200, "{local}");
    }

    #[test]
    fn anything_else_says_what_was_expected() {
        for text in
            ["", "5000", "localhost", "localhost:http", "::1:5000", "http://a:5000", ":", ":70000"]
        {
            assert_eq!(parsed(text).unwrap_err(), EXPECTED, "{text}");
        }
        let unknown = parsed("no-such-host.invalid:1").unwrap_err();
        assert!(unknown.starts_with("\"no-such-host.invalid\": "), "{unknown}");
    }
}
