//! Variables of the deployment, read once per instance: they cannot change while it lives.

use std::collections::BTreeMap;
use std::rc::Rc;

use bodega_storefront::platform::setting;
use spin_sdk::variables;

/// Address of NATS, `nats://host:port`.
pub(crate) const NATS_URL: &str = "nats_url";
/// User at NATS; with [`NATS_PASSWORD`].
pub(crate) const NATS_USER: &str = "nats_user";
/// Password of [`NATS_USER`].
pub(crate) const NATS_PASSWORD: &str = "nats_password";
/// Token, where NATS wants one in place of a user.
pub(crate) const NATS_TOKEN: &str = "nats_token";
/// Seed of an nkey (`SU…`), where NATS wants a signature.
pub(crate) const NATS_NKEY_SEED: &str = "nats_nkey_seed";
/// Begin of the reply subjects after `_INBOX.`, when the user may read only its own; random otherwise.
pub(crate) const NATS_INBOX_PREFIX: &str = "nats_inbox_prefix";

/// Variables that the adapter needs itself.
const OWN: [&str; 6] = [NATS_URL, NATS_USER, NATS_PASSWORD, NATS_TOKEN, NATS_NKEY_SEED, NATS_INBOX_PREFIX];

/// Every variable that is read, for the manifest.
pub fn names() -> impl Iterator<Item = &'static str> {
    setting::ALL.into_iter().chain(OWN)
}

/// The settings that are there; empty ones are not.
#[derive(Debug, Default)]
pub(crate) struct Settings(BTreeMap<&'static str, String>);

impl Settings {
    /// Asks the runtime for each known variable.
    pub(crate) async fn read() -> Rc<Self> {
        let mut values = BTreeMap::new();
        for name in names() {
            match variables::get(name).await {
                Ok(value) if !value.is_empty() => {
                    values.insert(name, value);
                }
                Ok(_) | Err(variables::Error::Undefined(_) | variables::Error::InvalidName(_)) => {}
                Err(error) => eprintln!("{{\"level\":\"error\",\"message\":\"variable {name}: {error}\"}}"),
            }
        }
        Rc::new(Self(values))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}
