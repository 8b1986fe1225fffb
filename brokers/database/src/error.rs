//! What goes wrong in a database, sorted by remedy when it leaves this crate.

use std::fmt;
use std::sync::Arc;

use taskcore::broker::{BoxError, BrokerError, ConnectError, OverLimit};

use crate::database::{Kind, Link};

/// Why a call failed, and on which database.
#[derive(Debug)]
pub(crate) struct Error {
    kind: Kind,
    problem: Problem,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.problem)
    }
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("cannot run `{operation}` on `{store}`")]
    Statement {
        operation: &'static str,
        store: Arc<str>,
        #[source]
        source: sqlx::Error,
    },
    #[error("nothing answers at `{store}`: start the server, or look at host and port in the URL")]
    Unanswered {
        store: Arc<str>,
        #[source]
        source: sqlx::Error,
    },
    #[error("`{store}` was locked by other programs for {seconds} s")]
    Busy { store: Arc<str>, seconds: u64 },
    #[error("`{store}` did not answer `{operation}` within {seconds} s")]
    Hung { operation: &'static str, store: Arc<str>, seconds: u64 },
    #[error(
        "no connection of the pool to `{store}` was free in time: give it more, and do not await a \
         call inside of a transaction when all the others may do so too"
    )]
    PoolBusy { store: Arc<str> },
    #[error("the thread that writes to `{store}` has stopped")]
    Stopped { store: Arc<str> },
    #[error("the store was closed by this program")]
    Closed,
    #[error("the transaction is on {found} and the store `{store}` is not")]
    OtherDatabase { found: &'static str, store: Arc<str> },
    #[error("the transaction on `{store}` reads what was there when it began")]
    Outdated { store: Arc<str> },
    #[error(transparent)]
    Limit(OverLimit),
}

impl Error {
    pub(crate) fn statement(link: &Link, operation: &'static str, source: sqlx::Error) -> Self {
        let store = link.label.clone();
        let problem = match source {
            sqlx::Error::PoolClosed => Problem::Closed,
            sqlx::Error::PoolTimedOut => Problem::PoolBusy { store },
            source => Problem::Statement { operation, store, source },
        };
        Self { kind: link.kind(), problem }
    }

    pub(crate) fn busy(link: &Link, seconds: u64) -> Self {
        let problem = Problem::Busy { store: link.label.clone(), seconds };
        Self { kind: link.kind(), problem }
    }

    pub(crate) fn hung(link: &Link, operation: &'static str, seconds: u64) -> Self {
        let problem = Problem::Hung { operation, store: link.label.clone(), seconds };
        Self { kind: link.kind(), problem }
    }

    pub(crate) fn other_database(link: &Link, found: Kind) -> Self {
        let problem = Problem::OtherDatabase { found: found.name(), store: link.label.clone() };
        Self { kind: link.kind(), problem }
    }

    pub(crate) fn outdated(link: &Link) -> Self {
        Self { kind: link.kind(), problem: Problem::Outdated { store: link.label.clone() } }
    }

    pub(crate) fn stopped(link: &Link) -> Self {
        Self { kind: link.kind(), problem: Problem::Stopped { store: link.label.clone() } }
    }

    pub(crate) fn closed(kind: Kind) -> Self {
        Self { kind, problem: Problem::Closed }
    }

    pub(crate) fn limit(kind: Kind, limit: OverLimit) -> Self {
        Self { kind, problem: Problem::Limit(limit) }
    }

    /// What to do, if only people can do it.
    fn remedy(&self) -> Option<String> {
        match &self.problem {
            Problem::Statement { store, source, .. } => remedy(self.kind, store, source),
            Problem::OtherDatabase { .. } => {
                Some("connect a client to the database of the transaction, and scope it".to_owned())
            }
            Problem::Outdated { .. } => Some(
                "begin the transaction with `READ COMMITTED`: it has to see for whom its job waits \
                 and who waits for it"
                    .to_owned(),
            ),
            Problem::Limit(limit) => Some(limit.remedy().to_owned()),
            Problem::Unanswered { .. }
            | Problem::Busy { .. }
            | Problem::Hung { .. }
            | Problem::PoolBusy { .. }
            | Problem::Stopped { .. }
            | Problem::Closed => None,
        }
    }

