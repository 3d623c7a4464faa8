//! What can go wrong between a service and its database, told apart by what the caller may do next.

use bodega_domain::{Code, Failure};

/// A failed piece of database work.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// No connection, or it was lost before `COMMIT` was sent: inside a transaction, surely nothing was done.
    #[error("the database cannot be reached: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// `COMMIT` was sent and no answer came: read again what became of it, never call it failed.
    #[error("the outcome of a commit is not known: {0}")]
    CommitUnknown(#[source] sqlx::Error),
    /// Serialisation failures or deadlocks outlasted every retry: nothing was done.
    #[error("the transaction kept colliding with others: {0}")]
    Contended(#[source] sqlx::Error),
    /// A constraint refused it; its name is in [`DatabaseError::constraint`].
    #[error("a constraint was violated: {0}")]
    Constraint(#[source] sqlx::Error),
    /// A fault of ours: wrong SQL, a row that cannot be read.
    #[error("a statement failed: {0}")]
    Statement(#[source] sqlx::Error),
}

/// SQLSTATE classes and codes (PostgreSQL 15, appendix A) that mean the connection or the server went away.
fn is_disconnection(state: &str) -> bool {
    // 57014 is a cancelled statement, which leaves the connection alive.
    state.starts_with("08") || state.starts_with("57P") || state == "53300"
}

/// A deadlock or a serialisation failure: the whole transaction may simply be run again.
pub(super) fn is_collision(error: &sqlx::Error) -> bool {
    matches!(state_of(error).as_deref(), Some("40001" | "40P01"))
}

/// After `COMMIT`: did the server say that it failed, or do we not know?
pub(super) fn leaves_commit_unknown(error: &sqlx::Error) -> bool {
    state_of(error).is_none_or(|state| is_disconnection(&state))
}

fn state_of(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|e| e.code()).map(std::borrow::Cow::into_owned)
}

impl DatabaseError {
    /// The name of the violated constraint.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Constraint(error) => error.as_database_error().and_then(|e| e.constraint()),
            _ => None,
        }
    }

    /// Whether the same work may be tried again as it is, because surely nothing was done.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Contended(_))
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => match database.code().as_deref() {
                Some("40001" | "40P01" | "55P03") => Self::Contended(error),
                Some(state) if is_disconnection(state) => Self::Unavailable(error),
                Some(state) if state.starts_with("23") => Self::Constraint(error),
                _ => Self::Statement(error),
            },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            _ => Self::Statement(error),
        }
    }
}

impl From<DatabaseError> for Failure {
    /// The cause goes to the log, under the request id of the current span; the caller learns what to do.
    fn from(error: DatabaseError) -> Self {
        let code = match &error {
            DatabaseError::Unavailable(_) => Code::CoreUnavailable,
            DatabaseError::CommitUnknown(_) => Code::OutcomeUnknown,
            DatabaseError::Contended(_) => Code::Overloaded,
            DatabaseError::Constraint(_) | DatabaseError::Statement(_) => Code::Internal,
        };
        match code {
            Code::Internal => {
                tracing::error!(error = %error, "database work failed");
                Failure::internal()
            }
            _ => {
                tracing::warn!(error = %error, %code, "database work did not go through");
                Failure::from(code).retry_after_s(1)
            }
        }
    }
}

/// Why a transaction ended without its effect.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError<E> {
    /// The database did not go along.
    #[error(transparent)]
    Database(DatabaseError),
    /// The work itself refused; everything it wrote was rolled back.
    #[error("refused: {0}")]
    Refused(E),
}

impl<E> From<DatabaseError> for TransactionError<E> {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl<E> From<sqlx::Error> for TransactionError<E> {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<TransactionError<Failure>> for Failure {
    fn from(error: TransactionError<Failure>) -> Self {
        match error {
            TransactionError::Database(error) => error.into(),
            TransactionError::Refused(failure) => failure,
        }
    }
}

impl From<TransactionError<std::convert::Infallible>> for DatabaseError {
    fn from(error: TransactionError<std::convert::Infallible>) -> Self {
        match error {
            TransactionError::Database(error) => error,
            TransactionError::Refused(never) => match never {},
        }
    }
}
