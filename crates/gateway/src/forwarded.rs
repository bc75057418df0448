//! Whom to believe about where a request came from (decision 20): forwarded headers count only
//! when the peer is a listed proxy. Everybody else's are replaced by what the connection shows, so
//! that a function can rely on them.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::server::Peer;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// Claims that only a listed proxy may make.
const CLAIMS: [HeaderName; 4] = [
    HeaderName::from_static("forwarded"),
    HOST,
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-real-ip"),
];

/// Networks of proxies that are believed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies(pub(crate) Vec<IpNet>);

impl Proxies {
    fn trusts(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&ip))
    }

    /// Makes `x-forwarded-for` and `x-forwarded-proto` true, and drops claims of strangers.
    pub(crate) fn settle(&self, peer: &Peer, headers: &mut HeaderMap) {
        let scheme = HeaderValue::from_static(if peer.secure { "https" } else { "http" });
        if self.trusts(peer.ip) {
            headers.append(FOR, peer.ip_text.clone());
            headers.entry(PROTO).or_insert(scheme);
            return;
        }
        for name in &CLAIMS {
            headers.remove(name);
        }
        headers.insert(FOR, peer.ip_text.clone());
        headers.insert(PROTO, scheme);
    }

    /// Where a request came from: the last address on its way that is no listed proxy's.
    pub(crate) fn client(&self, peer: &Peer, headers: &HeaderMap) -> IpAddr {
        if !self.trusts(peer.ip) {
            return peer.ip;
        }
        let values = headers.get_all(FOR).iter().rev().filter_map(|value| value.to_str().ok());
        let addresses = values.flat_map(|value| value.rsplit(',')).map(|at| at.trim().parse());
        for address in addresses {
            match address {
                Ok(ip) if self.trusts(ip) => {}
                Ok(ip) => return ip,
                Err(_) => break,
            }
        }
        peer.ip
    }

    /// The host that a listed proxy says the client asked for.
    pub(crate) fn host<'a>(&self, peer: &Peer, headers: &'a HeaderMap) -> Option<&'a str> {
        if !self.trusts(peer.ip) {
            return None;
        }
        headers.get(HOST)?.to_str().ok()?.split(',').next().map(str::trim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(proxies: &[&str]) -> Vec<String> {
        let proxies = Proxies(proxies.iter().map(|network| network.parse().unwrap()).collect());
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop.example"),
            ("forwarded", "for=203.0.113.9"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let peer = crate::server::test_peer([10, 0, 0, 1].into());
        let host = proxies.host(&peer, &headers).map(str::to_owned);
        proxies.settle(&peer, &mut headers);
        let mut lines: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines.extend(host.map(|host| format!("host {host}")));
        lines
    }

    #[test]
    fn strangers_cannot_claim_anything() {
        assert_eq!(
            settled(&["192.168.0.0/16"]),
            ["x-forwarded-for: 10.0.0.1", "x-forwarded-proto: http"]
        );
    }

    #[test]
    fn the_client_is_the_last_one_that_is_no_listed_proxy() {
        let proxies = Proxies(vec!["10.0.0.0/8".parse().unwrap()]);
        let client = |from: [u8; 4], claims: &[&str]| {
            let mut headers = HeaderMap::new();
            for claim in claims {
                headers.append(FOR, HeaderValue::from_str(claim).unwrap());
            }
            proxies.client(&crate::server::test_peer(from.into()), &headers).to_string()
        };
        assert_eq!(client([192, 0, 2, 1], &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(client([10, 0, 0, 1], &[]), "10.0.0.1");
        assert_eq!(client([10, 0, 0, 1], &["1.2.3.4", "203.0.113.9, 10.0.0.7"]), "203.0.113.9");
        assert_eq!(client([10, 0, 0, 1], &["1.2.3.4, unknown"]), "10.0.0.1");
    }

    #[test]
    fn listed_proxies_are_believed() {
        assert_eq!(
            settled(&["10.0.0.0/8"]),
            [
                "forwarded: for=203.0.113.9",
                "x-forwarded-for: 10.0.0.1",
                "x-forwarded-for: 203.0.113.9",
                "x-forwarded-host: shop.example",
                "x-forwarded-proto: https",
                "host shop.example",
            ]
        );
    }
}
