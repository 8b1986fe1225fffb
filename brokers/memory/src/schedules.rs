//! Schedules: jobs that come again and again.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use taskcore::broker::millis::{ceil_ms, later, timestamp};
use taskcore::broker::{
    BrokerError, DueSchedules, Enqueued, Fired, Firing, Found, Hold, NewSchedule, Put,
    ScheduleFilter, ScheduleRecord, Schedules, Seen,
};

use crate::broker::MemoryBroker;
use crate::state::State;

/// All schedules.
#[derive(Debug, Default)]
pub(crate) struct Timetable {
    by_name: BTreeMap<String, ScheduleRecord>,
    /// Those that are not held back and have not ended, by their next tick.
    ticking: BTreeSet<(Timestamp, String)>,
    /// Counts the changes of `ticking`, for those who wait for the next tick.
    pub(crate) changes: i64,
}

#[async_trait]
impl Schedules for MemoryBroker {
    async fn now(&self) -> Result<Timestamp, BrokerError> {
        self.step(|_, now_ms| timestamp(now_ms))
    }

    async fn put(&self, batch: &[NewSchedule]) -> Result<Vec<Put>, BrokerError> {
        Self::check_templates(batch)?;
        self.step(|state, now_ms| {
            batch.iter().map(|new| state.timetable.put(new, now_ms)).collect()
        })
    }

    async fn list(&self, filter: &ScheduleFilter) -> Result<Vec<ScheduleRecord>, BrokerError> {
        self.step(|state, _| state.timetable.list(filter))
    }

    async fn due(&self, limit: NonZeroU32, wait: Duration) -> Result<DueSchedules, BrokerError> {
        let store = self.open()?;
        let over_ms = later(store.clock.now_ms(), wait);
        let mut changes = store.schedules.listen();
        loop {
            let (found, next_ms) = store.step(|state, now_ms| {
                let now = timestamp(now_ms);
                let due = state.timetable.due(limit, now);
                (DueSchedules { now, due }, state.timetable.next_ms())
            });
            let is_over = found.now.as_millisecond() >= over_ms || self.closed.is_cancelled();
            if is_over || !found.due.is_empty() {
                return Ok(found);
            }
            let until_ms = next_ms.map_or(over_ms, |next_ms| next_ms.min(over_ms));
            changes.wait(&store.clock, until_ms, [&self.closed; 2]).await;
        }
    }

    async fn fire(&self, firing: &Firing) -> Result<Fired, BrokerError> {
        Self::check_limits(&firing.jobs)?;
        self.step(|state, now_ms| state.fire(firing, now_ms))
    }

    async fn hold(&self, names: &[String], hold: Hold) -> Result<Vec<Found>, BrokerError> {
        self.step(|state, _| {
            let hold_one =
                |name: &String| state.timetable.change(name, |record| record.hold = hold);
            names.iter().map(hold_one).collect()
        })
    }

    async fn delete(&self, names: &[String]) -> Result<Vec<Found>, BrokerError> {
        self.step(|state, _| names.iter().map(|name| state.timetable.delete(name)).collect())
    }
}

impl State {
    fn fire(&mut self, firing: &Firing, now_ms: i64) -> Fired {
        let Some(record) = self.timetable.by_name.get(&firing.name) else { return Fired::Stale };
        if firing.seen != (Seen { next: record.next, hold: record.hold }) {
            return Fired::Stale;
        }
        let answers = self.enqueue(&firing.jobs, now_ms);
        let stored = firing.jobs.iter().zip(answers);
        let new: Vec<_> = stored
            .filter(|(_, answer)| *answer == Enqueued::Stored)
            .map(|(job, _)| job.id)
            .collect();
        self.timetable.change(&firing.name, |record| {
            record.next = firing.next;
            record.last = firing.last.or(record.last);
            record.runs.extend(new);
            let extra = record.runs.len().saturating_sub(ScheduleRecord::RUNS);
            record.runs.drain(..extra);
        });
        Fired::Applied
    }
}

impl Timetable {
    fn put(&mut self, new: &NewSchedule, now_ms: i64) -> Put {
        let next = new.next.map(|next| timestamp(ceil_ms(next)));
        let put = match self.by_name.entry(new.name.clone()) {
            Entry::Vacant(place) => {
                place.insert(ScheduleRecord {
                    name: new.name.clone(),
                    spec: new.spec.clone(),
                    origin: new.origin,
                    next,
                    last: None,
                    hold: Hold::Running,
                    created_at: timestamp(now_ms),
                    runs: Vec::new(),
                    template: new.template.clone(),
                });
                Put::Stored
            }
            Entry::Occupied(place) => {
                let record = place.get();
                if record.spec == new.spec && record.next.is_some() {
                    Put::Kept
                } else {
                    Put::Changed
                }
            }
        };
        self.change(&new.name, |record| {
            record.origin = new.origin;
            record.template = new.template.clone();
            if put == Put::Changed {
                record.spec.clone_from(&new.spec);
                record.next = next;
            }
        });
        put
    }

    fn list(&self, filter: &ScheduleFilter) -> Vec<ScheduleRecord> {
        let is_match = |record: &&ScheduleRecord| {
            filter.names.as_ref().is_none_or(|names| names.contains(&record.name))
                && filter.origin.is_none_or(|origin| record.origin == origin)
        };
        self.by_name.values().filter(is_match).cloned().collect()
    }

    fn due(&self, limit: NonZeroU32, now: Timestamp) -> Vec<ScheduleRecord> {
        let due = self.ticking.iter().take_while(|(tick, _)| *tick <= now);
        let due = due.filter_map(|(_, name)| self.by_name.get(name));
        due.take(limit.get() as usize).cloned().collect()
    }

    fn next_ms(&self) -> Option<i64> {
        self.ticking.first().map(|(tick, _)| tick.as_millisecond())
    }

    /// Changes a schedule and lists it anew.
    fn change(&mut self, name: &str, change: impl FnOnce(&mut ScheduleRecord)) -> Found {
        let Some(record) = self.by_name.get_mut(name) else { return Found::Unknown };
        if let Some(tick) = record.next {
            self.ticking.remove(&(tick, name.to_owned()));
        }
        change(record);
        if let (Some(tick), Hold::Running) = (record.next, record.hold) {
            self.ticking.insert((tick, name.to_owned()));
        }
        self.changes += 1;
        Found::Known
    }

    fn delete(&mut self, name: &str) -> Found {
        match self.by_name.remove(name) {
            Some(record) => {
                if let Some(tick) = record.next {
                    self.ticking.remove(&(tick, record.name));
                }
                Found::Known
            }
            None => Found::Unknown,
        }
    }
}
