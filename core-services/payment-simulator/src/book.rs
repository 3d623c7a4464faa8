//! What the simulator remembers, and the journal that lets it remember after a restart.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::intent::Intent;

/// Answers remembered by idempotency key; the oldest are forgotten first.
const ANSWERS_MAX: usize = 100_000;

/// Money given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// `re_…`.
    pub id: String,
    /// Whose money.
    pub intent: String,
    /// Minor units.
    pub amount: i64,
    /// Seconds since 1970.
    pub created: i64,
    /// What the shop wants back.
    pub metadata: BTreeMap<String, String>,
}

/// A shopper's bank takes the money back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// `dp_…`.
    pub id: String,
    /// Which payment.
    pub intent: String,
    /// Minor units.
    pub amount: i64,
    /// Seconds since 1970.
    pub created: i64,
}

/// A line of the settlement report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// `txn_…`.
    pub id: String,
    /// `charge`, `refund`, `adjustment`.
    pub kind: String,
    /// Which payment.
    pub intent: String,
    /// `ch_…`, `re_…` or `dp_…`.
    pub source: String,
    /// Minor units; what the shopper paid, negative when money goes back.
    pub amount: i64,
    /// Minor units; what the provider keeps.
    pub fee: i64,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Seconds since 1970.
    pub created: i64,
}

/// A webhook event with the bytes that are sent, so that every delivery is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// `evt_…`.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// Which payment.
    pub intent: String,
    /// The JSON body.
    pub body: String,
    /// Seconds since 1970.
    pub created: i64,
    /// How it stands with the delivery.
    pub delivery: Delivery,
}

/// How it stands with an event's delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Being sent, or waiting for its next try.
    Pending,
    /// Kept back until released.
    Held,
    /// Thrown away on request.
    Dropped,
    /// Taken by the shop.
    Delivered,
    /// Given up after the last try.
    Failed,
}

impl Delivery {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Delivery::Pending => "pending",
            Delivery::Held => "held",
            Delivery::Dropped => "dropped",
            Delivery::Delivered => "delivered",
            Delivery::Failed => "failed",
        }
    }
}

/// The answer that an idempotency key got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Hash of method, path and body.
    pub fingerprint: String,
    /// HTTP status.
    pub status: u16,
    /// JSON body.
    pub body: Value,
}

/// One line of the journal: the whole new value; the last one counts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
enum Record {
    Intent { value: Intent },
    Refund { value: Refund },
    Dispute { value: Dispute },
    Transaction { value: Transaction },
    Event { value: Event },
    Delivery { event: String, delivery: Delivery },
    Answer { key: String, answer: Answer },
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system refused.
    #[error("journal {path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A line other than the last is damaged.
    #[error("journal {path}, line {line} is damaged: {source}")]
    Line {
        /// Which file.
        path: String,
        /// Counted from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
}

/// Everything the simulator remembers.
#[derive(Debug, Default)]
pub struct Book {
    intents: HashMap<String, Intent>,
    /// Ids in order of creation.
    intent_order: Vec<String>,
    events: HashMap<String, Event>,
    event_order: Vec<String>,
    refunds: Vec<Refund>,
    disputes: Vec<Dispute>,
    transactions: Vec<Transaction>,
    answers: HashMap<String, Answer>,
    answer_order: VecDeque<String>,
    journal: Option<BufWriter<File>>,
}

impl Book {
    /// Replays the journal at `path` and goes on writing to it; without a path nothing is kept.
    ///
    /// # Errors
    /// When the file cannot be read or written, or is damaged other than by a torn last line.
    pub fn open(path: Option<&Path>) -> Result<Book, JournalError> {
        let mut book = Book::default();
        let Some(path) = path else { return Ok(book) };
        let at = |source| JournalError::File { path: path.display().to_string(), source };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(at)?;
        }
        let file = OpenOptions::new().create(true).read(true).append(true).open(path).map_err(at)?;
        let lines = BufReader::new(&file).lines().collect::<Result<Vec<_>, _>>().map_err(at)?;
        let last = lines.len();
        let mut torn = false;
        for (index, line) in lines.into_iter().enumerate() {
            match serde_json::from_str(&line) {
                Ok(record) => book.apply(record),
                // Killed while writing: the call was never answered from this line.
                Err(_) if index + 1 == last => torn = true,
                Err(source) => {
                    return Err(JournalError::Line { path: path.display().to_string(), line: index + 1, source });
                }
            }
        }
        // Appending to a torn line would damage the next one too.
        book.journal = Some(if torn { book.rewrite(path).map_err(at)? } else { BufWriter::new(file) });
        Ok(book)
    }

