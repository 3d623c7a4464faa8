//! The files that the processes of a shop read: `bodega.toml`, `edge-<n>.toml`, `nats.conf`.

use super::bus::{Credential, Permissions, server_configuration};
use super::secrets::{Secrets, write_private};
use super::{Ports, ShopOptions, edge_name};
use crate::StackError;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Names of the keys within [`Secrets`].
const GUEST: &str = "guest";
const QUOTE: &str = "quote";
const ORDER_LINK: &str = "order_link";
const IDENTITY: &str = "identity";
const REPLICATION: &str = "replication";
const SIMULATOR_KEY: &str = "simulator_api_key";
const SIMULATOR_WEBHOOK: &str = "simulator_webhook";
const DATABASE: &str = "database";
const DATABASE_ADMIN: &str = "database_admin";

/// One key of each ring is enough for a shop that rotates none.
const KEY_ID: &str = "local";

/// Where the files of one shop are, and what is in them.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    ports: Ports,
    secrets: Secrets,
    permissions: Permissions,
}

impl Files {
    /// Opens the folder of a shop.
    ///
    /// # Errors
    /// When the folder, its secrets or the list of permissions cannot be read.
    pub fn open(folder: &Path, workspace: &Path, ports: &Ports) -> Result<Self, StackError> {
        std::fs::create_dir_all(folder).map_err(StackError::file("cannot create", folder))?;
        let secrets = Secrets::open(&folder.join("secrets.toml"))?;
        let list = workspace.join("deploy/nats/permissions.toml");
        let text = std::fs::read_to_string(&list).map_err(StackError::file("cannot read", &list))?;
        let permissions = Permissions::parse(&text)
            .map_err(|error| StackError::file("cannot understand", &list)(std::io::Error::other(error)))?;
        Ok(Self { folder: folder.to_path_buf(), ports: ports.clone(), secrets, permissions })
    }

    /// The secrets of this shop.
    pub fn secrets(&mut self) -> &mut Secrets {
        &mut self.secrets
    }

    /// The password of Postgres' superuser.
    ///
    /// # Errors
    /// As [`Secrets::key`].
    pub fn database_admin_password(&mut self) -> Result<String, StackError> {
        self.secrets.key(DATABASE_ADMIN)
    }

    /// Webhook secret and API key of the simulator.
    ///
    /// # Errors
    /// As [`Secrets::key`].
    pub fn simulator_keys(&mut self) -> Result<(String, String), StackError> {
        let webhook = format!("whsec_{}", self.secrets.key(SIMULATOR_WEBHOOK)?);
        Ok((webhook, format!("sk_test_{}", self.secrets.key(SIMULATOR_KEY)?)))
    }

