//! [`Backoff`] and [`RetryPolicy`]: pure arithmetic, no clock.

use std::time::Duration;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// How long to wait before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Backoff {
    /// The same span each time.
    Fixed {
        /// The span, in milliseconds.
        ms: u64,
    },
    /// `base × failures`, at most `max`.
    Linear {
        /// The first span, in milliseconds.
        ms: u64,
        /// The longest span, in milliseconds.
        max_ms: u64,
    },
    /// `base × 2^(failures − 1)`, at most `max`.
    Exponential {
        /// The first span, in milliseconds.
        ms: u64,
        /// The longest span, in milliseconds.
        max_ms: u64,
    },
}

impl Backoff {
    /// The longest span where none is given: 1 h.
    pub const MAX: Duration = Duration::from_secs(60 * 60);

    /// The back-off of tasks that name none: exponential from 5 s, at most 1 h.
    pub const DEFAULT: Self = Self::exponential(Duration::from_secs(5));

    /// The same span each time.
    #[must_use]
    pub const fn fixed(span: Duration) -> Self {
        Self::Fixed { ms: millis(span) }
    }

    /// One span more after each failure, at most 1 h; see [`max`](Self::max).
    #[must_use]
    pub const fn linear(base: Duration) -> Self {
        Self::Linear { ms: millis(base), max_ms: millis(Self::MAX) }
    }

    /// Twice the span after each failure, at most 1 h; see [`max`](Self::max).
    #[must_use]
    pub const fn exponential(base: Duration) -> Self {
        Self::Exponential { ms: millis(base), max_ms: millis(Self::MAX) }
    }

    /// Limits the span; no effect on a fixed one.
    #[must_use]
    pub const fn max(self, max: Duration) -> Self {
        let max_ms = millis(max);
        match self {
            Self::Fixed { ms } => Self::Fixed { ms },
            Self::Linear { ms, .. } => Self::Linear { ms, max_ms },
            Self::Exponential { ms, .. } => Self::Exponential { ms, max_ms },
        }
    }

    /// The span after the given number of failures (from 1), without jitter.
    #[must_use]
    pub fn after(&self, failures: u32) -> Duration {
        let failures = failures.max(1);
        let ms = match *self {
            Self::Fixed { ms } => ms,
            Self::Linear { ms, max_ms } => ms.saturating_mul(u64::from(failures)).min(max_ms),
            Self::Exponential { ms, max_ms } => {
                let factor = 1u64.checked_shl(failures - 1).unwrap_or(u64::MAX);
                ms.saturating_mul(factor).min(max_ms)
            }
        };
        Duration::from_millis(ms)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How often a job is tried, and how long it waits between attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts after the first one: 5 retries are up to 6 attempts.
    pub retries: u32,
    /// The wait between attempts.
    pub backoff: Backoff,
}

impl RetryPolicy {
    /// Retries of tasks that name none: 5, as django-ztask had it.
    pub const DEFAULT_RETRIES: u32 = 5;

    /// The wait after `failures` failed attempts, or `None` when all are spent.
    ///
    /// Jitter is ± 10 %, so that jobs which failed together do not come back together.
    pub fn next<R: Rng>(&self, failures: u32, rng: &mut R) -> Option<Duration> {
        if failures > self.retries {
            return None;
        }
        let span = self.backoff.after(failures);
        Some(span.mul_f64(rng.random_range(0.9..=1.1)))
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { retries: Self::DEFAULT_RETRIES, backoff: Backoff::DEFAULT }
    }
}

const fn millis(span: Duration) -> u64 {
    let ms = span.as_millis();
    if ms > u64::MAX as u128 { u64::MAX } else { ms as u64 }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn five_retries_are_six_attempts() {
        let mut rng = StdRng::seed_from_u64(1);
        let policy = RetryPolicy::default();
        let attempts = 1 + (1..).take_while(|&n| policy.next(n, &mut rng).is_some()).count();
        assert_eq!(attempts, 6);
    }

    #[test]
    fn zero_retries_is_one_attempt() {
        let policy = RetryPolicy { retries: 0, ..RetryPolicy::default() };
        assert_eq!(policy.next(1, &mut StdRng::seed_from_u64(1)), None);
    }

    #[test]
    fn the_default_doubles_from_five_seconds_up_to_an_hour() {
        let spans: Vec<u64> = (1..=12).map(|n| Backoff::DEFAULT.after(n).as_secs()).collect();
        assert_eq!(spans, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]);
    }

    #[test]
    fn spans_never_overflow() {
        let backoff = Backoff::exponential(Duration::MAX).max(Duration::MAX);
        assert_eq!(backoff.after(u32::MAX), Duration::from_millis(u64::MAX));
        assert_eq!(Backoff::linear(Duration::from_secs(2)).after(3), Duration::from_secs(6));
    }

    #[test]
    fn jitter_stays_within_a_tenth() {
        let mut rng = StdRng::seed_from_u64(7);
        let policy = RetryPolicy { retries: 9, backoff: Backoff::fixed(Duration::from_secs(10)) };
        for _ in 0..1_000 {
            let span = policy.next(1, &mut rng).unwrap().as_secs_f64();
            assert!((9.0..=11.0).contains(&span), "{span}");
        }
    }
}
