//! [`State`]: values that a worker, a test or a scope provides to tasks.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::scope;

/// A parameter that is filled in where the task runs, and does not appear in the call.
///
/// In a worker the value comes from a start hook; run here, from
/// [`Call::with`](crate::Call::with) or from the current scope. Each run gets a clone, so put
/// a pool, or an `Arc`, inside.
#[derive(Debug, Clone, Copy)]
pub struct State<T>(pub T);

/// Values by type; a clone shares them until it is changed.
#[derive(Clone, Default)]
pub struct StateMap {
    /// `None` if there are none, as for most calls.
    values: Option<Arc<HashMap<TypeId, Entry>>>,
}

#[derive(Clone)]
struct Entry {
    name: &'static str,
    value: Arc<dyn Any + Send + Sync>,
}

impl StateMap {
    /// Adds a value; one of the same type is replaced.
    pub fn insert<T: Clone + Send + Sync + 'static>(&mut self, value: T) {
        let entry = Entry { name: std::any::type_name::<T>(), value: Arc::new(value) };
        Arc::make_mut(self.values.get_or_insert_default()).insert(TypeId::of::<T>(), entry);
    }

    /// Adds the values of another map, which win.
    pub(crate) fn extend(&mut self, other: &Self) {
        let Some(others) = &other.values else { return };
        let others = others.iter().map(|(id, entry)| (*id, entry.clone()));
        Arc::make_mut(self.values.get_or_insert_default()).extend(others);
    }

    /// A clone of the value of this type. `()` is always there.
    #[must_use]
    pub fn value<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        let entry = self.values.as_ref().and_then(|values| values.get(&TypeId::of::<T>()));
        let value: &dyn Any = entry.map_or(&(), |entry| &*entry.value);
        value.downcast_ref::<T>().cloned()
    }

    /// Whether there is a value of this type.
    #[must_use]
    pub fn has(&self, type_id: TypeId) -> bool {
        type_id == TypeId::of::<()>()
            || self.values.as_ref().is_some_and(|values| values.contains_key(&type_id))
    }
}

impl fmt::Debug for StateMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.iter().flat_map(|values| values.values());
        f.debug_set().entries(values.map(|entry| entry.name)).finish()
    }
}

/// Runs `future` with `value` as state for the calls that it runs here.
///
/// ```
/// # use taskcore::scope_state;
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let answer = scope_state("a connection", async { 42 }).await;
/// assert_eq!(answer, 42);
/// # });
/// ```
pub async fn scope_state<T, F>(value: T, future: F) -> F::Output
where
    T: Clone + Send + Sync + 'static,
    F: Future,
{
    let mut scope = scope::current();
    scope.states.insert(value);
    scope.run(future).await
}
