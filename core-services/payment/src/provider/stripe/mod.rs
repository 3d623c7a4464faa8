//! The adapter for Stripe's API, which the payment simulator serves too.

mod object;
mod signature;

use std::time::Duration;

use async_trait::async_trait;
use bodega_domain::{
    Timestamp,
    id::{IntentId, RefundId},
    money::Money,
};
use bodega_platform::config::Secret;
use reqwest::{RequestBuilder, StatusCode, Url};
use serde_json::Value;

use super::{Notice, Pay, Provider, ProviderError, Seen, SettlementLine, Shown, Take, WebhookError};
use crate::limits::{ANSWER_BYTES_MAX, SETTLEMENT_PAGE};

/// The version of the API that this adapter was written against.
const API_VERSION: &str = "2024-06-20";
/// Idle connections kept.
const IDLE_MAX: usize = 64;
/// Refunds of an intent in one question.
const REFUNDS_PAGE: usize = 100;
/// Pages of refunds that are looked through.
const REFUND_PAGES_MAX: usize = 20;

/// Speaks to one account at Stripe, or to a simulator.
pub struct Stripe {
    client: reqwest::Client,
    base: Url,
    key: Secret,
    webhook_secrets: Vec<Secret>,
}

impl Stripe {
    /// # Errors
    /// When the address cannot be read or the client cannot be built.
    pub fn new(base: &str, key: Secret, webhook_secrets: Vec<Secret>, timeout: Duration) -> Result<Self, String> {
        let mut base = Url::parse(base).map_err(|error| format!("base_url: {error}"))?;
        if base.cannot_be_a_base() {
            return Err("base_url: not an address".to_owned());
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let client = reqwest::Client::builder()
            .timeout(timeout)
            .pool_max_idle_per_host(IDLE_MAX)
            // Who is asked is configured; an answer must not send us, and our key, elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { client, base, key, webhook_secrets })
    }

    fn url(&self, path: &str) -> Result<Url, ProviderError> {
        self.base.join(path).map_err(|error| ProviderError::Unavailable(error.to_string()))
    }

    async fn post(&self, path: &str, form: &[(&str, &str)], key: &str) -> Result<Value, ProviderError> {
        let request = self.client.post(self.url(path)?).form(form).header("idempotency-key", key);
        self.send(request).await
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, ProviderError> {
        let mut url = self.url(path)?;
        url.query_pairs_mut().extend_pairs(query);
        self.send(self.client.get(url)).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Value, ProviderError> {
        let request = request.bearer_auth(self.key.expose()).header("stripe-version", API_VERSION);
        let answer = request.send().await.map_err(|error| {
            // Only a connection that never came about has surely carried nothing.
            let nothing_sent = error.is_connect() || error.is_builder();
            let what = error.without_url().to_string();
            if nothing_sent { ProviderError::Unavailable(what) } else { ProviderError::Unknown(what) }
        })?;
        let status = answer.status();
        let body = whole(answer).await?;
        let body: Value =
            serde_json::from_slice(&body).map_err(|_| ProviderError::Unknown(format!("{status}, no JSON")))?;
        if status.is_success() { Ok(body) } else { Err(refusal(status, &body)) }
    }

    fn pay_form<'a>(pay: &'a Pay<'a>) -> Vec<(&'static str, &'a str)> {
        let mut form = vec![("payment_method", pay.method), ("expand[]", "latest_charge")];
        form.extend(pay.return_url.map(|url| ("return_url", url)));
        form
    }
}

/// The whole body, unless it is larger than any answer should be.
async fn whole(mut answer: reqwest::Response) -> Result<Vec<u8>, ProviderError> {
    let broken = |error: reqwest::Error| ProviderError::Unknown(error.without_url().to_string());
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(broken)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(ProviderError::Unknown("an answer without end".to_owned()));
        }
    }
    Ok(body)
}

