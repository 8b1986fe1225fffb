//! How fast jobs ended, and when they did not.

/// The ends of jobs, in microseconds, in order.
#[derive(Debug)]
pub(crate) struct Pace {
    ends: Vec<u64>,
}

/// In microseconds.
const SECOND: u64 = 1_000_000;

/// How finely the first good second is looked for, in microseconds.
const STEP: u64 = 50_000;

impl Pace {
    pub(crate) fn of(ends: impl IntoIterator<Item = u64>) -> Self {
        let mut ends: Vec<u64> = ends.into_iter().collect();
        ends.sort_unstable();
        Self { ends }
    }

    pub(crate) fn first(&self) -> Option<u64> {
        self.ends.first().copied()
    }

    pub(crate) fn last(&self) -> Option<u64> {
        self.ends.last().copied()
    }

    /// Jobs that ended from `from` on and before `until`.
    fn count(&self, from: u64, until: u64) -> usize {
        let before = |at: u64| self.ends.partition_point(|end| *end < at);
        before(until).saturating_sub(before(from))
    }

    /// Jobs per second in this time; `None` if it is less than a tenth of a second.
    pub(crate) fn rate(&self, from: u64, until: u64) -> Option<f64> {
        let span = until.checked_sub(from).filter(|span| *span >= SECOND / 10)?;
        Some(self.count(from, until) as f64 * SECOND as f64 / span as f64)
    }

    /// How many seconds after `from` the first job ended; `None` if none did.
    pub(crate) fn resumed_after(&self, from: u64) -> Option<f64> {
        let first = self.ends.get(self.ends.partition_point(|end| *end < from))?;
        Some(seconds(first - from))
    }

    /// The longest time between two ends, in seconds.
    pub(crate) fn longest_gap(&self) -> f64 {
        let gaps = self.ends.windows(2).map(|pair| pair[1] - pair[0]);
        seconds(gaps.max().unwrap_or(0))
    }

    /// How many seconds after `from` the first second ends in which at least `wanted` jobs ended;
    /// `None` if there is none before the last job.
    pub(crate) fn back_after(&self, from: u64, wanted: f64) -> Option<f64> {
        let last = self.last()?;
        let mut starts = (from..).step_by(STEP as usize).take_while(|start| start + SECOND <= last);
        let start = starts.find(|at| self.count(*at, at + SECOND) as f64 >= wanted)?;
        Some(seconds(start + SECOND - from))
    }
}

/// Microseconds as seconds.
pub(crate) fn seconds(span: u64) -> f64 {
    span as f64 / SECOND as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100 jobs a second for 10 s, none for 3 s, 40 a second for 2 s, then 100 again for 5 s.
    fn interrupted() -> Pace {
        let run = |from: u64, span: u64, rate: u64| {
            (0..span * rate).map(move |job| from * SECOND + job * SECOND / rate)
        };
        Pace::of(run(0, 10, 100).chain(run(13, 2, 40)).chain(run(15, 5, 100)))
    }

    #[test]
    fn rates_are_of_the_time_asked_for() {
        let pace = interrupted();
        assert_eq!(pace.rate(0, 10 * SECOND), Some(100.0));
        assert_eq!(pace.rate(10 * SECOND, 13 * SECOND), Some(0.0));
        assert_eq!(pace.rate(5 * SECOND, 5 * SECOND), None);
    }

    #[test]
    fn the_longest_gap_is_the_interruption() {
        assert_eq!(interrupted().longest_gap(), 3.01);
    }

    #[test]
    fn work_is_resumed_with_the_first_end_after_the_interruption() {
        let pace = interrupted();
        assert_eq!(pace.resumed_after(12 * SECOND), Some(1.0));
        assert_eq!(pace.resumed_after(21 * SECOND), None);
    }

    #[test]
    fn throughput_is_back_at_the_end_of_the_first_good_second() {
        let pace = interrupted();
        // 0.8 s at 40 jobs a second and 0.2 s at 100 are 52 jobs.
        let back = pace.back_after(12 * SECOND, 50.0).unwrap();
        assert!((3.1..3.3).contains(&back), "{back}");
        assert_eq!(pace.back_after(12 * SECOND, 101.0), None);
    }
}
