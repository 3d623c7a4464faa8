//! Configuration: one TOML file, overridden by environment variables `BODEGA__SECTION__KEY`.
//!
//! `config.default.toml` *is* the default: it is embedded and read first, so it documents every key and cannot drift.
//! Unknown keys are errors, so that a typing mistake is found at start and not in production.

mod mail;
mod secret;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use bodega_domain::token::{KeyRing, MacKey, PublicKey, SecretKey, base64url};
use figment::{
    Figment,
    providers::{Env, Format as _, Toml},
};
use serde::Deserialize;

pub use mail::MailConfig;
pub use secret::Secret;

use crate::entropy::Entropy;

/// The documented defaults.
pub const DEFAULT_TOML: &str = include_str!("../../config.default.toml");

/// Everything that the core can be told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What this deployment is.
    pub deployment: Deployment,
    /// Postgres.
    pub database: Database,
    /// NATS.
    pub nats: Nats,
    /// Redis; everything works without it.
    pub redis: Redis,
    /// Keys of tokens and batches.
    pub keys: Keys,
    /// Addresses to listen on.
    pub http: Http,
    /// Payment providers by name.
    pub payment: Payment,
    /// Mails to shoppers; without it none are sent.
    pub mail: Option<MailConfig>,
    /// Quotes and plugins.
    pub pricing: Pricing,
    /// Edges to feed.
    pub replicator: Replicator,
    /// Pictures and other objects.
    pub media: Media,
    /// Logs and metrics.
    pub telemetry: Telemetry,
    /// The clock of this process.
    pub clock: ClockConfig,
}

/// What this deployment is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// The address of the storefront that shoppers see, for links in mails.
    pub storefront_url: String,
    /// The address of the desks of merchants and admins, for links in mails.
    pub desk_url: String,
}

/// Postgres: a schema and a role per service, by default in one database.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Connection string of a service; `{service}` is replaced by its name.
    pub url: Secret,
    /// Connection string of a role that may create roles, schemas and databases; only `bodega migrate` uses it.
    pub admin_url: Secret,
    /// Largest number of connections of a service in one process.
    pub connections_max: u32,
    /// Milliseconds to wait for a connection before answering `core_unavailable`.
    pub acquire_timeout_ms: u64,
    /// Milliseconds after which Postgres ends a statement.
    pub statement_timeout_ms: u64,
    /// What differs for single services.
    #[serde(default)]
    pub services: BTreeMap<String, ServiceDatabase>,
}

/// What differs for one service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceDatabase {
    /// Connection string instead of the template.
    pub url: Option<Secret>,
    /// Admin connection string instead of the common one.
    pub admin_url: Option<Secret>,
    /// Largest number of connections instead of the common one.
    pub connections_max: Option<u32>,
}

impl Database {
    /// The connection string of a service.
    #[must_use]
    pub fn url_of(&self, service: &str) -> Secret {
        self.services
            .get(service)
            .and_then(|own| own.url.clone())
            .unwrap_or_else(|| Secret::new(self.url.expose().replace("{service}", service)))
    }

    /// The admin connection string for a service's database.
    #[must_use]
    pub fn admin_url_of(&self, service: &str) -> Secret {
        self.services.get(service).and_then(|own| own.admin_url.clone()).unwrap_or_else(|| self.admin_url.clone())
    }

    /// The largest number of connections of a service.
    #[must_use]
    pub fn connections_max_of(&self, service: &str) -> u32 {
        self.services.get(service).and_then(|own| own.connections_max).unwrap_or(self.connections_max)
    }
}

/// NATS: a connection per service, each with its own credential where one is given.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nats {
    /// Servers, separated by commas.
    pub url: String,
    /// Credential of services without their own. Empty: none.
    #[serde(default)]
    pub user: String,
    /// Password of `user`.
    #[serde(default)]
    pub password: Secret,
    /// Nkey seed instead of user and password.
    #[serde(default)]
    pub nkey_seed: Secret,
    /// Milliseconds to wait for a reply when the request says nothing else.
    pub request_timeout_ms: u64,
    /// Credentials of single services.
    #[serde(default)]
    pub services: BTreeMap<String, NatsCredential>,
}

/// The credential of one service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NatsCredential {
    /// User name.
    pub user: String,
    /// Password of `user`.
    pub password: Secret,
    /// Nkey seed instead of user and password.
    pub nkey_seed: Secret,
}

impl Nats {
    /// The credential of a service.
    #[must_use]
    pub fn credential_of(&self, service: &str) -> NatsCredential {
        self.services.get(service).cloned().unwrap_or_else(|| NatsCredential {
            user: self.user.clone(),
            password: self.password.clone(),
            nkey_seed: self.nkey_seed.clone(),
        })
    }
}

/// Redis: cache and admission gate. Losing it means slower, never wrong.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// Connection string. Empty: work without it.
    #[serde(default)]
    pub url: Secret,
    /// Milliseconds after which a command counts as failed.
    pub timeout_ms: u64,
}

/// Key rings: the first key signs, all verify. Secrets are base64url without padding.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// HMAC keys of guest sessions, shared with the edges.
    pub guest: KeyRing,
    /// HMAC keys of quotes: `pricing` and `order` only.
    pub quote: KeyRing,
    /// HMAC keys of guests' order links: `order` only.
    pub order_link: KeyRing,
    /// Ed25519 seeds of account sessions: `identity` only.
    pub identity: Vec<SecretKey>,
    /// Ed25519 public keys that verify account sessions, where the seeds are not known.
    pub identity_public: Vec<PublicKey>,
    /// Ed25519 seeds of replication batches: `replicator` only.
    pub replication: Vec<SecretKey>,
}

