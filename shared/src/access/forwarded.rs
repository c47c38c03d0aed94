//! The address of a client behind proxies that are trusted to report it.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use ipnet::IpNet;

/// The networks of the proxies whose `X-Forwarded-For` counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// A text that is not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an address or a network, for example 10.0.0.0/8 or fd00::/8")]
pub struct NotANetwork;

impl TrustedProxies {
    /// Whether no proxy is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the address of the client of a request from `peer`. `lines` are the values of
    /// `X-Forwarded-For` in their order.
    ///
    /// Each proxy appends the address that it saw, so only the end of the list was written by
    /// proxies that are trusted. The client is the last address that is not one of them.
    pub fn client<'a>(
        &self,
        peer: IpAddr,
        lines: impl DoubleEndedIterator<Item = &'a [u8]>,
    ) -> IpAddr {
        let mut hop = peer.to_canonical();
        for written in lines.rev().flat_map(|line| line.rsplit(|byte| *byte == b',')) {
            if !self.trusts(hop) {
                break;
            }
            let Some(address) = address(written) else { break };
            hop = address;
        }
        hop
    }

    /// All of these proxies.
    #[must_use]
    pub fn all(lists: Vec<Self>) -> Self {
        Self(lists.into_iter().flat_map(|Self(nets)| nets).collect())
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }
}

/// Separated by commas.
impl FromStr for TrustedProxies {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        text.split(',').map(|net| network(net.trim())).collect::<Result<_, _>>().map(Self)
    }
}

/// A network, or a single address.
fn network(text: &str) -> Result<IpNet, NotANetwork> {
    let net = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address.to_canonical()),
        Err(_) => text.parse().map_err(|_| NotANetwork)?,
    };
    // A mapped network would contain nothing: addresses in it are compared as IPv4.
    if net.addr().to_canonical() == net.addr() { Ok(net) } else { Err(NotANetwork) }
}

/// Returns the address in one entry of the header: `ip`, `ip:port` or `[v6]:port`.
fn address(written: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(written).ok()?.trim_matches([' ', '\t']);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let address = text.parse::<IpAddr>().ok().or_else(with_port)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], peer: &str, lines: &[&str]) -> String {
        let lists = trusted.iter().map(|list| list.parse().unwrap()).collect();
        let proxies = TrustedProxies::all(lists);
        let lines = lines.iter().map(|line| line.as_bytes());
        proxies.client(peer.parse().unwrap(), lines).to_string()
    }

    #[test]
    fn the_client_is_the_last_address_that_no_trusted_proxy_has() {
        let two = &["10.0.0.0/8, fd00::/8"];
        for (peer, lines, expected) in [
            // Without the header, or from a peer that is not trusted, the peer is the client.
            ("10.0.0.1", &[][..], "10.0.0.1"),
            ("192.0.2.9", &["203.0.113.7"], "192.0.2.9"),
            ("10.0.0.1", &["203.0.113.7"], "203.0.113.7"),
            ("fd00::1", &["203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", &["2001:db8::7"], "2001:db8::7"),
            // The client wrote the entries before its own address.
            ("10.0.0.1", &["1.1.1.1, 203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", &["10.0.0.9, 203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", &["1.1.1.1, 203.0.113.7, 10.0.0.2"], "203.0.113.7"),
            // Lines are joined in their order.
            ("10.0.0.1", &["1.1.1.1", "203.0.113.7", "10.0.0.2"], "203.0.113.7"),
            ("10.0.0.1", &["1.1.1.1, 203.0.113.7", "10.0.0.3,10.0.0.2"], "203.0.113.7"),
            // All are trusted.
            ("10.0.0.1", &["10.0.0.4, 10.0.0.3", "10.0.0.2"], "10.0.0.4"),
            // Ports and blanks.
            ("10.0.0.1", &["203.0.113.7:4711"], "203.0.113.7"),
            ("10.0.0.1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("10.0.0.1", &["\t203.0.113.7 ,\t 10.0.0.2 "], "203.0.113.7"),
            // IPv4 in IPv6.
            ("::ffff:10.0.0.1", &["203.0.113.7"], "203.0.113.7"),
            ("::ffff:192.0.2.9", &["203.0.113.7"], "192.0.2.9"),
            ("10.0.0.1", &["203.0.113.7, ::ffff:10.0.0.2"], "203.0.113.7"),
            ("10.0.0.1", &["::ffff:203.0.113.7"], "203.0.113.7"),
            ("10.0.0.1", &["[::ffff:203.0.113.7]:80"], "203.0.113.7"),
            // Anything else ends the walk at the last trusted hop.
            ("10.0.0.1", &["203.0.113.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.7, _hidden, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["203.0.113.7, "], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.7", ""], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.7,,10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["[2001:db8::7]"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.7:port"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.7:65536"], "10.0.0.1"),
            ("10.0.0.1", &["for=203.0.113.7"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.07"], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.7\u{a0}"], "10.0.0.1"),
        ] {
            assert_eq!(client(two, peer, lines), expected, "{peer} {lines:?}");
        }
        assert_eq!(client(&[], "10.0.0.1", &["203.0.113.7"]), "10.0.0.1");
        let no_text = [&b"203.0.113.7, \xff"[..]];
        let proxies: TrustedProxies = "10.0.0.0/8".parse().unwrap();
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        assert_eq!(proxies.client(peer, no_text.into_iter()), peer);
    }

    #[test]
    fn a_single_proxy_is_given_by_its_address() {
        for trusted in ["10.0.0.1", "10.0.0.1/32", "::ffff:10.0.0.1"] {
            assert_eq!(client(&[trusted], "10.0.0.1", &["203.0.113.7"]), "203.0.113.7");
            assert_eq!(client(&[trusted], "10.0.0.2", &["203.0.113.7"]), "10.0.0.2");
        }
    }

    #[test]
    fn several_lists_are_one() {
        let trusted = ["10.0.0.1", "10.0.0.2,10.0.0.3"];
        assert_eq!(
            client(&trusted, "10.0.0.1", &["203.0.113.7, 10.0.0.3, 10.0.0.2"]),
            "203.0.113.7"
        );
    }

    #[test]
    fn what_is_no_network_is_a_mistake() {
        for wrong in [
            "",
            "10.0.0.0/8,",
            "10.0.0.0/33",
            "10.0.0/8",
            "proxy.example",
            "*",
            "::ffff:10.0.0.0/104",
        ] {
            assert_eq!(wrong.parse::<TrustedProxies>(), Err(NotANetwork), "{wrong}");
        }
    }
}
