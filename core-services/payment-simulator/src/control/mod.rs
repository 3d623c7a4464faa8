//! Ordering misbehaviour: switches, faults, and the JSON API that tests use. The page for people is in [`page`].

pub(crate) mod page;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::book::Delivery;
use crate::refusal::Refusal;
use crate::{App, desk, webhook};

/// Faults that may wait for their call at once.
const FAULTS_MAX: usize = 100;

/// What goes wrong with every webhook, and with the next calls.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Switches {
    /// Where webhooks go.
    pub webhook_url: Option<String>,
    /// Keep webhooks back until they are released.
    pub hold: bool,
    /// Throw webhooks away.
    pub drop: bool,
    /// Send each webhook twice.
    pub duplicate: bool,
    /// Send each webhook so much later, milliseconds.
    pub delay_ms: u64,
    /// What is to happen to the next calls.
    pub faults: Vec<Fault>,
}

/// A fault that waits for its call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// `create`, `confirm`, `capture`, `cancel`, `refund`, `retrieve`, `list`, `report` or `any`.
    pub operation: String,
    /// What goes wrong.
    pub mode: FaultMode,
    /// HTTP status of a refusal.
    #[serde(default = "default_status")]
    pub status: u16,
    /// How long it hangs, milliseconds.
    #[serde(default = "default_hang_ms")]
    pub hang_ms: u64,
    /// For how many calls.
    #[serde(default = "default_count")]
    pub count: u32,
}

fn default_status() -> u16 {
    500
}

fn default_hang_ms() -> u64 {
    30_000
}

fn default_count() -> u32 {
    1
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultMode {
    /// Answers an error and does nothing.
    Refuse,
    /// Hangs, then answers an error and does nothing.
    HangBefore,
    /// Does it and cuts the connection: unknown outcome.
    DropResponse,
    /// Does it and answers late.
    HangAfter,
    /// Answers with the intent as it is and does nothing: taken on for later.
    Postpone,
}

impl Switches {
    /// How webhooks are kept from leaving, if they are.
    pub(crate) fn keeps_back(&self) -> Option<Delivery> {
        match (self.drop, self.hold) {
            (true, _) => Some(Delivery::Dropped),
            (false, true) => Some(Delivery::Held),
            (false, false) => None,
        }
    }

    /// Takes the fault that is meant for this call.
    pub(crate) fn fault_for(&mut self, operation: &str) -> Option<Fault> {
        let at = self.faults.iter().position(|fault| fault.operation == operation || fault.operation == "any")?;
        let fault = self.faults[at].clone();
        self.faults[at].count = self.faults[at].count.saturating_sub(1);
        if self.faults[at].count == 0 {
            self.faults.remove(at);
        }
        Some(fault)
    }
}

/// The routes of the page and of the JSON API.
pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(page::show))
        .route("/healthz", get(|| async { "ok" }))
        .route("/form/switches", post(page::switches))
        .route("/form/fault", post(page::fault))
        .route("/form/events/{id}/resend", post(page::resend))
        .route("/form/intents/{id}/{verb}", post(page::act_on_intent))
        .route("/control/switches", get(show_switches).put(set_switches))
        .route("/control/faults", post(add_fault))
        .route("/control/events", get(events))
        .route("/control/release", post(release))
        .route("/control/events/{id}/resend", post(resend))
        .route("/control/intents/{id}/{verb}", post(act_on_intent))
}

async fn show_switches(State(app): State<Arc<App>>) -> Json<Switches> {
    Json(app.switches().clone())
}

async fn set_switches(State(app): State<Arc<App>>, headers: HeaderMap, Json(switches): Json<Switches>) -> Response {
    if let Some(refused) = foreign(&headers) {
        return refused;
    }
    *app.switches() = switches.clone();
    Json(switches).into_response()
}

