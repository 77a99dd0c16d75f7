//! The HTTP client that requests to chains go through.

use std::time::Duration;

use alloy::transports::http::reqwest::{Client, Error, Url, redirect::Policy};

/// A client for one endpoint, whose requests end after `timeout`.
///
/// A proxy of the environment could not reach the local interface, so it is not asked to. Redirects are refused: an endpoint that
/// moves is to be named anew.
///
/// # Errors
///
/// For `https`, a system without root certificates.
pub(super) fn client(url: &Url, timeout: Duration) -> Result<Client, Error> {
    // Fails only where a provider has been installed before, which then is the one to use.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder().timeout(timeout).redirect(Policy::none());
    if is_local(url) {
        builder = builder.no_proxy();
    }
    if url.scheme() != "https" {
        // The system's certificates are not looked for where none is needed.
        builder = builder.tls_certs_only([]);
    }
    builder.build()
}

/// Whether an endpoint is on this machine.
fn is_local(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_endpoints_are_told_apart() {
        for (url, local) in [
            ("http://localhost:8545", true),
            ("http://127.0.0.1:8545/", true),
            ("http://127.8.9.1", true),
            ("http://[::1]:8545", true),
            ("https://localhost.example.org", false),
            ("http://10.0.0.1:8545", false),
        ] {
            assert_eq!(is_local(&url.parse().unwrap()), local, "{url}");
        }
    }

    #[test]
    fn both_schemes_have_a_client() {
        for url in ["http://127.0.0.1:1", "https://node.example.org"] {
            client(&url.parse().unwrap(), Duration::from_secs(1)).unwrap();
        }
    }
}
