//! What crosses the pipe: [`Request`] to the process, [`Response`] back, one for one and in order.
//!
//! The types of a cart and its effects are those of `wasm-plugins/wit/promotion.wit`, in JSON. Golden carts beside the
//! example plugins are written in them.

mod cart;
mod check;
mod hash;

pub use cart::{Cart, Discount, Effect, Line, LineUnits, Target};
pub use check::check;
pub use hash::{Hash, NotAHash};

use bodega_domain::quote::PluginOutcome;
use serde::{Deserialize, Serialize};

/// What the process is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Are you there?
    Ping,
    /// What is this component? It is read, but neither compiled nor run.
    Inspect {
        /// The component.
        component: Component,
    },
    /// Check this component, compile it or take it from the cache, and keep it ready.
    Load {
        /// SHA-256 that the component must have.
        hash: Hash,
        /// The component.
        component: Component,
    },
    /// Run these plugins.
    Run(Batch),
}

/// [`Request::Run`] without owning the batch: on the pipe they are the same.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Run<'a> {
    /// The batch.
    pub run: &'a Batch,
}

/// What the process answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// I am here.
    Pong {
        /// Version of the engine.
        engine: String,
    },
    /// The answer to `Inspect`.
    Inspected(Inspection),
    /// The answer to `Load`.
    Loaded(Loaded),
    /// `Inspect` and `Load`: this is no plugin that may run here.
    Rejected(Rejection),
    /// The answer to `Run`: a verdict for each call, in order.
    Ran(Vec<Verdict>),
    /// The request itself makes no sense: a fault of the asker.
    Misunderstood {
        /// Why.
        detail: String,
    },
}

/// The bytes of a component, base64 in JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Component {
    #[serde(with = "base64_text")]
    bytes: std::sync::Arc<[u8]>,
}

impl Component {
    /// A component's bytes, whatever they may turn out to be.
    #[must_use]
    pub fn new(bytes: impl Into<std::sync::Arc<[u8]>>) -> Self {
        Self { bytes: bytes.into() }
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its name everywhere: SHA-256 of the bytes.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(&self.bytes)
    }
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Component({} bytes)", self.bytes.len())
    }
}

mod base64_text {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::sync::Arc;

    pub(super) fn serialize<S: Serializer>(bytes: &Arc<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Arc::from).map_err(D::Error::custom)
    }
}

/// Calls that are answered together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The carts that the calls are about: the shop's plugins see the whole one, a merchant's only their part.
    pub carts: Vec<Cart>,
    /// The calls, at most [`CALLS_MAX`](crate::limits::CALLS_MAX).
    pub calls: Vec<Call>,
}

/// One plugin on one cart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Which plugin.
    pub plugin: Hash,
    /// Position of the cart in the batch.
    pub cart: usize,
    /// The merchant's configuration, JSON.
    pub configuration: String,
    /// Fuel, when it is to be other than [`limits::fuel`](crate::limits::fuel) says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
}

/// What a component is, as far as it can be said without running it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// SHA-256 of the component.
    pub hash: Hash,
    /// Bytes.
    pub size: usize,
    /// Names of what it imports.
    pub imports: Vec<String>,
    /// Names of what it exports.
    pub exports: Vec<String>,
}

/// A component that is ready to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loaded {
    /// What it is.
    #[serde(flatten)]
    pub inspection: Inspection,
    /// What it says about itself.
    pub description: Description,
    /// Whether the compiled form came from the cache.
    pub cached: bool,
}

/// What a plugin says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Lower-case words with hyphens.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One sentence for the merchant.
    pub summary: String,
    /// A configuration that works, JSON.
    pub example_configuration: String,
}

/// Why a component may not run here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// It is larger than a plugin may be.
    #[error("the component has {bytes} bytes, {limit} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The bytes are not those that were announced.
    #[error("the bytes have the hash {found}")]
    HashDiffers {
        /// Their real hash.
        found: Hash,
    },
    /// It is not a valid component.
    #[error("this is not a valid WebAssembly component: {detail}")]
    NotAComponent {
        /// What the engine says.
        detail: String,
    },
    /// It imports something; a plugin gets its input and nothing else.
    #[error("a plugin imports nothing, this one imports {}", imports.join(", "))]
    Imports {
        /// What it imports.
        imports: Vec<String>,
    },
    /// It exports something else than the promotion world.
    #[error("a plugin exports {expected} and nothing else: {detail}")]
    OtherWorld {
        /// What it must export.
        expected: String,
        /// What differs.
        detail: String,
    },
    /// It needs more than an instance is given.
    #[error("the component needs more than it may have: {detail}")]
    TooDemanding {
        /// What the engine says.
        detail: String,
    },
    /// It broke when it was asked what it is.
    #[error("the plugin does not say what it is: {outcome:?}")]
    NoDescription {
        /// How that ended.
        outcome: Box<Outcome>,
    },
}

/// How a call ended, and what it cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// How it ended.
    pub outcome: Outcome,
    /// Fuel used.
    pub fuel: u64,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It answered, and every effect makes sense for its cart.
    Ok(Vec<Effect>),
    /// It said no.
    Refused(Refusal),
    /// It broke: a panic, a wrong address, the end of the stack.
    Trapped {
        /// What the engine says.
        detail: String,
    },
    /// It used up its fuel.
    OutOfFuel,
    /// It asked for more memory than an instance is given.
    OutOfMemory,
    /// It handed back more than a call may.
    OutputTooLarge,
    /// It handed back an effect that makes no sense.
    InvalidOutput {
        /// Which rule it breaks.
        detail: String,
    },
    /// The clock ended it, because fuel had not. The only outcome that another machine may not repeat.
    TimedOut,
    /// The process has no component of this name; [`client`](crate::client) loads it and asks again.
    NotLoaded,
    /// It was not run, because it has wasted too much time lately.
    Suspended,
    /// The process died, hung or would not start, on this call alone.
    HostLost {
        /// What was seen of it.
        detail: String,
    },
}

/// Why a plugin said no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// It does not understand its configuration.
    Configuration(String),
    /// Anything else.
    Other(String),
}

impl From<&Outcome> for PluginOutcome {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Ok(_) => Self::Ok,
            Outcome::Refused(_) => Self::Refused,
            Outcome::Trapped { .. } => Self::Trapped,
            Outcome::OutOfFuel => Self::OutOfFuel,
            Outcome::OutOfMemory => Self::OutOfMemory,
            Outcome::OutputTooLarge => Self::OutputTooLarge,
            Outcome::InvalidOutput { .. } => Self::InvalidOutput,
            Outcome::TimedOut | Outcome::NotLoaded | Outcome::Suspended | Outcome::HostLost { .. } => Self::Unavailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_borrowed_batch_is_the_same_request() {
        let batch = Batch::default();
        let borrowed = serde_json::to_string(&Run { run: &batch }).expect("JSON");
        assert_eq!(borrowed, serde_json::to_string(&Request::Run(batch)).expect("JSON"));
    }
}