async fn add_fault(State(app): State<Arc<App>>, headers: HeaderMap, Json(fault): Json<Fault>) -> Response {
    if let Some(refused) = foreign(&headers) {
        return refused;
    }
    let mut switches = app.switches();
    if switches.faults.len() >= FAULTS_MAX {
        return StatusCode::CONFLICT.into_response();
    }
    switches.faults.push(fault);
    StatusCode::NO_CONTENT.into_response()
}

async fn events(State(app): State<Arc<App>>) -> Json<Value> {
    let book = app.lock();
    let events = book.events().map(|event| {
        json!({"id": event.id, "type": event.kind, "intent": event.intent, "created": event.created,
            "delivery": event.delivery})
    });
    Json(json!({"events": events.collect::<Vec<_>>()}))
}

#[derive(Debug, Default, Deserialize)]
struct Release {
    /// In this order, each after the one before was answered; repeated ids are sent again. All held ones by default.
    events: Option<Vec<String>>,
}

/// Sends held (or any) events one after the other and answers when all were taken or given up.
async fn release(State(app): State<Arc<App>>, headers: HeaderMap, Json(asked): Json<Release>) -> Response {
    if let Some(refused) = foreign(&headers) {
        return refused;
    }
    let events = asked.events.unwrap_or_else(|| {
        let book = app.lock();
        book.events().filter(|event| event.delivery == Delivery::Held).map(|event| event.id.clone()).collect()
    });
    // Tracked beyond this connection: a caller that goes away does not stop the delivery half-way.
    let task = tokio::spawn(async move {
        let mut taken = 0;
        for event in &events {
            taken += usize::from(webhook::send(&app, event).await);
        }
        (events.len(), taken)
    });
    match task.await {
        Ok((sent, taken)) => Json(json!({"sent": sent, "taken": taken})).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn resend(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    if let Some(refused) = foreign(&headers) {
        return refused;
    }
    if app.lock().event(&id).is_none() {
        return StatusCode::NOT_FOUND.into_response();
    }
    webhook::send_later(&app, id, std::time::Duration::ZERO);
    StatusCode::ACCEPTED.into_response()
}

async fn act_on_intent(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path((id, verb)): Path<(String, String)>,
) -> Response {
    if let Some(refused) = foreign(&headers) {
        return refused;
    }
    match act(&app, &id, &verb) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(refusal) => (refusal.status, Json(refusal.body())).into_response(),
    }
}

/// `authorise`, `refuse` (a waiting card speaks), `approve`, `decline` (the challenge), `capture` (money moves without
/// being asked for, even after a cancellation), `overcharge` (too much of it), `reprice` (another amount is to be paid),
/// `dispute`, `lapse` (the authorisation ends).
pub(crate) fn act(app: &Arc<App>, id: &str, verb: &str) -> Result<(), Refusal> {
    desk::change(app, |desk| {
        let mut intent = desk.intent(id)?;
        let word = match verb {
            "authorise" | "refuse" => intent.speak(verb == "authorise", desk.moment)?,
            "approve" | "decline" => intent.challenge(verb == "approve", desk.moment)?,
            "capture" => {
                let (taken, word) = intent.force_capture(desk.moment);
                if taken == 0 {
                    return Err(Refusal::invalid("amount_too_large", "intent", "everything was captured"));
                }
                word
            }
            "overcharge" => intent.overcharge(desk.moment),
            "reprice" => intent.reprice(),
            "lapse" => intent.lapse(desk.seconds())?,
            "dispute" => return desk.dispute(intent),
            _ => return Err(Refusal::missing("verb", verb)),
        };
        desk.keep(&intent, Some(word));
        Ok(())
    })
}

/// A page of another site must not press these buttons.
pub(crate) fn foreign(headers: &HeaderMap) -> Option<Response> {
    let origin = headers.get(header::ORIGIN)?.to_str().unwrap_or_default();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let own = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) == Some(host);
    (!own).then(|| StatusCode::FORBIDDEN.into_response())
}
