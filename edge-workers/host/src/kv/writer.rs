//! The one writer: takes what is waiting, commits it together, answers.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use redb::{Database, Durability, ReadableTable};
use tokio::sync::oneshot;

use super::expiry::{self, Rule};
use super::{Error, FLUSH_INTERVAL, Table};

/// Writes that share a commit at most: bounds the time that the first of them waits for the last.
const BATCH_MAX: usize = 512;

/// One change of one key.
pub(super) enum Change {
    Set(Vec<u8>),
    Delete,
    Swap {
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
    },
    Increment(i64),
    Flush,
    /// Removes what has expired.
    Sweep,
}

impl Change {
    /// Whether its answer promises that it survives a power cut.
    fn is_durable(&self) -> bool {
        matches!(self, Self::Swap { .. } | Self::Increment(_) | Self::Flush)
    }
}

/// A change on its way to the writer.
pub(super) struct Write {
    pub(super) store: Arc<str>,
    pub(super) key: String,
    pub(super) change: Change,
    /// Days since 1970.
    pub(super) today: u32,
    pub(super) answer: oneshot::Sender<Result<Answer, Error>>,
}

/// What became of a change.
pub(super) enum Answer {
    Done,
    Swap(Swap),
    Counter(i64),
    Swept(usize),
}

/// What became of a compare-and-swap.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Swap {
    Swapped,
    /// Another value was there; nothing was written.
    Lost(Option<Vec<u8>>),
}

/// Runs until the last handle is dropped, then makes what is left durable.
pub(super) fn run(database: &Database, rules: &[Rule], queue: &Receiver<Write>) {
    let mut dirty_since: Option<Instant> = None;
    loop {
        let wait = dirty_since.map_or(FLUSH_INTERVAL, |since| FLUSH_INTERVAL.saturating_sub(since.elapsed()));
        let mut batch = match queue.recv_timeout(wait) {
            Ok(first) => vec![first],
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => break,
        };
        while batch.len() < BATCH_MAX
            && let Ok(next) = queue.try_recv()
        {
            batch.push(next);
        }
        let overdue = dirty_since.is_some_and(|since| since.elapsed() >= FLUSH_INTERVAL);
        if batch.is_empty() && !overdue {
            continue;
        }
        let durable = overdue || batch.iter().any(|write| write.change.is_durable());
        match commit(database, rules, &batch, durable) {
            Ok(answers) => {
                for (write, answer) in batch.into_iter().zip(answers) {
                    // The asker may have gone away; what was written stays.
                    let _ = write.answer.send(answer);
                }
                dirty_since = if durable { None } else { dirty_since.or_else(|| Some(Instant::now())) };
            }
            Err(error) => {
                tracing::error!(%error, writes = batch.len(), "a commit of the key-value store failed");
                for write in batch {
                    let _ = write.answer.send(Err(error.clone()));
                }
            }
        }
    }
    if dirty_since.is_some()
        && let Err(error) = commit(database, rules, &[], true)
    {
        tracing::error!(%error, "the last commit of the key-value store failed");
    }
}

fn commit(
    database: &Database,
    rules: &[Rule],
    batch: &[Write],
    durable: bool,
) -> Result<Vec<Result<Answer, Error>>, Error> {
    let mut transaction = database.begin_write()?;
    transaction
        .set_durability(if durable { Durability::Immediate } else { Durability::None })
        .map_err(|error| redb::Error::Io(std::io::Error::other(error)))?;
    let mut answers = Vec::with_capacity(batch.len());
    for run in batch.chunk_by(|a, b| a.store == b.store) {
        if run[0].store.is_empty() {
            for write in run {
                answers.push(Ok(match write.change {
                    Change::Sweep => Answer::Swept(expiry::sweep(&transaction, write.today)?),
                    _ => Answer::Done,
                }));
            }
            continue;
        }
        let begun = answers.len();
        let mut table = transaction.open_table(Table::new(&run[0].store))?;
        for write in run {
            answers.push(apply(&mut table, write)?);
        }
        drop(table);
        for (write, answer) in run.iter().zip(&answers[begun..]) {
            if wrote(write, answer) {
                expiry::touch(&transaction, rules, &write.store, &write.key, write.today)?;
            }
        }
    }
    transaction.commit()?;
    Ok(answers)
}

/// Whether the key has a new value.
fn wrote(write: &Write, answer: &Result<Answer, Error>) -> bool {
    let refused = matches!(answer, Err(_) | Ok(Answer::Swap(Swap::Lost(_))));
    !refused && !matches!(write.change, Change::Delete)
}

/// `Err` outside: the transaction is broken; inside: this change alone was refused.
fn apply(
    table: &mut redb::Table<'_, &'static str, &'static [u8]>,
    write: &Write,
) -> Result<Result<Answer, Error>, Error> {
    let key = write.key.as_str();
    Ok(Ok(match &write.change {
        Change::Set(value) => {
            table.insert(key, value.as_slice())?;
            Answer::Done
        }
        Change::Delete => {
            table.remove(key)?;
            Answer::Done
        }
        Change::Swap { expected, value } => {
            let current = table.get(key)?.map(|current| current.value().to_vec());
            if current == *expected {
                table.insert(key, value.as_slice())?;
                Answer::Swap(Swap::Swapped)
            } else {
                Answer::Swap(Swap::Lost(current))
            }
        }
        Change::Increment(delta) => {
            let current = table.get(key)?.map(|current| <[u8; 8]>::try_from(current.value()));
            let current = match current {
                None => 0,
                Some(Ok(bytes)) => i64::from_le_bytes(bytes),
                Some(Err(_)) => return Ok(Err(Error::NotACounter)),
            };
            let Some(sum) = current.checked_add(*delta) else { return Ok(Err(Error::NotACounter)) };
            table.insert(key, sum.to_le_bytes().as_slice())?;
            Answer::Counter(sum)
        }
        Change::Flush | Change::Sweep => Answer::Done,
    }))
}
