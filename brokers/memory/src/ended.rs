//! What stays of jobs when nothing else does: [`IdLog`] and [`Forgotten`].

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use taskcore::JobId;

use taskcore::broker::millis::later;

/// The ids of the jobs to which something happened last, numbered. Bounded: it feeds a hint.
#[derive(Debug, Default)]
pub(crate) struct IdLog {
    first: i64,
    ids: VecDeque<JobId>,
}

impl IdLog {
    /// 4 MiB of ids; a reader that falls further behind looks its jobs up.
    const CAPACITY: usize = 1 << 18;

    pub(crate) fn push(&mut self, id: JobId) {
        if self.ids.len() == Self::CAPACITY {
            self.ids.pop_front();
            self.first += 1;
        }
        self.ids.push_back(id);
    }

    /// The number that the next one gets.
    pub(crate) fn next(&self) -> i64 {
        self.first + self.ids.len() as i64
    }

    /// At most `max` ids from number `from` on, and the number after them.
    pub(crate) fn since(&self, from: i64, max: usize) -> (Vec<JobId>, i64) {
        let skip = from.clamp(self.first, self.next()) - self.first;
        let ids: Vec<_> = self.ids.iter().skip(skip as usize).take(max).copied().collect();
        let next = self.first + skip + ids.len() as i64;
        (ids, next)
    }
}

/// Ids of deleted jobs, so that a late repetition of an enqueue does not run one again.
#[derive(Debug, Default)]
pub(crate) struct Forgotten {
    ids: HashSet<JobId>,
    by_time: VecDeque<(i64, JobId)>,
}

impl Forgotten {
    /// From the contract of `enqueue`.
    const MEMORY: Duration = Duration::from_secs(10 * 60);

    pub(crate) fn contains(&self, id: JobId) -> bool {
        self.ids.contains(&id)
    }

    pub(crate) fn push(&mut self, id: JobId, now_ms: i64) {
        self.ids.insert(id);
        self.by_time.push_back((later(now_ms, Self::MEMORY), id));
    }

    /// Drops at most `max` ids whose time is over.
    pub(crate) fn clear(&mut self, max: usize, now_ms: i64) {
        for _ in 0..max {
            match self.by_time.front() {
                Some((until_ms, id)) if *until_ms <= now_ms => drop(self.ids.remove(id)),
                _ => return,
            }
            self.by_time.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_fell_behind_goes_on_with_the_oldest_end_still_known() {
        let mut log = IdLog::default();
        let ids: Vec<_> = (0..IdLog::CAPACITY + 3).map(|_| JobId::new()).collect();
        ids.iter().for_each(|id| log.push(*id));
        assert_eq!(log.since(0, 2), (ids[3..5].to_vec(), 5));
        assert_eq!(log.since(5, 1), (ids[5..6].to_vec(), 6));
        assert_eq!(log.since(log.next(), 2), (vec![], log.next()));
        assert_eq!(log.since(i64::MAX, 2), (vec![], log.next()));
        assert_eq!(log.since(i64::MIN, 0), (vec![], 3));
    }

    #[test]
    fn a_forgotten_id_is_remembered_for_its_time_and_then_costs_nothing() {
        let (mut forgotten, id) = (Forgotten::default(), JobId::new());
        forgotten.push(id, 0);
        let until_ms = later(0, Forgotten::MEMORY);
        forgotten.clear(10, until_ms - 1);
        assert!(forgotten.contains(id));
        forgotten.clear(10, until_ms);
        assert!(!forgotten.contains(id) && forgotten.by_time.is_empty());
    }
}