/// Sorts an error of the API by what may be done next.
fn refusal(status: StatusCode, body: &Value) -> ProviderError {
    let error = &body["error"];
    let code = error["code"].as_str().or(error["type"].as_str()).unwrap_or("unnamed").to_owned();
    match status.as_u16() {
        // Limited, or our key does not hold: nothing was done, and it may go better later.
        401 | 403 | 429 => ProviderError::Unavailable(format!("{status} {code}")),
        // Another request with this key is still under way.
        409 => ProviderError::Unknown(code),
        400..=499 => ProviderError::Refused { code, seen: object::seen(&error["payment_intent"]).map(Box::new) },
        _ => ProviderError::Unknown(format!("{status} {code}")),
    }
}

fn data(list: &Value) -> Result<&Vec<Value>, ProviderError> {
    list["data"].as_array().ok_or_else(|| ProviderError::Unknown("a list without data".to_owned()))
}

fn read(body: &Value) -> Result<Seen, ProviderError> {
    object::seen(body).ok_or_else(|| ProviderError::Unknown("an answer without an intent".to_owned()))
}

/// A declined card is an answer like any other: the intent shows it.
fn read_attempt(result: Result<Value, ProviderError>) -> Result<Seen, ProviderError> {
    match result {
        Ok(body) => read(&body),
        Err(ProviderError::Refused { code, seen: Some(seen) }) if code == "card_declined" => Ok(*seen),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl Provider for Stripe {
    async fn pay(&self, pay: Pay<'_>) -> Result<Seen, ProviderError> {
        let (amount, currency) = (pay.amount.amount().to_string(), pay.amount.currency().code().to_ascii_lowercase());
        let (order, intent) = (pay.order.to_string(), pay.intent.to_string());
        let mut form = Self::pay_form(&pay);
        form.extend([
            ("amount", amount.as_str()),
            ("currency", currency.as_str()),
            ("capture_method", "manual"),
            // Costs nothing where merchants want all of it at once, and lets others take theirs parcel by parcel.
            ("payment_method_options[card][request_multicapture]", "if_available"),
            ("confirm", "true"),
            ("metadata[order_id]", order.as_str()),
            ("metadata[intent_id]", intent.as_str()),
        ]);
        read_attempt(self.post("v1/payment_intents", &form, &pay.attempt.to_string()).await)
    }

    async fn confirm(&self, reference: &str, pay: Pay<'_>) -> Result<Seen, ProviderError> {
        let path = format!("v1/payment_intents/{reference}/confirm");
        read_attempt(self.post(&path, &Self::pay_form(&pay), &pay.attempt.to_string()).await)
    }

    async fn capture(&self, reference: &str, take: Take) -> Result<Seen, ProviderError> {
        let path = format!("v1/payment_intents/{reference}/capture");
        let amount = take.amount.amount().to_string();
        let mut form = vec![("amount_to_capture", amount.as_str()), ("expand[]", "latest_charge")];
        if !take.last {
            form.push(("final_capture", "false"));
        }
        read(&self.post(&path, &form, &format!("capture_{}_{}", take.intent, take.before)).await?)
    }

    async fn release(&self, reference: &str, intent: IntentId) -> Result<Seen, ProviderError> {
        let path = format!("v1/payment_intents/{reference}/capture");
        let form = [("amount_to_capture", "0"), ("final_capture", "true"), ("expand[]", "latest_charge")];
        read(&self.post(&path, &form, &format!("release_{intent}")).await?)
    }

    async fn cancel(&self, reference: &str, intent: IntentId, again: u32) -> Result<Seen, ProviderError> {
        let path = format!("v1/payment_intents/{reference}/cancel");
        read(&self.post(&path, &[("expand[]", "latest_charge")], &format!("cancel_{intent}_{again}")).await?)
    }

    async fn refund(&self, reference: &str, refund: RefundId, amount: Money) -> Result<Seen, ProviderError> {
        let (amount, ours) = (amount.amount().to_string(), refund.to_string());
        let form = [
            ("payment_intent", reference),
            ("amount", amount.as_str()),
            ("metadata[refund_id]", ours.as_str()),
            ("expand[]", "charge"),
        ];
        read(&self.post("v1/refunds", &form, &ours).await?)
    }

    async fn find_refund(&self, reference: &str, refund: RefundId) -> Result<bool, ProviderError> {
        let (limit, ours) = (REFUNDS_PAGE.to_string(), refund.to_string());
        let mut after: Option<String> = None;
        for _ in 0..REFUND_PAGES_MAX {
            let mut query = vec![("payment_intent", reference), ("limit", limit.as_str())];
            query.extend(after.as_deref().map(|id| ("starting_after", id)));
            let list = self.get("v1/refunds", &query).await?;
            let data = data(&list)?;
            if data.iter().any(|refund| object::is_refund(refund, &ours)) {
                return Ok(true);
            }
            after = data.last().and_then(|refund| refund["id"].as_str()).map(str::to_owned);
            if list["has_more"] != true || after.is_none() {
                return Ok(false);
            }
        }
        Err(ProviderError::Unknown("more refunds than anybody makes".to_owned()))
    }

    async fn fetch(&self, reference: &str) -> Result<Seen, ProviderError> {
        let body = self.get(&format!("v1/payment_intents/{reference}"), &[("expand[]", "latest_charge")]).await?;
        read(&body)
    }

    async fn find(&self, intent: IntentId) -> Result<Option<Seen>, ProviderError> {
        // Ids hold nothing that the search language would read as its own.
        let query = format!("metadata[\"{}\"]:\"{intent}\"", object::INTENT_KEY);
        let query = [("query", query.as_str()), ("expand[]", "data.latest_charge")];
        let list = self.get("v1/payment_intents/search", &query).await?;
        // Whatever the search thought it was asked for, what is not ours is passed over.
        Ok(data(&list)?.iter().filter_map(object::seen).find(|seen| seen.intent == Some(intent)))
    }

    fn verify(&self, headers: &[(String, String)], body: &[u8], now: Timestamp) -> Result<Notice, WebhookError> {
        let header = headers.iter().find(|(name, _)| name == "stripe-signature").ok_or(WebhookError::Signature)?;
        if !signature::holds(&header.1, body, &self.webhook_secrets, now) {
            return Err(WebhookError::Signature);
        }
        self.read(body)
    }

    fn read(&self, body: &[u8]) -> Result<Notice, WebhookError> {
        let event: Value = serde_json::from_slice(body).map_err(|_| WebhookError::Body)?;
        let id = object::text(&event["id"]).ok_or(WebhookError::Body)?;
        let object = &event["data"]["object"];
        let disputed = || object::disputed(object).map(Shown::Dispute);
        let shown = object::seen(object).map(Shown::Intent).or_else(disputed);
        Ok(Notice { event: id, shown })
    }

    async fn settlement(&self, since: Timestamp, after: Option<&str>) -> Result<Vec<SettlementLine>, ProviderError> {
        let (limit, since) = (SETTLEMENT_PAGE.to_string(), (since.unix_ms() / 1_000).to_string());
        let mut query = vec![("limit", limit.as_str()), ("expand[]", "data.source"), ("created[gte]", since.as_str())];
        query.extend(after.map(|line| ("starting_after", line)));
        let list = self.get("v1/balance_transactions", &query).await?;
        Ok(data(&list)?.iter().filter_map(settlement_line).collect())
    }
}

fn settlement_line(value: &Value) -> Option<SettlementLine> {
    Some(SettlementLine {
        line: object::text(&value["id"])?,
        kind: object::text(&value["type"])?,
        reference: object::text(&value["source"]["payment_intent"]),
        amount: value["amount"].as_i64()?,
        fee: value["fee"].as_i64()?,
        currency: value["currency"].as_str()?.to_ascii_uppercase(),
        at: Timestamp::from_unix_ms(value["created"].as_i64()?.checked_mul(1_000)?),
    })
}
