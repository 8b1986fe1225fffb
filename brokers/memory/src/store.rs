//! [`Store`]: the state with its lock, its clock and its bells.

use std::sync::{Mutex, MutexGuard, PoisonError};

use taskcore::Clock;

use crate::signal::Signal;
use crate::state::State;

/// What all connections to one store share.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) clock: Clock,
    state: Mutex<State>,
    /// Rings when a job may be claimed, or is due at a new time.
    pub(crate) work: Signal,
    /// Rings when a job became final.
    pub(crate) ends: Signal,
}

impl Store {
    pub(crate) fn new(clock: Clock) -> Self {
        let state = Mutex::new(State::default());
        Self { clock, state, work: Signal::default(), ends: Signal::default() }
    }

    /// Runs one atomic step, then rings for what it changed.
    pub(crate) fn step<T>(&self, step: impl FnOnce(&mut State, i64) -> T) -> T {
        let mut state = self.lock();
        let (ends, work) = (state.ends(), state.work());
        // Read under the lock, so that times in the store never run backwards.
        let answer = step(&mut state, self.clock.now_ms());
        let (has_ends, has_work) = (state.ends() != ends, state.work() != work);
        drop(state);
        if has_ends {
            self.ends.ring();
        }
        if has_work {
            self.work.ring();
        }
        answer
    }

    /// A poisoned lock means a bug in a step of ours, which panicked in its caller already;
    /// the other callers go on.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
