//! Which addresses a guest may reach (decision 21). The resolved address is checked, not the name:
//! a name that resolves to a private address is as forbidden as the address itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use crate::Mode;

/// The rule of one function.
#[derive(Clone, Debug, Default)]
pub(crate) struct Egress {
    hosts: Vec<(String, Option<u16>)>,
    networks: Vec<IpNet>,
    loopback: bool,
}

impl Egress {
    /// `allow` names hosts (`host`, `host:port`), addresses and networks. Entries that are none of
    /// these allow nothing; apply refuses them.
    pub(crate) fn new(allow: &[String], mode: Mode) -> Self {
        let mut rule = Egress { loopback: mode == Mode::Dev, ..Egress::default() };
        for entry in allow {
            if let Ok(network) = entry.parse::<IpNet>() {
                rule.networks.push(network);
            } else if let Ok(address) = entry.parse::<IpAddr>() {
                rule.networks.push(address.into());
            } else {
                let (host, port) = split_port(entry);
                rule.hosts.push((host.to_ascii_lowercase(), port));
            }
        }
        rule
    }

    /// Whether a request to `host` and `port`, which resolved to `address`, may go out.
    pub(crate) fn allows(&self, host: &str, address: SocketAddr) -> bool {
        let ip = canonical(address.ip());
        if !is_internal(ip) || self.loopback && ip.is_loopback() {
            return true;
        }
        let named = self.hosts.iter().any(|(name, port)| {
            name.eq_ignore_ascii_case(host) && port.is_none_or(|port| port == address.port())
        });
        named || self.networks.iter().any(|network| network.contains(&ip))
    }

    /// The rule for requests to one port: names that are allowed on other ports only are gone. For
    /// resolvers, which learn names without ports.
    pub(crate) fn at_port(&self, port: u16) -> Egress {
        let hosts = self.hosts.iter().filter(|(_, at)| at.is_none_or(|at| at == port));
        Egress {
            hosts: hosts.map(|(name, _)| (name.clone(), None)).collect(),
            networks: self.networks.clone(),
            loopback: self.loopback,
        }
    }

    /// Whether `entry` can stand in an allow list.
    pub(crate) fn is_entry(entry: &str) -> bool {
        let (host, port) = split_port(entry);
        let name = |host: &str| {
            !host.is_empty()
                && host.len() <= 253
                && host.split('.').all(|label| {
                    !label.is_empty()
                        && label
                            .bytes()
                            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                })
        };
        entry.parse::<IpNet>().is_ok()
            || entry.parse::<IpAddr>().is_ok()
            || name(host) && (port.is_some() || !entry.contains(':'))
    }
}

fn split_port(entry: &str) -> (&str, Option<u16>) {
    match entry.rsplit_once(':') {
        Some((host, port)) => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (entry, None),
        },
        None => (entry, None),
    }
}

/// IPv4 in IPv6 clothes (mapped, 6to4, NAT64) is judged as the IPv4 address that it reaches.
fn canonical(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    let s = v6.segments();
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        [0x2002, high, low, ..] => v4(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        _ => ip,
    }
}

/// Whether an address is no public unicast address.
fn is_internal(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => is_internal_v4(v4),
        IpAddr::V6(v6) => is_internal_v6(v6),
    }
}

fn is_internal_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    ip.is_private()
        || ip.is_loopback()
        // Link-local, with the metadata services of clouds.
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_broadcast()
        || ip.is_documentation()
        || a == 0
        // Carrier-grade NAT.
        || (a == 100 && (64..128).contains(&b))
        // IETF protocol assignments, benchmarking.
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 240
}

fn is_internal_v6(ip: Ipv6Addr) -> bool {
    let first = ip.segments()[0];
    ip.is_loopback()
        || ip.is_unspecified()
        || ip.is_multicast()
        // Unique local, link-local, site-local.
        || first & 0xfe00 == 0xfc00
        || first & 0xffc0 == 0xfe80
        || first & 0xffc0 == 0xfec0
        // Documentation; discard; Teredo, which hides an IPv4 address; IPv4-compatible.
        || (first == 0x2001 && ip.segments()[1] == 0xdb8)
        || (first == 0x100 && ip.segments()[1..4] == [0, 0, 0])
        || (first == 0x2001 && ip.segments()[1] == 0)
        || ip.segments()[..6] == [0; 6]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rule: &Egress, host: &str, address: &str, expected: bool) {
        let address = SocketAddr::new(address.parse().unwrap(), 80);
        assert_eq!(rule.allows(host, address), expected, "{host} {address}");
    }

    #[test]
    fn internal_addresses_are_denied_whatever_they_look_like() {
        let rule = Egress::new(&[], Mode::Serve);
        for denied in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "240.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001::1",
            "::7f00:1",
            "fec0::1",
        ] {
            check(&rule, "x.example", denied, false);
        }
        for allowed in ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101"] {
            check(&rule, "x.example", allowed, true);
        }
    }

    #[test]
    fn an_allow_list_names_hosts_ports_addresses_and_networks() {
        let allow = ["db.internal", "api.internal:80", "10.1.0.0/16", "192.168.7.7"];
        let rule = Egress::new(&allow.map(String::from), Mode::Serve);
        check(&rule, "db.internal", "10.9.9.9", true);
        check(&rule, "DB.internal", "127.0.0.1", true);
        check(&rule, "api.internal", "10.9.9.9", true);
        check(&rule, "other.internal", "10.9.9.9", false);
        check(&rule, "other.internal", "10.1.9.9", true);
        check(&rule, "other.internal", "192.168.7.7", true);
        let other_port = Egress::new(&["api.internal:81".to_owned()], Mode::Serve);
        check(&other_port, "api.internal", "10.9.9.9", false);
        check(&Egress::new(&[], Mode::Dev), "localhost", "127.0.0.1", true);
        check(&Egress::new(&[], Mode::Dev), "x", "10.0.0.1", false);
    }

    #[test]
    fn entries_are_checked() {
        for good in ["a", "a.b-c.d:80", "10.0.0.0/8", "::1", "fd00::/8", "1.2.3.4"] {
            assert!(Egress::is_entry(good), "{good}");
        }
        for wrong in ["", "http://a", "a/b", "a:port", "*.example.com", "a..b", "1.2.3.0/40"] {
            assert!(!Egress::is_entry(wrong), "{wrong}");
        }
    }
}