    /// The error at the seam; `source` is this error, owned or shared.
    fn classify(&self, source: BoxError) -> BrokerError {
        let broker = self.kind.name();
        match (&self.problem, self.remedy()) {
            (Problem::Closed, _) => BrokerError::Closed { broker },
            (Problem::Limit(limit), _) => limit.clone().of_broker(broker),
            (problem, Some(reason)) if problem.is_too_large(self.kind) => {
                BrokerError::TooLarge { broker, reason, source }
            }
            (_, Some(reason)) => BrokerError::Refused { broker, reason, source },
            (_, None) => BrokerError::Unavailable { broker, source },
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
        matches!(self.0.problem, Problem::Stopped { .. })
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

/// What keeps a store from being opened.
pub(crate) fn connect_error(kind: Kind, store: &Arc<str>, source: sqlx::Error) -> ConnectError {
    match remedy(kind, store, &source) {
        Some(remedy) => {
            let reason = format!("{remedy} ({})", taskcore::error_chain(&source));
            ConnectError::Unusable { store: store.to_string(), reason }
        }
        None => {
            let store = store.clone();
            let problem = match source {
                sqlx::Error::Io(_) if is_server(kind) => Problem::Unanswered { store, source },
                sqlx::Error::PoolTimedOut => Problem::PoolBusy { store },
                source => Problem::Statement { operation: "connect", store, source },
            };
            ConnectError::Broker(Error { kind, problem }.into())
        }
    }
}

fn is_server(kind: Kind) -> bool {
    match kind {
        #[cfg(feature = "sqlite")]
        Kind::Sqlite => false,
        #[cfg(feature = "postgres")]
        Kind::Postgres => true,
        #[cfg(feature = "mysql")]
        Kind::Mysql => true,
    }
}

/// What to do about an error, if only people can do it.
fn remedy(kind: Kind, store: &str, error: &sqlx::Error) -> Option<String> {
    let remedy = match kind {
        #[cfg(feature = "sqlite")]
        Kind::Sqlite => crate::sqlite::remedy(error)?,
        #[cfg(feature = "postgres")]
        Kind::Postgres => crate::postgres::remedy(error)?,
        #[cfg(feature = "mysql")]
        Kind::Mysql => crate::mysql::remedy(error)?,
    };
    Some(format!("`{store}`: {remedy}"))
}

impl Problem {
    /// Whether a value is larger than the database takes.
    fn is_too_large(&self, kind: Kind) -> bool {
        let Self::Statement { source, .. } = self else { return false };
        match kind {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite => of_database(source, |code| {
                // SQLITE_TOOBIG.
                code.parse::<u32>().is_ok_and(|extended| extended & 0xff == 18)
            }),
            #[cfg(feature = "postgres")]
            Kind::Postgres => of_database(source, |code| code == "54000"),
            #[cfg(feature = "mysql")]
            Kind::Mysql => crate::mysql::is_too_large(source),
        }
    }
}

/// Whether another connection has a lock that was waited for in vain.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    of_database(error, |code| {
        // SQLITE_BUSY and SQLITE_LOCKED; PostgreSQL's lock_not_available.
        let primary = code.parse::<u32>().ok().map(|extended| extended & 0xff);
        code == "55P03" || (code.len() < 5 && matches!(primary, Some(5 | 6)))
    })
}

/// Whether the database ended a transaction because of another one, and it may be run again.
pub(crate) fn is_transient(error: &sqlx::Error) -> bool {
    #[cfg(feature = "mysql")]
    if crate::mysql::is_transient(error) {
        return true;
    }
    // PostgreSQL: serialization_failure, deadlock_detected.
    of_database(error, |code| matches!(code, "40001" | "40P01"))
}

/// Whether a row is there already.
pub(crate) fn is_repeated(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}

/// Whether the server can keep no more notifications: PostgreSQL's program_limit_exceeded.
pub(crate) fn is_full(error: &sqlx::Error) -> bool {
    of_database(error, |code| code == "54000")
}

/// Whether the connection is lost, or the server is about to end it.
pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        #[cfg(feature = "mysql")]
        error if crate::mysql::is_lost(error) => true,
        // PostgreSQL: an administrator, a crash or a time-out ended the session.
        error => of_database(error, |code| {
            matches!(code, "57P01" | "57P02" | "57P03" | "57P05" | "25P03")
                || code.starts_with("08")
        }),
    }
}

fn of_database(error: &sqlx::Error, is_it: impl FnOnce(&str) -> bool) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| is_it(&code))
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;

    fn of(problem: Problem) -> BrokerError {
        BrokerError::from(Error { kind: Kind::Sqlite, problem })
    }

    #[test]
    fn what_may_succeed_later_is_unavailable_and_names_the_file() {
        for problem in [
            Problem::Busy { store: "tasks.db".into(), seconds: 10 },
            Problem::Stopped { store: "tasks.db".into() },
            Problem::Statement {
                operation: "settle",
                store: "tasks.db".into(),
                source: sqlx::Error::WorkerCrashed,
            },
        ] {
            let error = of(problem);
            assert!(error.is_transient(), "{error:?}");
            assert!(taskcore::error_chain(&error).contains("tasks.db"), "{error:?}");
        }
    }

    #[test]
    fn what_only_people_can_mend_is_refused_with_what_to_do() {
        let error = of(Problem::Limit(OverLimit::Batch { jobs: 20_000, limit: 10_000 }));
        let text = taskcore::error_chain(&error);
        assert_eq!(
            text,
            "sqlite refused the call: split the batch: the batch has 20000 jobs and the limit is 10000"
        );
    }

    #[test]
    fn a_closed_store_is_closed() {
        assert!(matches!(of(Problem::Closed), BrokerError::Closed { .. }));
    }
}
