//! Payment providers behind one trait. An adapter translates; it decides nothing and keeps nothing.
//!
//! To add one: implement [`Provider`], name the adapter in [`Providers::from_config`], run `tests/methods.rs` against it.

pub mod stripe;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use bodega_domain::{
    Timestamp,
    id::{AttemptId, IntentId, OrderId, RefundId},
    money::Money,
    payment::Observation,
};
use bodega_platform::config;

/// What a provider shows of an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The provider's id of the intent.
    pub reference: String,
    /// Our id, where the provider gives it back.
    pub intent: Option<IntentId>,
    /// What it shows.
    pub observation: Observation,
}

/// Why a call has no good answer. Each asks for another reaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It was answered: the provider will not do it.
    #[error("refused: {code}")]
    Refused {
        /// The provider's code.
        code: String,
        /// The intent as the answer showed it.
        seen: Option<Box<Seen>>,
    },
    /// Surely nothing was done; later it may be.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// It may have been done: ask again under the same key.
    #[error("unknown: {0}")]
    Unknown(String),
}

/// The first attempt of an intent: makes it at the provider and tries to pay it.
#[derive(Clone, Copy, Debug)]
pub struct Pay<'a> {
    /// Our intent, given back in everything the provider tells.
    pub intent: IntentId,
    /// Its order, for people who look at the provider's pages.
    pub order: OrderId,
    /// How much.
    pub amount: Money,
    /// What the provider calls the method.
    pub method: &'a str,
    /// Where the shopper goes after a challenge.
    pub return_url: Option<&'a str>,
    /// The idempotency key.
    pub attempt: AttemptId,
}

/// Taking some of what was authorised.
#[derive(Clone, Copy, Debug)]
pub struct Take {
    /// Our intent.
    pub intent: IntentId,
    /// What was taken before, minor units.
    pub before: i64,
    /// How much now.
    pub amount: Money,
    /// Nothing is taken later: what is left is released.
    pub last: bool,
}

/// A webhook that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The provider's id of the event.
    pub event: String,
    /// What it shows; `None` for events that are not about an intent.
    pub shown: Option<Shown>,
}

/// What a webhook shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The intent itself.
    Intent(Seen),
    /// A dispute of an intent, and nothing else of it.
    Dispute(Dispute),
}

/// A shopper's bank takes money back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispute {
    /// The provider's id of the intent.
    pub reference: String,
    /// How much, minor units of a currency that the intent's own words tell.
    pub amount: i64,
    /// Until when evidence can be sent.
    pub respond_before: Option<Timestamp>,
    /// Why, in the provider's words, for instance `fraudulent`.
    pub reason: Option<String>,
}

/// A webhook that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// No signature, a wrong one, or one that is too old.
    #[error("the signature does not hold")]
    Signature,
    /// Signed, and not what it should be.
    #[error("the body cannot be read")]
    Body,
}

/// A line of a settlement report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettlementLine {
    /// The provider's id of the line.
    pub line: String,
    /// `charge`, `refund`, `adjustment`, …
    pub kind: String,
    /// The provider's id of the intent, where it says so.
    pub reference: Option<String>,
    /// Minor units, negative when money goes back.
    pub amount: i64,
    /// What the provider keeps, minor units.
    pub fee: i64,
    /// ISO 4217.
    pub currency: String,
    /// When.
    pub at: Timestamp,
}

/// A payment provider. Every call that changes something carries a key under which it is done once.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Creates the intent and tries to pay it.
    async fn pay(&self, pay: Pay<'_>) -> Result<Seen, ProviderError>;

    /// Tries again to pay an intent that the provider knows.
    async fn confirm(&self, reference: &str, pay: Pay<'_>) -> Result<Seen, ProviderError>;

    /// Takes some of what was authorised. What was taken before is part of the key.
    async fn capture(&self, reference: &str, take: Take) -> Result<Seen, ProviderError>;

    /// Releases what is left of an authorisation after some of it was taken.
    async fn release(&self, reference: &str, intent: IntentId) -> Result<Seen, ProviderError>;

    /// Gives the intent up. `again` tells repetitions apart, because a refusal today may be a success tomorrow.
    async fn cancel(&self, reference: &str, intent: IntentId, again: u32) -> Result<Seen, ProviderError>;

    /// Gives money back.
    async fn refund(&self, reference: &str, refund: RefundId, amount: Money) -> Result<Seen, ProviderError>;

    /// Whether money was given back for this refund of ours.
    async fn find_refund(&self, reference: &str, refund: RefundId) -> Result<bool, ProviderError>;

    /// The intent as it is now.
    async fn fetch(&self, reference: &str) -> Result<Seen, ProviderError>;

    /// The intent that was made for ours, if there is one.
    async fn find(&self, intent: IntentId) -> Result<Option<Seen>, ProviderError>;

    /// Verifies a webhook over its raw bytes and reads it. `headers` have lower-case names.
    ///
    /// # Errors
    /// [`WebhookError`].
    fn verify(&self, headers: &[(String, String)], body: &[u8], now: Timestamp) -> Result<Notice, WebhookError>;

    /// Reads a webhook that was verified when it came.
    ///
    /// # Errors
    /// [`WebhookError::Body`].
    fn read(&self, body: &[u8]) -> Result<Notice, WebhookError>;

    /// Lines of the settlement report since a time, newest first, at most a page; `after` a line, the older ones.
    async fn settlement(&self, since: Timestamp, after: Option<&str>) -> Result<Vec<SettlementLine>, ProviderError>;
}

/// The configured providers by name.
#[derive(Clone, Default)]
pub struct Providers(Arc<BTreeMap<String, Arc<dyn Provider>>>);

impl Providers {
    /// Builds the adapters.
    ///
    /// # Errors
    /// Names a provider whose adapter is unknown or whose address cannot be read.
    pub fn from_config(config: &config::Payment) -> Result<Self, String> {
        let mut providers = BTreeMap::new();
        for (name, provider) in &config.providers {
            let adapter: Arc<dyn Provider> = match provider.adapter.as_str() {
                "stripe" => Arc::new(
                    stripe::Stripe::new(
                        &provider.base_url,
                        provider.api_key.clone(),
                        provider.webhook_secrets.clone(),
                        Duration::from_millis(provider.timeout_ms),
                    )
                    .map_err(|error| format!("payment.providers.{name}: {error}"))?,
                ),
                other => return Err(format!("payment.providers.{name}: there is no adapter `{other}`")),
            };
            providers.insert(name.clone(), adapter);
        }
        Ok(Self(Arc::new(providers)))
    }

    /// A provider by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<dyn Provider>> {
        self.0.get(name)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Arc<dyn Provider>)> {
        self.0.iter().map(|(name, provider)| (name.as_str(), provider))
    }
}
