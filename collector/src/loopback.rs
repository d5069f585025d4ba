//! Which names are of this machine only. Pages in a browser may ask for or come from any other.

use std::net::IpAddr;

/// Whether `host`, with or without a port, is a name or an address of this machine only.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = without_port(host);
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Whether `host`, with or without a port, is an address: what no page can give another meaning.
pub(crate) fn is_address(host: &str) -> bool {
    without_port(host).parse::<IpAddr>().is_ok()
}

fn without_port(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_pass() {
        for host in ["localhost", "LOCALHOST:4319", "127.0.0.1:1", "127.9.9.9", "[::1]", "[::1]:4319"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", ":80", "evil.test", "localhost.evil.test", "127.0.0.1.evil.test", "["] {
            assert!(!is_loopback(host) && !is_address(host), "{host}");
        }
        for host in ["10.0.0.1", "[::2]:1"] {
            assert!(!is_loopback(host) && is_address(host), "{host}");
        }
    }
}
