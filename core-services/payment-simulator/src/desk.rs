//! The desk at which changes are made: the book is open, what is to be told is collected, and both leave together.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::book::{Book, Delivery, Dispute, Event, Refund, Transaction};
use crate::form::Form;
use crate::intent::{Card, Intent, Moment, Word};
use crate::refusal::Refusal;
use crate::{App, objects, webhook};

/// The first word about a card that duplicates is overtaken by the next one.
const OVERTAKEN_MS: u64 = 600;
/// A repeated webhook follows the first after this.
const REPEATED_AFTER_MS: u64 = 300;
/// What the provider keeps: a share in basis points …
const FEE_BASIS_POINTS: i64 = 150;
/// … and this many minor units a capture.
const FEE_FIXED: i64 = 25;

/// One visit to the book.
pub(crate) struct Desk<'a> {
    /// The book itself.
    pub(crate) book: &'a mut Book,
    /// When.
    pub(crate) moment: Moment,
    base: &'a str,
    told: Vec<(String, Option<Card>)>,
    timed: Vec<String>,
}

impl Desk<'_> {
    /// Seconds since 1970.
    pub(crate) fn seconds(&self) -> i64 {
        i64::try_from(self.moment.now_ms / 1_000).unwrap_or(i64::MAX)
    }

    /// An intent to work on.
    ///
    /// # Errors
    /// Refused when there is none.
    pub(crate) fn intent(&self, id: &str) -> Result<Intent, Refusal> {
        self.book.intent(id).cloned().ok_or_else(|| Refusal::missing("intent", id))
    }

    /// How an intent looks in the API.
    pub(crate) fn render(&self, intent: &Intent) -> Value {
        objects::intent(intent, self.base)
    }

    /// The same, with its charge spelled out when the caller asked for that.
    pub(crate) fn render_for(&self, intent: &Intent, form: &Form) -> Value {
        let mut value = self.render(intent);
        if intent.charge.is_some() && (form.expands("latest_charge") || form.expands("data.latest_charge")) {
            value["latest_charge"] = objects::charge(intent);
        }
        value
    }

    /// Keeps the intent, notes money taken since in the settlement report, and tells the word.
    pub(crate) fn keep(&mut self, intent: &Intent, word: Option<Word>) {
        let taken = intent.received - self.book.intent(&intent.id).map_or(0, |before| before.received);
        if taken > 0 {
            let fee = taken.saturating_mul(FEE_BASIS_POINTS) / 10_000 + FEE_FIXED;
            let source = intent.charge.clone().unwrap_or_default();
            self.settle("charge", intent, source, taken, fee);
        }
        self.book.put_intent(intent.clone());
        if intent.speaks_at_ms.is_some() || (intent.disputes_at_ms.is_some() && !intent.disputed) {
            self.timed.push(intent.id.clone());
        }
        if let Some(word) = word {
            let object = objects::intent(intent, self.base);
            self.tell(intent, word.event_type(), object);
        }
    }

    /// Gives `amount` back, tells it, and notes it in the settlement report.
    pub(crate) fn refund(&mut self, intent: &Intent, refund: Refund) {
        self.settle("refund", intent, refund.id.clone(), -refund.amount, 0);
        self.book.add_refund(refund);
        self.book.put_intent(intent.clone());
        self.tell(intent, "charge.refunded", objects::charge(intent));
    }

    /// The shopper's bank takes everything back that is not refunded.
    ///
    /// # Errors
    /// Refused when nothing was taken or it was disputed before.
    pub(crate) fn dispute(&mut self, mut intent: Intent) -> Result<(), Refusal> {
        let amount = intent.received - intent.refunded;
        if amount < 1 || intent.disputed {
            return Err(Refusal::invalid("payment_intent_unexpected_state", "intent", "there is nothing to dispute"));
        }
        intent.disputed = true;
        intent.disputes_at_ms = None;
        let dispute = Dispute { id: fresh_id("dp"), intent: intent.id.clone(), amount, created: self.seconds() };
        self.settle("adjustment", &intent, dispute.id.clone(), -amount, 0);
        self.book.put_intent(intent.clone());
        self.tell(&intent, "charge.dispute.created", objects::dispute(&dispute, &intent));
        self.book.add_dispute(dispute);
        Ok(())
    }

    fn settle(&mut self, kind: &str, intent: &Intent, source: String, amount: i64, fee: i64) {
        let created = self.seconds();
        self.book.add_transaction(Transaction {
            id: fresh_id("txn"),
            kind: kind.to_owned(),
            intent: intent.id.clone(),
            source,
            amount,
            fee,
            currency: intent.currency.clone(),
            created,
        });
    }

    fn tell(&mut self, intent: &Intent, kind: &str, object: Value) {
        let (id, created) = (fresh_id("evt"), self.seconds());
        let body = json!({
            "id": id, "object": "event", "api_version": objects::API_VERSION, "created": created,
            "data": {"object": object}, "livemode": false, "pending_webhooks": 1, "type": kind,
        });
        self.book.add_event(Event {
            id: id.clone(),
            kind: kind.to_owned(),
            intent: intent.id.clone(),
            body: body.to_string(),
            created,
            delivery: Delivery::Pending,
        });
        self.told.push((id, intent.card));
    }
}

