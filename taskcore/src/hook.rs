//! [`StartHook`]: what runs when a worker starts.

use std::fmt;

use futures::future::BoxFuture;

use crate::broker::BoxError;
use crate::client::Client;
use crate::state::StateMap;

/// What a start hook works on: it may provide state, and delay calls.
#[derive(Debug)]
pub struct Start {
    client: Client,
    states: StateMap,
}

impl Start {
    /// A start with nothing provided yet; for whoever runs hooks.
    #[must_use]
    pub fn new(client: Client, states: StateMap) -> Self {
        Self { client, states }
    }

    /// Provides a value for `State<T>` parameters; a later value of the same type wins.
    pub fn provide<T: Clone + Send + Sync + 'static>(&mut self, value: T) {
        self.states.insert(value);
    }

    /// What an earlier hook provided.
    #[must_use]
    pub fn provided<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.states.value()
    }

    /// The worker's client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// All that was provided.
    #[must_use]
    pub fn into_states(self) -> StateMap {
        self.states
    }
}

/// A function that runs before a worker asks for its first job. `#[on_start]` registers one.
#[derive(Clone, Copy)]
pub struct StartHook {
    /// Its path, for logs and errors.
    pub name: &'static str,
    /// Hooks run by this number, lowest first, then by file and line.
    pub order: i32,
    /// The file of the function.
    pub file: &'static str,
    /// The line of the function.
    pub line: u32,
    /// Runs it; an error ends the worker before it started.
    pub run: for<'a> fn(&'a mut Start) -> BoxFuture<'a, Result<(), BoxError>>,
}

inventory::collect!(StartHook);

impl StartHook {
    /// The hooks linked into this program, in the order in which they run.
    #[must_use]
    pub fn linked() -> Vec<&'static Self> {
        let mut hooks: Vec<_> = inventory::iter::<Self>.into_iter().collect();
        hooks.sort_by_key(|hook| (hook.order, hook.file, hook.line));
        hooks
    }
}

impl fmt::Debug for StartHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StartHook({} at {}:{})", self.name, self.file, self.line)
    }
}
