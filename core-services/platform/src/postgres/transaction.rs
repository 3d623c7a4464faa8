//! Whole transactions: run, committed, and run again when they collided with others.

use std::{
    marker::PhantomData,
    ops::{Deref, DerefMut},
    time::Duration,
};

use futures::future::BoxFuture;
use sqlx::{Connection as _, PgConnection};

use super::{DatabaseError, Postgres, TransactionError, error};
use crate::telemetry::metrics;

/// Attempts of a transaction that collides (40001, 40P01) or loses its connection before `COMMIT`.
const ATTEMPTS_MAX: u32 = 6;
/// Milliseconds that the pause between two attempts grows by; attempts that collided once would collide again.
const PAUSE_STEP_MS: u64 = 4;

/// An open transaction: use it as a `PgConnection` (`&mut *tx`). It commits when the work returns `Ok`.
///
/// The lifetime `'env` says what the work may borrow from outside.
pub struct Tx<'t, 'env: 't> {
    connection: &'t mut PgConnection,
    appended: &'t mut bool,
    env: PhantomData<&'env ()>,
}

impl Tx<'_, '_> {
    /// Wakes the outbox publisher after the commit.
    pub(crate) fn note_appended(&mut self) {
        *self.appended = true;
    }
}

impl Deref for Tx<'_, '_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection
    }
}

impl DerefMut for Tx<'_, '_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection
    }
}

impl Postgres {
    /// Runs `work` in one transaction (READ COMMITTED) and commits when it returns `Ok`.
    ///
    /// A deadlock, a serialisation failure or a connection lost before `COMMIT` runs all of it again, so `work` does
    /// nothing but database work. A lost answer to `COMMIT` is [`DatabaseError::CommitUnknown`] and is not repeated.
    ///
    /// ```ignore
    /// let lines = &lines;
    /// postgres
    ///     .transaction(|mut tx| Box::pin(async move {
    ///         store::insert_lines(&mut tx, lines).await?;
    ///         outbox::append(&mut tx, &events).await?;
    ///         if too_late { return Err(TransactionError::Refused(Code::DeadlineExceeded.into())) }
    ///         Ok(())
    ///     }))
    ///     .await?;
    /// ```
    ///
    /// # Errors
    /// `Refused` with what the work refused with; `Database` otherwise.
    pub async fn transaction<'env, T, E, F>(&self, mut work: F) -> Result<T, TransactionError<E>>
    where
        F: for<'t> FnMut(Tx<'t, 'env>) -> BoxFuture<'t, Result<T, TransactionError<E>>> + Send,
        T: Send,
        E: Send,
    {
        let mut attempt = 1;
        loop {
            let error = match self.attempt(&mut work).await {
                Ok((value, appended)) => {
                    if appended {
                        self.appended.notify_one();
                    }
                    return Ok(value);
                }
                Err(error) => error,
            };
            let retriable = match &error {
                TransactionError::Database(DatabaseError::Contended(_)) => true,
                // A pool that gave no connection has waited long enough already.
                TransactionError::Database(DatabaseError::Unavailable(cause)) => {
                    !matches!(cause, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed)
                }
                _ => false,
            };
            if !retriable || attempt == ATTEMPTS_MAX {
                return Err(error);
            }
            metrics::counter("bodega_transaction_retries_total", &[("service", self.service)]).add(1);
            tokio::time::sleep(pause(attempt)).await;
            attempt += 1;
        }
    }

    async fn attempt<'env, T, E, F>(&self, work: &mut F) -> Result<(T, bool), TransactionError<E>>
    where
        F: for<'t> FnMut(Tx<'t, 'env>) -> BoxFuture<'t, Result<T, TransactionError<E>>> + Send,
    {
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        let mut appended = false;
        let tx = Tx { connection: &mut transaction, appended: &mut appended, env: PhantomData };
        // An error drops the transaction, which rolls it back.
        let value = work(tx).await?;
        match transaction.commit().await {
            Ok(()) => Ok((value, appended)),
            Err(cause) if error::is_collision(&cause) => Err(DatabaseError::Contended(cause).into()),
            Err(cause) if error::leaves_commit_unknown(&cause) => Err(DatabaseError::CommitUnknown(cause).into()),
            Err(cause) => Err(cause.into()),
        }
    }
}

/// Grows with the attempt, and differs between processes that collided.
fn pause(attempt: u32) -> Duration {
    let [jitter] = crate::entropy::Entropy.bytes::<1>();
    Duration::from_millis(u64::from(attempt) * PAUSE_STEP_MS + u64::from(jitter) * u64::from(attempt) / 32)
}