impl Keys {
    /// A fresh set, one key a ring.
    #[must_use]
    pub fn generate(entropy: &Entropy) -> Self {
        let kid = || format!("k{}", entropy.bytes::<3>().iter().map(|b| format!("{b:02x}")).collect::<String>());
        let ring = || KeyRing(vec![MacKey { kid: kid(), secret: entropy.bytes::<32>().to_vec() }]);
        let pair = || vec![SecretKey { kid: kid(), seed: entropy.bytes::<32>().to_vec() }];
        Self {
            guest: ring(),
            quote: ring(),
            order_link: ring(),
            identity: pair(),
            identity_public: Vec::new(),
            replication: pair(),
        }
    }

    /// The `[keys]` section of a configuration file with these keys, secrets included.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let macs = |ring: &KeyRing| inline(ring.0.iter().map(|key| (&key.kid, "secret", &key.secret)));
        let seeds = |keys: &[SecretKey]| inline(keys.iter().map(|key| (&key.kid, "seed", &key.seed)));
        format!(
            "[keys]\nguest = {}\nquote = {}\norder_link = {}\nidentity = {}\nidentity_public = {}\nreplication = {}\n",
            macs(&self.guest),
            macs(&self.quote),
            macs(&self.order_link),
            seeds(&self.identity),
            inline(self.identity_public.iter().map(|key| (&key.kid, "key", &key.key))),
            seeds(&self.replication),
        )
    }

    /// Every public key that verifies account sessions.
    #[must_use]
    pub fn account_keys(&self) -> Vec<PublicKey> {
        self.identity.iter().filter_map(SecretKey::public).chain(self.identity_public.iter().cloned()).collect()
    }
}

fn inline<'a>(keys: impl Iterator<Item = (&'a String, &'static str, &'a Vec<u8>)>) -> String {
    let keys: Vec<_> =
        keys.map(|(kid, field, bytes)| format!("{{ kid = \"{kid}\", {field} = \"{}\" }}", base64url(bytes))).collect();
    format!("[{}]", keys.join(", "))
}

/// Addresses to listen on.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// The gateway.
    pub gateway: SocketAddr,
    /// Metrics, liveness and readiness; not for the public.
    pub metrics: SocketAddr,
}

/// Payment providers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payment {
    /// Providers by the name that a checkout uses.
    #[serde(default)]
    pub providers: BTreeMap<String, Provider>,
}

/// One payment provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Which adapter speaks to it; `stripe` also speaks to the simulator.
    pub adapter: String,
    /// Address of its API.
    pub base_url: String,
    /// Our key there.
    pub api_key: Secret,
    /// Secrets of its webhooks: every one of them verifies.
    #[serde(default)]
    pub webhook_secrets: Vec<Secret>,
    /// Milliseconds for one call.
    pub timeout_ms: u64,
}

/// Quotes and plugins.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pricing {
    /// The executable that runs plugins. Empty: `bodega-plugin-host` beside this executable.
    #[serde(default)]
    pub plugin_host: PathBuf,
    /// Plugin host processes.
    pub plugin_hosts: usize,
    /// Where compiled plugins are kept between starts.
    pub artefacts: PathBuf,
}

/// Edges to feed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replicator {
    /// Every edge: one KV namespace, one ingest cell, one credential.
    #[serde(default)]
    pub edges: Vec<Edge>,
}

/// One edge.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// Its name in batches, metrics and on the dashboard.
    pub id: String,
    /// Where it listens.
    pub url: String,
}

/// Pictures and other objects.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Media {
    /// Folder of the object store.
    pub directory: PathBuf,
}

/// Logs and metrics.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// How logs are written.
    pub format: LogFormat,
    /// What is logged, as in `info,bodega_order=debug`.
    pub level: String,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Pretty at a terminal, else JSON.
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// The clock of this process.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockConfig {
    /// Milliseconds ahead of the system's clock; only tests of clock skew use it.
    pub skew_ms: i64,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key is unknown, missing or of the wrong type.
    #[error("{0}")]
    Invalid(#[from] Box<figment::Error>),
    /// The named file is not there.
    #[error("the configuration file {0} does not exist")]
    Missing(PathBuf),
}

impl Config {
    /// Reads defaults, then the file (or `bodega.toml` here, if there is one), then the environment.
    ///
    /// # Errors
    /// When the file is missing or a key is unknown, missing or of the wrong type; the message names it and where it
    /// came from.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let figment = match file {
            Some(path) if !path.is_file() => return Err(ConfigError::Missing(path.to_owned())),
            Some(path) => Self::defaults().merge(Toml::file_exact(path)),
            None => Self::defaults().merge(Toml::file("bodega.toml")),
        };
        Self::extract(&figment.merge(Env::prefixed("BODEGA__").split("__")))
    }

    /// Reads defaults and then this text, without files or environment.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(toml: &str) -> Result<Self, ConfigError> {
        Self::extract(&Self::defaults().merge(Toml::string(toml)))
    }

    fn defaults() -> Figment {
        Figment::from(Toml::string(DEFAULT_TOML))
    }

    fn extract(figment: &Figment) -> Result<Self, ConfigError> {
        figment.extract().map_err(|e| ConfigError::Invalid(Box::new(e)))
    }
}

#[cfg(test)]
mod tests;
