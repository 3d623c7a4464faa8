//! Settings: built-in values, then the file, then the environment (`BODEGA_EDGE__BIND`, `BODEGA_EDGE__VARIABLES__EDGE_ID`),
//! then flags. What the component may see is the table `variables`, as in `spin.toml`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

use crate::kv::Rule;

/// The embedded edge: serves the storefront component, keeps its key-value stores on disk, and lets it reach NATS and
/// nothing else.
#[derive(Debug, Parser, Serialize)]
#[command(name = "bodega-edge-host", version)]
pub(crate) struct Flags {
    /// Configuration file (TOML); its tables are described in docs/EDGE.md.
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// Component to serve (`bodega_edge_spin.wasm`).
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<PathBuf>,
    /// Address for shoppers [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    bind: Option<SocketAddr>,
    /// Address for operators: /metrics and /readyz of the host itself [default: 127.0.0.1:0, printed at start].
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    internal_bind: Option<SocketAddr>,
    /// Folder of the key-value stores and of compiled artefacts [default: .local/edge].
    #[arg(long, value_name = "FOLDER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<PathBuf>,
    /// Access log: a file, `-` for standard output, `off` [default: -].
    #[arg(long, value_name = "WHERE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    access_log: Option<String>,
    /// Print what the component imports, one a line, and end.
    #[arg(long)]
    #[serde(skip)]
    pub(crate) imports: bool,
    /// A variable of the component; repeat for more. Secrets belong in the file or in the environment.
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = variable)]
    #[serde(skip)]
    variables: Vec<(String, String)>,
}

fn variable(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| format!("`{text}` is not NAME=VALUE"))
}

/// The settings of one host.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The component's file.
    pub(crate) component: PathBuf,
    /// Where shoppers connect.
    pub(crate) bind: SocketAddr,
    /// Where operators connect.
    pub(crate) internal_bind: SocketAddr,
    /// Where state is kept.
    pub(crate) data: PathBuf,
    /// `-`, `off` or a file.
    pub(crate) access_log: String,
    /// Header in which a trusted proxy in front names the shopper's address (the last entry counts); empty: the peer's.
    pub(crate) client_address_header: String,
    /// Stores that the component may open; any other one is denied.
    pub(crate) stores: Vec<String>,
    /// What the component reads as its variables. `nats_url` is also the only address that it may connect to.
    pub(crate) variables: BTreeMap<String, String>,
    /// Keys that are removed when nobody has written them for long. A cart's cell is one of three replicas: cookie and core
    /// have it too.
    pub(crate) expire: Vec<Rule>,
    /// Bounds.
    pub(crate) limits: Limits,
}

/// Bounds of the host. Units are in the names.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// Requests handled at once, each in an instance of its own; a quarter of them is kept for reads.
    pub(crate) instances: u32,
    /// Requests that may wait for an instance, a quarter of them reads; further ones are refused at once.
    pub(crate) queue: u32,
    /// Linear memory of one instance: what other edges give, and enough for the largest replication batch (a test).
    pub(crate) memory_mib: u32,
    /// A request's whole time, waiting included: longer than the 8 s that checkout waits for the core.
    pub(crate) request_s: u32,
    /// How long an idle instance is kept: longer than its connection to NATS lives.
    pub(crate) idle_s: u32,
    /// Requests after which an instance is replaced, so that a slow leak stays bounded.
    pub(crate) requests_per_instance: u32,
    /// A request's body.
    pub(crate) body_mib: u32,
    /// An answer's body.
    pub(crate) answer_mib: u32,
    /// Connections of shoppers at once.
    pub(crate) connections: u32,
    /// How long a stopping host waits for requests under way, and for what they put off until after their answers.
    pub(crate) stop_s: u32,
    /// Pages of the key-value stores kept in memory.
    pub(crate) kv_cache_mib: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            component: PathBuf::from("target/wasm32-wasip2/edge/bodega_edge_spin.wasm"),
            bind: SocketAddr::from(([127, 0, 0, 1], 8080)),
            internal_bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            data: PathBuf::from(".local/edge"),
            access_log: "-".into(),
            client_address_header: String::new(),
            stores: vec!["default".into(), "cells".into()],
            variables: BTreeMap::new(),
            expire: vec![Rule { store: "cells".into(), prefix: "cart/".into(), days: 60 }],
            limits: Limits {
                instances: 32,
                queue: 512,
                memory_mib: 128,
                request_s: 12,
                idle_s: 300,
                requests_per_instance: 100_000,
                body_mib: 5,
                answer_mib: 16,
                connections: 4_096,
                stop_s: 15,
                kv_cache_mib: 64,
            },
        }
    }
}