/// Opens the book, lets `act` change it, writes the journal, and only then lets anything leave.
pub(crate) fn change<T>(app: &Arc<App>, act: impl FnOnce(&mut Desk<'_>) -> T) -> T {
    let (result, told, timed) = {
        let mut book = app.lock();
        let mut desk =
            Desk { book: &mut book, moment: app.moment(), base: &app.base, told: Vec::new(), timed: Vec::new() };
        let result = act(&mut desk);
        let (told, timed) = (desk.told, desk.timed);
        for (event, _) in &told {
            if let Some(delivery) = app.switches().keeps_back() {
                book.set_delivery(event, delivery);
            }
        }
        book.flush();
        (result, told, timed)
    };
    for (event, card) in told {
        dispatch(app, event, card);
    }
    for intent in timed {
        wait_for(app, &intent);
    }
    result
}

/// After a start: sends what was not taken yet, waits for what was slow.
pub(crate) fn resume(app: &Arc<App>) {
    let (pending, timed) = {
        let book = app.lock();
        let pending: Vec<_> = book.events().filter(|event| event.delivery == Delivery::Pending).collect();
        let pending: Vec<String> = pending.into_iter().map(|event| event.id.clone()).collect();
        let timed = book.intents().filter(|intent| intent.speaks_at_ms.is_some() || intent.disputes_at_ms.is_some());
        (pending, timed.map(|intent| intent.id.clone()).collect::<Vec<_>>())
    };
    for event in pending {
        webhook::send_later(app, event, Duration::ZERO);
    }
    for intent in timed {
        wait_for(app, &intent);
    }
}

fn dispatch(app: &Arc<App>, event: String, card: Option<Card>) {
    let (delay_ms, twice) = {
        let switches = app.switches();
        (switches.delay_ms, switches.duplicate)
    };
    let kind = {
        let book = app.lock();
        let Some(known) = book.event(&event) else { return };
        if known.delivery != Delivery::Pending {
            return;
        }
        known.kind.clone()
    };
    let disorderly = card == Some(Card::CardDuplicate);
    let overtaken = disorderly && kind == Word::Capturable.event_type();
    let first = Duration::from_millis(delay_ms + if overtaken { OVERTAKEN_MS } else { 0 });
    webhook::send_later(app, event.clone(), first);
    if twice || disorderly {
        webhook::send_later(app, event, first + Duration::from_millis(REPEATED_AFTER_MS));
    }
}

fn wait_for(app: &Arc<App>, id: &str) {
    let Some(intent) = app.lock().intent(id).cloned() else { return };
    let now_ms = app.moment().now_ms;
    for due_ms in [intent.speaks_at_ms, intent.disputes_at_ms].into_iter().flatten() {
        let (app, id) = (Arc::clone(app), id.to_owned());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(due_ms.saturating_sub(now_ms))).await;
            change(&app, |desk| fall_due(desk, &id));
        });
    }
}

/// What is due is done; what is no longer to be done is left alone.
fn fall_due(desk: &mut Desk<'_>, id: &str) {
    let Ok(mut intent) = desk.intent(id) else { return };
    let now_ms = desk.moment.now_ms;
    if intent.speaks_at_ms.is_some_and(|due_ms| due_ms <= now_ms)
        && let Ok(word) = intent.speak(true, desk.moment)
    {
        desk.keep(&intent, Some(word));
    }
    if intent.disputes_at_ms.is_some_and(|due_ms| due_ms <= now_ms) {
        // A refund in the meantime leaves nothing to dispute.
        let _ = desk.dispute(intent);
    }
}

/// A fresh id: prefix and 96 random bits.
pub(crate) fn fresh_id(prefix: &str) -> String {
    let mut bytes = [0u8; 12];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    let mut id = format!("{prefix}_");
    for byte in bytes {
        id.push_str(&format!("{byte:02x}"));
    }
    id
}