    /// Writes everything anew beside the old file, then takes its place.
    fn rewrite(&self, path: &Path) -> std::io::Result<BufWriter<File>> {
        let fresh = path.with_extension("new");
        let mut journal = BufWriter::new(File::create(&fresh)?);
        let intents = self.intents().map(|value| Record::Intent { value: value.clone() });
        let refunds = self.refunds.iter().map(|value| Record::Refund { value: value.clone() });
        let disputes = self.disputes.iter().map(|value| Record::Dispute { value: value.clone() });
        let transactions = self.transactions.iter().map(|value| Record::Transaction { value: value.clone() });
        let events = self.events().map(|value| Record::Event { value: value.clone() });
        let answers = self.answer_order.iter().filter_map(|key| {
            self.answers.get(key).map(|answer| Record::Answer { key: key.clone(), answer: answer.clone() })
        });
        for record in intents.chain(refunds).chain(disputes).chain(transactions).chain(events).chain(answers) {
            serde_json::to_writer(&mut journal, &record)?;
            journal.write_all(b"\n")?;
        }
        journal.flush()?;
        std::fs::rename(&fresh, path)?;
        Ok(journal)
    }

    fn apply(&mut self, record: Record) {
        match record {
            Record::Intent { value } => {
                if !self.intents.contains_key(&value.id) {
                    self.intent_order.push(value.id.clone());
                }
                self.intents.insert(value.id.clone(), value);
            }
            Record::Refund { value } => self.refunds.push(value),
            Record::Dispute { value } => self.disputes.push(value),
            Record::Transaction { value } => self.transactions.push(value),
            Record::Event { value } => {
                self.event_order.push(value.id.clone());
                self.events.insert(value.id.clone(), value);
            }
            Record::Delivery { event, delivery } => {
                if let Some(event) = self.events.get_mut(&event) {
                    event.delivery = delivery;
                }
            }
            Record::Answer { key, answer } => {
                self.answer_order.push_back(key.clone());
                self.answers.insert(key, answer);
                if self.answer_order.len() > ANSWERS_MAX
                    && let Some(oldest) = self.answer_order.pop_front()
                {
                    self.answers.remove(&oldest);
                }
            }
        }
    }

    fn write(&mut self, record: Record) {
        if let Some(journal) = &mut self.journal {
            let written = serde_json::to_writer(&mut *journal, &record)
                .map_err(std::io::Error::from)
                .and_then(|()| journal.write_all(b"\n"));
            if let Err(error) = written {
                eprintln!("payment simulator: the journal cannot be written: {error}");
            }
        }
        self.apply(record);
    }

    /// Hands what was written to the operating system; called before an answer leaves.
    pub fn flush(&mut self) {
        if let Some(Err(error)) = self.journal.as_mut().map(Write::flush) {
            eprintln!("payment simulator: the journal cannot be written: {error}");
        }
    }

    /// An intent by id.
    #[must_use]
    pub fn intent(&self, id: &str) -> Option<&Intent> {
        self.intents.get(id)
    }

    /// All intents, oldest first.
    pub fn intents(&self) -> impl DoubleEndedIterator<Item = &Intent> {
        self.intent_order.iter().filter_map(|id| self.intents.get(id))
    }

    /// All events, oldest first.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.event_order.iter().filter_map(|id| self.events.get(id))
    }

    /// An event by id.
    #[must_use]
    pub fn event(&self, id: &str) -> Option<&Event> {
        self.events.get(id)
    }

    /// All refunds, oldest first.
    #[must_use]
    pub fn refunds(&self) -> &[Refund] {
        &self.refunds
    }

    /// All disputes, oldest first.
    #[must_use]
    pub fn disputes(&self) -> &[Dispute] {
        &self.disputes
    }

    /// The settlement report, oldest first.
    #[must_use]
    pub fn transactions(&self) -> &[Transaction] {
        &self.transactions
    }

    /// The answer that a key got.
    #[must_use]
    pub fn answer(&self, key: &str) -> Option<&Answer> {
        self.answers.get(key)
    }

    /// Keeps an intent.
    pub fn put_intent(&mut self, value: Intent) {
        self.write(Record::Intent { value });
    }

    /// Keeps a refund.
    pub fn add_refund(&mut self, value: Refund) {
        self.write(Record::Refund { value });
    }

    /// Keeps a dispute.
    pub fn add_dispute(&mut self, value: Dispute) {
        self.write(Record::Dispute { value });
    }

    /// Keeps a line of the settlement report.
    pub fn add_transaction(&mut self, value: Transaction) {
        self.write(Record::Transaction { value });
    }

    /// Keeps an event.
    pub fn add_event(&mut self, value: Event) {
        self.write(Record::Event { value });
    }

    /// Notes how it stands with a delivery.
    pub fn set_delivery(&mut self, event: &str, delivery: Delivery) {
        if self.events.get(event).is_some_and(|known| known.delivery != delivery) {
            self.write(Record::Delivery { event: event.to_owned(), delivery });
        }
    }

    /// Keeps a key's answer.
    pub fn add_answer(&mut self, key: String, answer: Answer) {
        self.write(Record::Answer { key, answer });
    }
}
