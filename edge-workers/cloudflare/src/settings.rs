//! Variables and secrets of the worker. Their names are those of the storefront in upper case, as Cloudflare writes them.

use worker::Env;

/// Bindings, as `wrangler.toml` names them.
pub(crate) mod binding {
    /// KV namespace of the catalogue, flags and the deny list.
    pub(crate) const KV: &str = "EDGE_KV";
    /// Durable Objects that are atomic cells.
    pub(crate) const CELLS: &str = "CELLS";
    /// Durable Object that keeps the connection to NATS.
    pub(crate) const CORE_LINK: &str = "CORE_LINK";
}

/// Settings of the link to the core.
pub(crate) mod nats {
    /// Address of NATS: `nats://host:port`, or `tls://host:port` for TLS from the first byte.
    pub(crate) const URL: &str = "nats_url";
    /// User at NATS, with [`PASSWORD`].
    pub(crate) const USER: &str = "nats_user";
    /// Password of [`USER`].
    pub(crate) const PASSWORD: &str = "nats_password";
    /// Token, where NATS wants one in place of a user.
    pub(crate) const TOKEN: &str = "nats_token";
    /// Seed of an nkey (`SU…`), where NATS wants a signature.
    pub(crate) const NKEY_SEED: &str = "nats_nkey_seed";
    /// JWT of the user whose seed that is.
    pub(crate) const JWT: &str = "nats_jwt";
    /// Begin of the reply subjects after `_INBOX.`; the edge's id when absent.
    pub(crate) const INBOX_PREFIX: &str = "nats_inbox_prefix";
}

/// Reads variables and secrets of the deployment.
#[derive(Clone)]
pub(crate) struct Settings(Env);

impl Settings {
    pub(crate) const fn new(env: Env) -> Self {
        Self(env)
    }

    /// The setting of that name; absent and empty are the same.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        // A secret and a variable look the same to a worker.
        let value = self.0.var(&name.to_ascii_uppercase()).ok()?.to_string();
        (!value.is_empty()).then_some(value)
    }
}
