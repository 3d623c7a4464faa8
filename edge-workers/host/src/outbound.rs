//! The one address that the component may connect to: that of NATS.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, RwLock};
use std::time::Duration;

/// Default port of NATS.
const NATS_PORT: u16 = 4222;
/// How often a name is looked up again: a server that moved is reached after this.
const LOOKUP_INTERVAL: Duration = Duration::from_secs(10);

/// Why `nats_url` cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`nats_url` must be nats://HOST[:PORT], not `{0}`")]
pub(crate) struct UrlError(String);

/// Addresses that NATS has now.
#[derive(Clone, Default)]
pub(crate) struct Allowed(Arc<RwLock<HashSet<SocketAddr>>>);

/// Host and port of a NATS server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    host: String,
    port: u16,
}

impl Server {
    /// Parses `nats://host:port`, `host:port` or `host`; credentials are variables of their own, never part of the URL.
    pub(crate) fn parse(url: &str) -> Result<Self, UrlError> {
        let wrong = || UrlError(url.to_owned());
        let authority = url.strip_prefix("nats://").unwrap_or(url).trim_end_matches('/');
        if authority.is_empty() || authority.contains(['/', '@', ' ', ',']) {
            return Err(wrong());
        }
        if let Ok(address) = authority.parse::<SocketAddr>() {
            return Ok(Self { host: address.ip().to_string(), port: address.port() });
        }
        match authority.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && !host.contains(':') => {
                Ok(Self { host: host.to_owned(), port: port.parse().map_err(|_| wrong())? })
            }
            Some(_) => Err(wrong()),
            None => Ok(Self { host: authority.to_owned(), port: NATS_PORT }),
        }
    }

    /// Whether the component has to look the name up.
    pub(crate) fn is_name(&self) -> bool {
        self.host.parse::<IpAddr>().is_err()
    }

    async fn lookup(&self) -> std::io::Result<HashSet<SocketAddr>> {
        Ok(tokio::net::lookup_host((self.host.as_str(), self.port)).await?.collect())
    }
}

impl Allowed {
    /// Whether a connection to `address` is allowed.
    pub(crate) fn contains(&self, address: &SocketAddr) -> bool {
        self.0.read().is_ok_and(|addresses| addresses.contains(address))
    }

    /// Looks `server` up, once for a number and again and again for a name.
    pub(crate) async fn follow(self, server: Server) {
        loop {
            match server.lookup().await {
                Ok(found) => {
                    if let Ok(mut addresses) = self.0.write() {
                        *addresses = found;
                    }
                    if !server.is_name() {
                        return;
                    }
                }
                Err(error) => tracing::warn!(%error, host = %server.host, "the name of NATS was not found"),
            }
            tokio::time::sleep(LOOKUP_INTERVAL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_name_or_a_number_with_or_without_a_port() {
        let server = |host: &str, port| Server { host: host.into(), port };
        assert_eq!(Server::parse("nats://127.0.0.1:4333").unwrap(), server("127.0.0.1", 4333));
        assert_eq!(Server::parse("nats.shop.example").unwrap(), server("nats.shop.example", 4222));
        assert_eq!(Server::parse("nats://[::1]:4222/").unwrap(), server("::1", 4222));
        assert!(Server::parse("nats://nats.shop.example").unwrap().is_name());
        for wrong in ["", "nats://", "nats://user:pass@h:1", "nats://a,b", "::1", "h:x"] {
            assert!(Server::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn only_the_address_of_the_server_is_allowed() {
        let allowed = Allowed::default();
        allowed.clone().follow(Server::parse("nats://127.0.0.1:4333").unwrap()).await;
        assert!(allowed.contains(&SocketAddr::from(([127, 0, 0, 1], 4333))));
        assert!(!allowed.contains(&SocketAddr::from(([127, 0, 0, 1], 5432))));
        assert!(!allowed.contains(&SocketAddr::from(([127, 0, 0, 2], 4333))));
    }
}
