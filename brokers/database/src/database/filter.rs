//! [`Query`]: a [`JobFilter`] as a statement.

use jiff::Timestamp;
use taskcore::broker::{JobFilter, JobState};

use super::args::Args;
use super::statements::filters as s;
use taskcore::broker::millis::ceil_ms;

/// A statement put together from constant fragments; everything of the user's is bound.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) sql: String,
    pub(super) args: Args,
    pub(super) source: &'static s::Source,
}

impl Query {
    /// Selects `columns` of the jobs that pass the filter, in no order yet.
    pub(super) fn of(columns: &'static str, filter: &JobFilter, now_ms: i64) -> Self {
        let source = source(filter);
        let mut query = Self { sql: columns.to_owned(), args: Args::new(), source };
        query.add(source.from);
        if let Some(ids) = &filter.ids {
            query.args.push(ids.clone());
        }
        query.add_states(&filter.states, now_ms);
        if let Some(task) = &filter.task {
            query.add(s::AND_TASK).args.push(task.as_str());
        }
        if let Some(queue) = &filter.queue {
            query.add(s::AND_QUEUE).args.push(queue.as_str());
        }
        if let Some(from) = filter.created_from {
            query.add(s::AND_CREATED_FROM).args.push(bound(from));
        }
        if let Some(before) = filter.created_before {
            query.add(s::AND_CREATED_BEFORE).args.push(bound(before));
        }
        query
    }

    fn add_states(&mut self, states: &[JobState], now_ms: i64) {
        for (place, state) in states.iter().enumerate() {
            self.add(if place == 0 { s::AND_ANY } else { s::OR });
            match state {
                JobState::Ready => self.add(s::IS_READY).args.push(now_ms),
                JobState::Scheduled => self.add(s::IS_SCHEDULED).args.push(now_ms),
                JobState::Running => drop(self.add(s::IS_RUNNING)),
                JobState::Blocked => drop(self.add(s::IS_BLOCKED)),
                state if state.is_final() => self.add(s::IS_FINAL).args.push(state.as_str()),
                _ => drop(self.add(s::IS_NEVER)),
            }
        }
        if !states.is_empty() {
            self.add(s::END_ANY);
        }
    }

    /// Adds a fragment; its parameters come next.
    pub(super) fn add(&mut self, fragment: &'static str) -> &mut Self {
        self.sql.push_str(fragment);
        self
    }
}

/// The way to the jobs that reads the fewest of others.
fn source(filter: &JobFilter) -> &'static s::Source {
    match (&filter.ids, filter.states.as_slice()) {
        (Some(_), _) => &s::OF_IDS,
        (None, [JobState::Failed]) => &s::OF_FAILED,
        (None, [JobState::Running]) => &s::OF_RUNNING,
        (None, [JobState::Blocked]) => &s::OF_BLOCKED,
        _ => &s::ALL,
    }
}

/// Stored times are whole milliseconds, so `created_at >= at` and `created_at < at` hold for
/// a stored time exactly if they hold for the next whole millisecond.
fn bound(at: Timestamp) -> i64 {
    ceil_ms(at)
}
