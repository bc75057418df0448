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
