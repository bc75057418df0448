//! Addresses of listeners, as they are written on the command line and in configuration.

use std::net::{Ipv4Addr, SocketAddr};

/// Reads the address of a listener: an IP address with a port. `localhost` is 127.0.0.1 for it;
/// other names are not looked up, because what they stand for changes.
///
/// # Errors
/// What is wrong with it, with examples.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let local = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    if let Some(port) = local {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    text.parse().map_err(|_| {
        format!(
            "'{text}' is not an IP address with a port such as 127.0.0.1:8080, localhost:8080, \
             0.0.0.0:8080 or [::1]:8080"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_an_ip_and_a_port() {
        for (text, address) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("localhost:0", "127.0.0.1:0"),
            ("[::1]:7070", "[::1]:7070"),
        ] {
            assert_eq!(listen_address(text), Ok(address.parse().unwrap()));
        }
        for text in ["localhost", ":8080", "8080", "localhost:99999", "nexus.internal:80", ""] {
            let error = listen_address(text).unwrap_err();
            assert!(error.contains("such as 127.0.0.1:8080, localhost:8080"), "{error}");
        }
    }
}
