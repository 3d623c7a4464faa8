//! The flags of `up` and its relatives.

use crate::fault::Fault;
use bodega_stack::local_folder;
use bodega_stack::shop::{DEFAULT_BASE, EDGES_MAX, Ports};
use clap::{Args, value_parser};
use std::path::PathBuf;

/// Flags of `up`.
#[derive(Debug, Args)]
#[command(after_help = "\
What happens: Postgres, NATS and Redis are taken from this machine or fetched into
.local/tools; the core, the edge and its host are built; everything is started on 127.0.0.1,
the database is migrated and the demo shop put in. At the end a card shows addresses and
logins. Ctrl-C closes the shop; the next `up` finds its data again.

Examples:
  cargo xtask up                        open the shop at http://127.0.0.1:8080
  cargo xtask up --edges 2 --cloudflare two embedded edges and one in Cloudflare's workerd
  cargo xtask up --port-base 9000       the same shop at 9080, beside another one
  cargo xtask up --fresh                forget all data first
  cargo xtask up --detach               return when it is open; `cargo xtask down` closes it

Logs are in .local/logs, the generated configuration in .local/bodega.toml, secrets in
.local/secrets.toml. When something is wrong:
  target/debug/bodega doctor --config .local/bodega.toml")]
pub(crate) struct Flags {
    /// Embedded edges to run, 0 to 9
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = value_parser!(u16).range(0..=i64::from(EDGES_MAX)))]
    pub(super) edges: u16,
    /// Run the storefront in Cloudflare's workerd too (needs node and npm)
    #[arg(long)]
    pub(super) cloudflare: bool,
    /// Delete the data of earlier runs first
    #[arg(long)]
    pub(super) fresh: bool,
    /// Return when the shop is open and leave it running
    #[arg(long)]
    pub(super) detach: bool,
    /// Start what was built before, without asking cargo
    #[arg(long)]
    pub(super) prebuilt: bool,
    /// Start with an empty shop: no demo products
    #[arg(long)]
    pub(super) no_seed: bool,
    #[command(flatten)]
    pub(super) state: StateFlag,
    #[command(flatten)]
    pub(super) ports: PortFlags,
}

/// Which shop.
#[derive(Debug, Args)]
pub(crate) struct StateFlag {
    /// Folder of the shop's data, logs and configuration [default: .local]
    #[arg(long, value_name = "FOLDER", env = "BODEGA_STATE")]
    state: Option<PathBuf>,
}

impl StateFlag {
    /// The folder, absolute.
    pub(super) fn folder(&self) -> Result<PathBuf, Fault> {
        match &self.state {
            None => Ok(local_folder()),
            Some(folder) => std::path::absolute(folder).map_err(Fault::file(folder)),
        }
    }
}

/// Where to listen. Each can also be a variable, for instance `BODEGA_PORT_EDGE`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Ports, all on 127.0.0.1")]
pub(crate) struct PortFlags {
    /// Move every port: 9000 puts the storefront on 9080, the gateway on 9090 …
    #[arg(long, value_name = "BASE", env = "BODEGA_PORT_BASE", default_value_t = DEFAULT_BASE, value_parser = value_parser!(u16).range(1024..=64000))]
    port_base: u16,
    /// Take free ports for everything
    #[arg(long, conflicts_with = "port_base")]
    free_ports: bool,
    /// Storefront [default: 8080]; further edges follow
    #[arg(long, value_name = "PORT", env = "BODEGA_PORT_EDGE")]
    edge_port: Option<u16>,
    /// Gateway, dashboard, webhooks [default: 8090]
    #[arg(long, value_name = "PORT", env = "BODEGA_PORT_GATEWAY")]
    gateway_port: Option<u16>,
    /// Metrics and readiness of the core [default: 8091]
    #[arg(long, value_name = "PORT", env = "BODEGA_PORT_METRICS")]
    metrics_port: Option<u16>,
    /// Payment simulator [default: 8095]
    #[arg(long, value_name = "PORT", env = "BODEGA_PORT_SIMULATOR")]
    simulator_port: Option<u16>,
    /// Page of the mail catcher [default: 8025]
    #[arg(long, value_name = "PORT", env = "BODEGA_PORT_MAIL_CATCHER")]
    mail_catcher_port: Option<u16>,
    /// SMTP of the mail catcher [default: 1025; moved: 26 above the base]
    #[arg(long, value_name = "PORT", env = "BODEGA_PORT_SMTP")]
    smtp_port: Option<u16>,
    /// Metrics of the first edge [default: 8180]; further edges follow
    #[arg(long, value_name = "PORT", env = "BODEGA_PORT_EDGE_METRICS")]
    edge_metrics_port: Option<u16>,
    /// Storefront in workerd [default: 8790]
    #[arg(long, value_name = "PORT", env = "BODEGA_PORT_CLOUDFLARE")]
    cloudflare_port: Option<u16>,
    /// Postgres [default: 8432]
    #[arg(long, value_name = "PORT", env = "BODEGA_PORT_POSTGRES")]
    postgres_port: Option<u16>,
    /// NATS [default: 8422]
    #[arg(long, value_name = "PORT", env = "BODEGA_PORT_NATS")]
    nats_port: Option<u16>,
    /// Monitoring of NATS [default: 8423]
    #[arg(long, value_name = "PORT", env = "BODEGA_PORT_NATS_MONITOR")]
    nats_monitor_port: Option<u16>,
    /// Redis [default: 8379]
    #[arg(long, value_name = "PORT", env = "BODEGA_PORT_REDIS")]
    redis_port: Option<u16>,
}

impl PortFlags {
    /// The ports that these flags ask for.
    pub(super) fn ports(&self) -> Result<Ports, Fault> {
        let mut ports = if self.free_ports {
            Ports::free().map_err(|error| Fault::Plain(format!("no free ports: {error}")))?
        } else {
            Ports::from_base(self.port_base)
        };
        for (place, wanted) in [
            (&mut ports.edge, self.edge_port),
            (&mut ports.gateway, self.gateway_port),
            (&mut ports.metrics, self.metrics_port),
            (&mut ports.simulator, self.simulator_port),
            (&mut ports.mail_catcher, self.mail_catcher_port),
            (&mut ports.smtp, self.smtp_port),
            (&mut ports.edge_metrics, self.edge_metrics_port),
            (&mut ports.cloudflare, self.cloudflare_port),
            (&mut ports.postgres, self.postgres_port),
            (&mut ports.nats, self.nats_port),
            (&mut ports.nats_monitor, self.nats_monitor_port),
            (&mut ports.redis, self.redis_port),
        ] {
            if let Some(port) = wanted {
                *place = port;
            }
        }
        Ok(ports)
    }
}

/// Flags of `down`.
#[derive(Debug, Args)]
pub(crate) struct DownFlags {
    #[command(flatten)]
    pub(super) state: StateFlag,
}

/// Flags of `seed`.
#[derive(Debug, Args)]
pub(crate) struct SeedFlags {
    /// Make a large catalogue of this many products beside the demo shop
    #[arg(long, value_name = "N")]
    pub(super) products: Option<u64>,
    #[command(flatten)]
    pub(super) state: StateFlag,
}

/// Flags of `nats-config`.
#[derive(Debug, Args)]
pub(crate) struct NatsConfigFlags {
    /// Edges that get a credential
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = value_parser!(u16).range(0..=999))]
    pub(super) edges: u16,
    /// Folder that gets nats.conf and secrets.toml
    #[arg(long, value_name = "FOLDER")]
    pub(super) out: PathBuf,
}
