//! What the current Tokio task is surrounded by: a client, state, a running job.

use std::future::Future;

use crate::client::Client;
use crate::context::Context;
use crate::state::StateMap;

tokio::task_local! {
    static SCOPE: Scope;
}

/// The surroundings of a Tokio task. Never global: it ends with the future it was given to.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// The client that `.delay()` uses.
    pub client: Option<Client>,
    /// The values that `State` parameters of direct calls get.
    pub states: StateMap,
    /// The job that runs here.
    pub context: Option<Context>,
}

impl Scope {
    /// Runs a future in this scope.
    pub async fn run<F: Future>(self, future: F) -> F::Output {
        SCOPE.scope(self, future).await
    }

    /// Runs a function in this scope.
    pub fn run_here<T>(self, function: impl FnOnce() -> T) -> T {
        SCOPE.sync_scope(self, function)
    }
}

/// A copy of the current scope; empty outside of any.
pub fn current() -> Scope {
    SCOPE.try_with(Clone::clone).unwrap_or_default()
}

/// The job that runs in the current scope.
pub(crate) fn context() -> Option<Context> {
    SCOPE.try_with(|scope| scope.context.clone()).ok().flatten()
}

/// The client of the current scope.
pub(crate) fn client() -> Option<Client> {
    SCOPE.try_with(|scope| scope.client.clone()).ok().flatten()
}
