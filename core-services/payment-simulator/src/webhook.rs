//! Signed webhooks: an event's body is delivered until the shop takes it, or held, dropped, delayed and repeated on
//! request.

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::Semaphore;

use crate::App;
use crate::book::Delivery;

/// Deliveries on their way at once.
pub const DELIVERIES_AT_ONCE_MAX: usize = 64;
/// Tries before an event is given up; it can be sent again from the control page.
const TRIES_MAX: u32 = 12;
/// First pause between tries; it doubles.
const PAUSE_FIRST_MS: u64 = 250;
/// Longest pause between tries.
const PAUSE_MAX_MS: u64 = 30_000;
/// How long the shop may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The header's value: `t=<seconds>,v1=<hex>`, over `<seconds>.<body>`.
#[must_use]
pub fn signature(secret: &str, seconds: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("an HMAC takes a key of any length");
    mac.update(seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    let mut hex = String::with_capacity(64);
    for byte in mac.finalize().into_bytes() {
        hex.push_str(&format!("{byte:02x}"));
    }
    format!("t={seconds},v1={hex}")
}

/// The parts that send.
#[derive(Debug)]
pub struct Sender {
    client: reqwest::Client,
    slots: Semaphore,
}

impl Sender {
    /// A sender without connections yet.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new() -> Result<Sender, reqwest::Error> {
        let client = reqwest::Client::builder().timeout(ANSWER_WITHIN).build()?;
        Ok(Sender { client, slots: Semaphore::new(DELIVERIES_AT_ONCE_MAX) })
    }
}

/// Delivers an event in the background, first after `delay`.
pub fn send_later(app: &Arc<App>, event: String, delay: Duration) {
    let app = Arc::clone(app);
    tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        send(&app, &event).await;
    });
}

/// Delivers an event until it is taken or given up; true when it was taken.
pub async fn send(app: &Arc<App>, event: &str) -> bool {
    for attempt in 0..TRIES_MAX {
        if try_once(app, event).await {
            app.lock().set_delivery(event, Delivery::Delivered);
            return true;
        }
        let pause = PAUSE_FIRST_MS.saturating_mul(1 << attempt.min(16)).min(PAUSE_MAX_MS);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    app.lock().set_delivery(event, Delivery::Failed);
    false
}

async fn try_once(app: &App, event: &str) -> bool {
    let Some(url) = app.switches().webhook_url.clone() else { return false };
    let Some(body) = app.lock().event(event).map(|event| event.body.clone()) else { return false };
    let Ok(_slot) = app.sender.slots.acquire().await else { return false };
    let signature = signature(&app.options.webhook_secret, app.seconds(), body.as_bytes());
    let request = app
        .sender
        .client
        .post(url)
        .header("content-type", "application/json; charset=utf-8")
        .header("stripe-signature", signature)
        .body(body);
    request.send().await.is_ok_and(|answer| answer.status().is_success())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_signature_covers_time_and_body() {
        let known = "t=1,v1=";
        let one = super::signature("whsec_a", 1, b"{}");
        assert!(one.starts_with(known) && one.len() == known.len() + 64);
        for other in [("whsec_b", 1, "{}"), ("whsec_a", 2, "{}"), ("whsec_a", 1, "{ }")] {
            assert_ne!(one, super::signature(other.0, other.1, other.2.as_bytes()));
        }
    }
}
