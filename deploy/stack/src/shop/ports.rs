//! Where everything listens.

use crate::{StackError, port};
use std::io;

/// How many edges have ports set aside.
pub const EDGES_MAX: u16 = 9;

/// Every port of a shop, all on 127.0.0.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    /// The first embedded edge; further ones follow.
    pub edge: u16,
    /// The gateway.
    pub gateway: u16,
    /// Metrics and readiness of the core.
    pub metrics: u16,
    /// The payment simulator.
    pub simulator: u16,
    /// The page of the mail catcher.
    pub mail_catcher: u16,
    /// Where the mail catcher takes mail.
    pub smtp: u16,
    /// The storefront in workerd.
    pub cloudflare: u16,
    /// Postgres.
    pub postgres: u16,
    /// NATS.
    pub nats: u16,
    /// Monitoring of NATS.
    pub nats_monitor: u16,
    /// Redis.
    pub redis: u16,
    /// Metrics of the first embedded edge; further ones follow.
    pub edge_metrics: u16,
}

/// The ports of a shop, at fixed distances from one number: the storefront of base 8000 is 8080.
pub const DEFAULT_BASE: u16 = 8000;

impl Ports {
    /// The default ports moved by `base - 8000`.
    #[must_use]
    pub fn from_base(base: u16) -> Self {
        let at = |distance: u16| base.saturating_add(distance);
        Self {
            edge: at(80),
            gateway: at(90),
            metrics: at(91),
            simulator: at(95),
            mail_catcher: at(25),
            // Where everybody expects a mail catcher; that of a moved shop is beside its page.
            smtp: if base == DEFAULT_BASE { 1025 } else { at(26) },
            cloudflare: at(790),
            postgres: at(432),
            nats: at(422),
            nats_monitor: at(423),
            redis: at(379),
            edge_metrics: at(180),
        }
    }

    /// Ports that nobody uses now.
    ///
    /// # Errors
    /// When the system has none.
    pub fn free() -> io::Result<Self> {
        let (edge, edge_metrics) = (free_run()?, free_run()?);
        // All listeners are held until every port is known, so that no port is handed out twice.
        let held: Vec<_> = (0..10).map(|_| port::bind_free()).collect::<io::Result<_>>()?;
        let mut ports = held.iter().map(|held| held.local_addr().map(|address| address.port()));
        let mut next = || ports.next().unwrap_or_else(|| Err(io::ErrorKind::AddrNotAvailable.into()));
        Ok(Self {
            edge,
            gateway: next()?,
            metrics: next()?,
            simulator: next()?,
            mail_catcher: next()?,
            smtp: next()?,
            cloudflare: next()?,
            postgres: next()?,
            nats: next()?,
            nats_monitor: next()?,
            redis: next()?,
            edge_metrics,
        })
    }

    /// Says which port is taken, and by which flag it is moved.
    ///
    /// # Errors
    /// [`StackError::PortTaken`].
    pub fn must_be_free(&self, edges: u16, cloudflare: bool) -> Result<(), StackError> {
        let mut wanted = vec![
            ("Postgres".to_owned(), self.postgres, "--postgres-port"),
            ("NATS".to_owned(), self.nats, "--nats-port"),
            ("the monitoring of NATS".to_owned(), self.nats_monitor, "--nats-monitor-port"),
            ("Redis".to_owned(), self.redis, "--redis-port"),
            ("the gateway".to_owned(), self.gateway, "--gateway-port"),
            ("metrics of the core".to_owned(), self.metrics, "--metrics-port"),
            ("the payment simulator".to_owned(), self.simulator, "--simulator-port"),
            ("the mail catcher".to_owned(), self.mail_catcher, "--mail-catcher-port"),
            ("SMTP of the mail catcher".to_owned(), self.smtp, "--smtp-port"),
        ];
        for edge in 0..edges {
            wanted.push((format!("edge {}", edge + 1), self.edge.saturating_add(edge), "--edge-port"));
            let metrics = self.edge_metrics.saturating_add(edge);
            wanted.push((format!("metrics of edge {}", edge + 1), metrics, "--edge-metrics-port"));
        }
        if cloudflare {
            wanted.push(("the edge in workerd".to_owned(), self.cloudflare, "--cloudflare-port"));
        }
        match wanted.into_iter().find(|(_, port, _)| port::is_taken(*port)) {
            Some((name, port, flag)) => {
                let flag = format!("{flag} <PORT>, or move all with --port-base <BASE>");
                Err(StackError::PortTaken { name, port, flag })
            }
            None => Ok(()),
        }
    }
}

/// The first of [`EDGES_MAX`] free ports in a row.
fn free_run() -> io::Result<u16> {
    for _ in 0..100 {
        let first = crate::free_port()?;
        if first < u16::MAX - EDGES_MAX && (0..EDGES_MAX).all(|next| !port::is_taken(first + next)) {
            return Ok(first);
        }
    }
    Err(io::ErrorKind::AddrNotAvailable.into())
}

#[cfg(test)]
mod tests {
    use super::Ports;
    use crate::StackError;

    #[test]
    fn the_documented_addresses_are_the_default() {
        let ports = Ports::from_base(super::DEFAULT_BASE);
        let listed = (ports.edge, ports.cloudflare, ports.gateway, ports.simulator, ports.mail_catcher, ports.smtp);
        assert_eq!(listed, (8080, 8790, 8090, 8095, 8025, 1025));
    }

    #[test]
    fn a_taken_port_is_named_with_the_flag_that_moves_it() -> std::io::Result<()> {
        let mut ports = Ports::free()?;
        let neighbour = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        ports.nats = neighbour.local_addr()?.port();
        let refusal = ports.must_be_free(1, false);
        let Err(error @ StackError::PortTaken { .. }) = refusal else { panic!("{refusal:?}") };
        let text = error.to_string();
        assert!(text.contains("NATS") && text.contains("--nats-port") && text.lines().count() == 1, "{text}");
        Ok(())
    }
}
