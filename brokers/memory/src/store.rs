//! [`Store`]: the state with its lock, its clock and its bells.

use std::sync::{Mutex, MutexGuard, PoisonError};

use taskcore::Clock;

use crate::signal::Signal;
use crate::state::State;

/// A number that changes whenever a bell is to ring.
type Change = fn(&State) -> i64;

/// What all connections to one store share.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) clock: Clock,
    state: Mutex<State>,
    /// Rings when a job may be claimed, or is due at a new time.
    pub(crate) work: Signal,
    /// Rings when a job became final.
    pub(crate) ends: Signal,
    /// Rings when a running job was cancelled.
    pub(crate) cancels: Signal,
    /// Rings when a schedule ticks next at another time.
    pub(crate) schedules: Signal,
    /// Rings when something happened.
    pub(crate) events: Signal,
    /// Rings when a job has said something, or became final.
    pub(crate) reports: Signal,
    /// Rings when a reader of a stream has asked for items.
    pub(crate) pulls: Signal,
}

impl Store {
    pub(crate) fn new(clock: Clock) -> Self {
        let state = Mutex::new(State::default());
        Self {
            clock,
            state,
            work: Signal::default(),
            ends: Signal::default(),
            cancels: Signal::default(),
            schedules: Signal::default(),
            events: Signal::default(),
            reports: Signal::default(),
            pulls: Signal::default(),
        }
    }

    /// Runs one atomic step, with what it means for the jobs that wait, then rings for what it
    /// changed.
    pub(crate) fn step<T>(&self, step: impl FnOnce(&mut State, i64) -> T) -> T {
        let mut state = self.lock();
        let changes = |state: &State| self.bells().map(|(_, change)| change(state));
        let before = changes(&state);
        // Read under the lock, so that times in the store never run backwards.
        let now_ms = self.clock.now_ms();
        let answer = step(&mut state, now_ms);
        state.pass_ends_on(now_ms);
        state.enter_ready();
        let after = changes(&state);
        drop(state);
        for (((bell, _), before), after) in self.bells().into_iter().zip(before).zip(after) {
            if before != after {
                bell.ring();
            }
        }
        answer
    }

    /// Each bell, and what has changed when it rings.
    fn bells(&self) -> [(&Signal, Change); 7] {
        [
            (&self.work, State::work),
            (&self.ends, |state| state.ended.next()),
            (&self.cancels, |state| state.cancelled.next()),
            (&self.schedules, |state| state.timetable.changes),
            (&self.events, |state| state.past.last() as i64),
            (&self.reports, |state| state.reports + state.ended.next()),
            (&self.pulls, |state| state.pulls),
        ]
    }

    /// A poisoned lock means a bug in a step of ours, which panicked in its caller already;
    /// the other callers go on.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
