//! What goes wrong in a database, sorted by remedy when it leaves this crate.

use std::sync::Arc;

use taskcore::broker::{BoxError, BrokerError, ConnectError};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot run `{operation}` on `{store}`")]
    Statement {
        operation: &'static str,
        store: Arc<str>,
        #[source]
        source: sqlx::Error,
    },
    #[error("`{store}` was locked by other programs for {seconds} s")]
    Busy { store: Arc<str>, seconds: u64 },
    #[error("the thread that writes to `{store}` has stopped")]
    Stopped { store: Arc<str> },
    #[error("the store was closed by this program")]
    Closed,
    #[error("the batch has {jobs} jobs and the limit is {limit}")]
    Batch { jobs: usize, limit: usize },
    #[error("a job of task `{task}` has {bytes} bytes and the limit is {limit}")]
    Envelope { task: String, bytes: usize, limit: usize },
}

impl Error {
    /// What to do, if only people can do it.
    fn remedy(&self) -> Option<String> {
        match self {
            Self::Statement { store, source, .. } => remedy(store, source),
            Self::Batch { .. } => Some("split the batch".to_owned()),
            Self::Envelope { .. } => {
                Some("store the data elsewhere and pass a reference".to_owned())
            }
            Self::Busy { .. } | Self::Stopped { .. } | Self::Closed => None,
        }
    }

    /// The error at the seam; `source` is this error, owned or shared.
    fn classify(&self, source: BoxError) -> BrokerError {
        match (self, self.remedy()) {
            (Self::Closed, _) => BrokerError::Closed { broker: BROKER },
            (_, Some(reason)) => BrokerError::Refused { broker: BROKER, reason, source },
            (_, None) => BrokerError::Unavailable { broker: BROKER, source },
        }
    }
}

impl From<Error> for BrokerError {
    fn from(error: Error) -> Self {
        SharedError::from(error).into()
    }
}

/// One error that is the answer of several calls.
#[derive(Debug, Clone)]
pub(crate) struct SharedError(Arc<Error>);

impl SharedError {
    /// Whether the writer's thread has ended.
    pub(crate) fn is_stopped(&self) -> bool {
        matches!(*self.0, Error::Stopped { .. })
    }
}

impl From<Error> for SharedError {
    fn from(error: Error) -> Self {
        Self(Arc::new(error))
    }
}

impl From<SharedError> for BrokerError {
    fn from(SharedError(error): SharedError) -> Self {
        error.classify(Box::new(error.clone()))
    }
}

/// What keeps a file from being opened.
pub(crate) fn connect_error(store: &Arc<str>, source: sqlx::Error) -> ConnectError {
    match remedy(store, &source) {
        Some(remedy) => {
            let reason = format!("{remedy} ({})", taskcore::error_chain(&source));
            ConnectError::Unusable { store: store.to_string(), reason }
        }
        None => {
            let store = store.clone();
            ConnectError::Broker(Error::Statement { operation: "connect", store, source }.into())
        }
    }
}

/// The broker's name in errors, spans and metrics.
pub(crate) const BROKER: &str = "sqlite";

/// SQLite's primary result code; <https://www.sqlite.org/rescode.html>.
pub(crate) fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<u32>().ok().map(|extended| extended & 0xff)
}

/// Whether another connection has the lock: SQLITE_BUSY or SQLITE_LOCKED.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(5 | 6))
}

fn remedy(store: &str, error: &sqlx::Error) -> Option<String> {
    let remedy = match primary_code(error)? {
        // Busy, locked, out of memory, interrupted: a later try may succeed.
        5 | 6 | 7 | 9 => return None,
        8 => "it is read-only: make the file and its folder writable for this user",
        10 => "it cannot be read or written: look at the disk and at the system's log",
        11 => {
            "it is damaged: stop all programs that use it, then restore a backup, or salvage it with `sqlite3 FILE .recover`"
        }
        13 => "it cannot grow: free space on its disk, or raise its quota or `max_size`",
        14 => "it cannot be opened: create its folder, and let this user read and write there",
        23 => "the system denies access: let this user read and write it",
        26 => "it is not a SQLite database: give another path",
        _ => "SQLite does not accept a statement of ours: was the schema changed by hand?",
    };
    Some(format!("`{store}`: {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_succeed_later_is_unavailable_and_names_the_file() {
        for error in [
            Error::Busy { store: "tasks.db".into(), seconds: 10 },
            Error::Stopped { store: "tasks.db".into() },
            Error::Statement {
                operation: "settle",
                store: "tasks.db".into(),
                source: sqlx::Error::WorkerCrashed,
            },
        ] {
            let error = BrokerError::from(error);
            assert!(error.is_transient(), "{error:?}");
            assert!(taskcore::error_chain(&error).contains("tasks.db"), "{error:?}");
        }
    }

    #[test]
    fn what_only_people_can_mend_is_refused_with_what_to_do() {
        let error = BrokerError::from(Error::Batch { jobs: 20_000, limit: 10_000 });
        let text = taskcore::error_chain(&error);
        assert_eq!(
            text,
            "sqlite refused the call: split the batch: the batch has 20000 jobs and the limit is 10000"
        );
    }

    #[test]
    fn a_closed_store_is_closed() {
        assert!(matches!(BrokerError::from(Error::Closed), BrokerError::Closed { .. }));
    }
}
