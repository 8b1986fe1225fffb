//! [`Connection`]: one store, seen through its traits.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::{Broker, BrokerError, History, Operate, Outbox, Reports, ResultStore, Schedules};
use crate::client::InvalidMode;

/// The faces of one store. A clone shares it.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Stores jobs and hands them out.
    pub broker: Arc<dyn Broker>,
    /// Keeps results; `None` if this set-up keeps none.
    pub results: Option<Arc<dyn ResultStore>>,
    /// Lists, cancels, replays; `None` if this set-up cannot.
    pub operate: Option<Arc<dyn Operate>>,
    /// Keeps schedules; `None` if this set-up cannot.
    pub schedules: Option<Arc<dyn Schedules>>,
    /// Keeps what running jobs say; `None` if this set-up cannot.
    pub reports: Option<Arc<dyn Reports>>,
    /// Tells what happened; `None` if this set-up cannot.
    pub history: Option<Arc<dyn History>>,
    /// Lets another broker carry its jobs; `None` if this set-up cannot.
    pub outbox: Option<Arc<dyn Outbox>>,
}

impl Connection {
    /// A connection to a store that is all of them.
    pub fn of<S>(store: Arc<S>) -> Self
    where
        S: Broker + ResultStore + Operate + Schedules + Reports + History,
    {
        Self {
            broker: store.clone(),
            results: Some(store.clone()),
            operate: Some(store.clone()),
            schedules: Some(store.clone()),
            reports: Some(store.clone()),
            history: Some(store),
            outbox: None,
        }
    }

    /// This connection to a store that is an outbox, too.
    #[must_use]
    pub fn with_outbox(mut self, outbox: Arc<dyn Outbox>) -> Self {
        self.outbox = Some(outbox);
        self
    }
}

/// A step that brings the tables of a store up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The version that it makes.
    pub version: i64,
    /// Its statements.
    pub sql: String,
}

/// Opens a URL; submitted to the link-time registry by the crate that knows the brokers, so
/// that a `.delay()` without a client can open `HEREAFTER_URL`, with `HEREAFTER_RESULTS`.
#[derive(Clone, Copy)]
pub struct Opener {
    /// Opens the URL.
    pub open: fn(String) -> BoxFuture<'static, Result<Connection, ConnectError>>,
    /// Adds the URL of a store of results, the second, to that of a broker.
    pub with_results: fn(&str, &str) -> Result<String, ConnectError>,
}

inventory::collect!(Opener);

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener").finish_non_exhaustive()
    }
}

/// Why a URL could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The text is no URL, or an option of it is wrong. The text is shown without its password.
    #[error("`{url}` is not a usable broker URL: {reason}")]
    InvalidUrl {
        /// The URL, without a password.
        url: String,
        /// What is wrong, and what to write instead.
        reason: String,
    },
    /// No broker of this build knows the scheme.
    #[error("no broker knows the URL scheme `{scheme}`; compiled in: {compiled_in}; {remedy}")]
    UnknownScheme {
        /// The scheme asked for.
        scheme: String,
        /// The schemes of this build.
        compiled_in: String,
        /// Which feature to add, or which schemes there are.
        remedy: String,
    },
    /// No broker at all is linked into this program.
    #[error("no broker is linked: enable a broker feature of `hereafter`, such as `sqlite`")]
    NoBroker,
    /// A variable that switches a mode on or off is neither.
    #[error(transparent)]
    Mode(#[from] InvalidMode),
    /// The broker could not be opened.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The store was written by a newer Hereafter.
    #[error(
        "`{store}` has schema version {found}, and this program knows versions up to {supported}: \
         upgrade the program"
    )]
    NewerSchema {
        /// Which store.
        store: String,
        /// The version found.
        found: i64,
        /// The newest version this program knows.
        supported: i64,
    },
    /// The store is not ours, or cannot be read or written.
    #[error("cannot use `{store}` as a task store: {reason}")]
    Unusable {
        /// Which store.
        store: String,
        /// What is wrong, and what to do.
        reason: String,
    },
}