    /// Writes `nats.conf` and returns its path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn bus(&mut self, edges: u16, cloudflare: bool) -> Result<PathBuf, StackError> {
        let services: Vec<String> = self.permissions.services().map(str::to_owned).collect();
        let mut credentials = Vec::new();
        for service in services {
            let password = self.secrets.key(&format!("bus_{service}"))?;
            let Some(subjects) = self.permissions.of_service(&service) else { continue };
            credentials.push(Credential { user: service, password, subjects });
        }
        for edge in edge_names(edges, cloudflare) {
            let password = self.secrets.key(&format!("bus_{}", edge.replace('-', "_")))?;
            credentials.push(Credential { subjects: self.permissions.of_edge(&edge), user: edge, password });
        }
        let file = self.folder.join("nats.conf");
        write_private(&file, &server_configuration(&credentials))?;
        Ok(file)
    }

    /// Writes `bodega.toml` and returns its path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn core(&mut self, options: &ShopOptions, plugin_host: &Path) -> Result<PathBuf, StackError> {
        let text = self.core_text(options, plugin_host)?;
        let file = self.folder.join("bodega.toml");
        write_private(&file, &text)?;
        Ok(file)
    }

    fn core_text(&mut self, options: &ShopOptions, plugin_host: &Path) -> Result<String, StackError> {
        let ports = self.ports.clone();
        let (database, admin) = (self.secrets.key(DATABASE)?, self.database_admin_password()?);
        let (webhook, api_key) = self.simulator_keys()?;
        let feeds: Vec<String> = edge_names(options.edges, options.cloudflare)
            .map(|edge| format!("{{ id = \"{edge}\", url = \"http://127.0.0.1:{}\" }}", edge_port(&ports, &edge)))
            .collect();
        let folder = self.folder.display().to_string();
        let database_name = if options.database_per_service { "bodega_{service}" } else { "bodega" };
        let mut text = format!(
            "# Written by `cargo xtask up` at every start: changes here are lost.\n\
             [deployment]\nstorefront_url = \"http://127.0.0.1:{edge}\"\n\
             desk_url = \"http://127.0.0.1:{gateway}\"\n\n\
             [database]\nurl = \"postgres://bodega_{{service}}:{database}@127.0.0.1:{postgres}/{database_name}\"\n\
             admin_url = \"postgres://postgres:{admin}@127.0.0.1:{postgres}/postgres\"\n\n\
             [nats]\nurl = \"nats://127.0.0.1:{nats}\"\n\n\
             [redis]\nurl = \"redis://127.0.0.1:{redis}\"\n\n\
             [http]\ngateway = \"127.0.0.1:{gateway}\"\nmetrics = \"127.0.0.1:{metrics}\"\n\n\
             [payment.providers.simulator]\nadapter = \"stripe\"\nbase_url = \"http://127.0.0.1:{simulator}\"\n\
             api_key = \"{api_key}\"\nwebhook_secrets = [\"{webhook}\"]\ntimeout_ms = 10000\n\n\
             [mail]\nsmtp_url = \"smtp://127.0.0.1:{smtp}\"\nfrom = \"Corner Shop <shop@bodega.example>\"\n\n\
             [pricing]\nplugin_host = \"{plugin_host}\"\nartefacts = \"{folder}/artefacts\"\n\n\
             [media]\ndirectory = \"{folder}/media\"\n\n\
             [replicator]\nedges = [{feeds}]\n\n",
            edge = ports.edge,
            postgres = ports.postgres,
            nats = ports.nats,
            redis = ports.redis,
            gateway = ports.gateway,
            metrics = ports.metrics,
            simulator = ports.simulator,
            smtp = ports.smtp,
            plugin_host = plugin_host.display(),
            feeds = feeds.join(", "),
        );
        text.push_str("[keys]\n");
        for ring in [GUEST, QUOTE, ORDER_LINK] {
            let secret = self.secrets.key(ring)?;
            let _ = writeln!(text, "{ring} = [{{ kid = \"{KEY_ID}\", secret = \"{secret}\" }}]");
        }
        for ring in [IDENTITY, REPLICATION] {
            let seed = self.secrets.key(ring)?;
            let _ = writeln!(text, "{ring} = [{{ kid = \"{KEY_ID}\", seed = \"{seed}\" }}]");
        }
        let services: Vec<String> = self.permissions.services().map(str::to_owned).collect();
        for service in services {
            let password = self.secrets.key(&format!("bus_{service}"))?;
            let _ = writeln!(text, "\n[nats.services.{service}]\nuser = \"{service}\"\npassword = \"{password}\"");
        }
        Ok(text)
    }

    /// What an edge is told, by the names that the storefront reads.
    ///
    /// # Errors
    /// As [`Secrets::key`].
    pub fn edge_variables(&mut self, edge: &str) -> Result<Vec<(&'static str, String)>, StackError> {
        Ok(vec![
            ("edge_id", edge.to_owned()),
            ("nats_url", format!("nats://127.0.0.1:{}", self.ports.nats)),
            ("nats_user", edge.to_owned()),
            ("nats_password", self.secrets.key(&format!("bus_{}", edge.replace('-', "_")))?),
            ("nats_inbox_prefix", edge.to_owned()),
            ("guest_keys", format!("{KEY_ID}:{}", self.secrets.key(GUEST)?)),
            ("account_keys", format!("{KEY_ID}:{}", self.secrets.public_half(IDENTITY)?)),
            ("replication_keys", format!("{KEY_ID}:{}", self.secrets.public_half(REPLICATION)?)),
            ("public_origin", format!("http://127.0.0.1:{}", edge_port(&self.ports, edge))),
            ("media_origin", format!("http://127.0.0.1:{}", self.ports.gateway)),
        ])
    }

    /// Writes the file of embedded edge `number` (from 1) and returns its path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn edge(&mut self, number: u16, component: &Path, address_header: &str) -> Result<PathBuf, StackError> {
        let edge = edge_name(number);
        let mut text = format!(
            "# Written by `cargo xtask up` at every start: changes here are lost.\n\
             component = \"{component}\"\nbind = \"127.0.0.1:{bind}\"\ninternal_bind = \"127.0.0.1:{internal}\"\n\
             data = \"{folder}/{edge}\"\naccess_log = \"-\"\nclient_address_header = \"{address_header}\"\n\n[variables]\n",
            component = component.display(),
            bind = edge_port(&self.ports, &edge),
            internal = self.ports.edge_metrics.saturating_add(number - 1),
            folder = self.folder.display(),
        );
        for (name, value) in self.edge_variables(&edge)? {
            let _ = writeln!(text, "{name} = \"{value}\"");
        }
        let file = self.folder.join(format!("{edge}.toml"));
        write_private(&file, &text)?;
        Ok(file)
    }
}

/// The name of the edge in workerd.
pub const CLOUDFLARE_EDGE: &str = "edge-cloudflare";

fn edge_names(edges: u16, cloudflare: bool) -> impl Iterator<Item = String> {
    (1..=edges).map(edge_name).chain(cloudflare.then(|| CLOUDFLARE_EDGE.to_owned()))
}

fn edge_port(ports: &Ports, edge: &str) -> u16 {
    match edge.strip_prefix("edge-").and_then(|number| number.parse::<u16>().ok()) {
        Some(number) => ports.edge.saturating_add(number.saturating_sub(1)),
        None => ports.cloudflare,
    }
}