impl Limits {
    pub(crate) fn request(&self) -> Duration {
        Duration::from_secs(self.request_s.into())
    }

    pub(crate) fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_s.into())
    }

    pub(crate) fn stop(&self) -> Duration {
        Duration::from_secs(self.stop_s.into())
    }
}

/// Mebibytes as bytes.
pub(crate) fn mib(count: u32) -> usize {
    usize::try_from(u64::from(count) << 20).unwrap_or(usize::MAX)
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("configuration: {0}")]
    Unreadable(Box<figment::Error>),
    #[error("configuration: `limits.{0}` must not be 0")]
    Zero(&'static str),
    #[error("configuration: variable `{0}` must be lower-case letters, digits and `_`, beginning with a letter")]
    VariableName(String),
}

impl Settings {
    /// Puts the layers on each other and checks the result.
    pub(crate) fn load(flags: &Flags) -> Result<Self, Error> {
        let mut layers = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = &flags.config {
            layers = layers.merge(Toml::file_exact(file));
        }
        let mut settings: Self = layers
            .merge(Env::prefixed("BODEGA_EDGE__").split("__"))
            .merge(Serialized::defaults(flags))
            .extract()
            .map_err(|error| Error::Unreadable(Box::new(error)))?;
        settings.variables.extend(flags.variables.iter().cloned());
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), Error> {
        let limits = &self.limits;
        for (name, value) in [
            ("instances", limits.instances),
            ("memory_mib", limits.memory_mib),
            ("request_s", limits.request_s),
            ("requests_per_instance", limits.requests_per_instance),
            ("body_mib", limits.body_mib),
            ("answer_mib", limits.answer_mib),
            ("connections", limits.connections),
        ] {
            if value == 0 {
                return Err(Error::Zero(name));
            }
        }
        for name in self.variables.keys() {
            let good = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
                && name.starts_with(|c: char| c.is_ascii_lowercase());
            if !good {
                return Err(Error::VariableName(name.clone()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(args: &[&str]) -> Result<Settings, Error> {
        Settings::load(&Flags::parse_from(std::iter::once("bodega-edge-host").chain(args.iter().copied())))
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_what_is_built_in() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let file = folder.path().join("edge.toml");
        std::fs::write(
            &file,
            "bind = '127.0.0.1:9001'\ninternal_bind = '127.0.0.1:9002'\n[variables]\nedge_id = 'a'\n[limits]\nqueue = 7\n",
        )
        .expect("writes");
        let file = file.to_str().expect("a plain name");
        let settings = load(&["--config", file, "--bind", "127.0.0.1:9003", "--variable", "edge_id=b"]).expect("loads");
        assert_eq!(settings.bind.port(), 9003);
        assert_eq!(settings.internal_bind.port(), 9002);
        assert_eq!(settings.variables["edge_id"], "b");
        assert_eq!((settings.limits.queue, settings.limits.instances), (7, 32));
    }

    #[test]
    fn a_misspelt_setting_is_refused() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let file = folder.path().join("edge.toml");
        std::fs::write(&file, "bindd = '127.0.0.1:9001'\n").expect("writes");
        assert!(matches!(load(&["--config", file.to_str().expect("a plain name")]), Err(Error::Unreadable(_))));
        assert!(matches!(load(&["--variable", "Edge-Id=b"]), Err(Error::VariableName(_))));
    }
}
