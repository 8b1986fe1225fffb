//! Milliseconds since 1970-01-01 UTC: the unit in which brokers store times.

use std::time::Duration;

use super::Due;
use jiff::Timestamp;

/// The time `span` after `now_ms`, rounded up, at most the end of the year 9999.
#[must_use]
pub fn later(now_ms: i64, span: Duration) -> i64 {
    let span_ms = i64::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX);
    now_ms.saturating_add(span_ms).min(Timestamp::MAX.as_millisecond())
}

/// When a job stored at `now_ms` may run.
#[must_use]
pub fn due_ms(due: Due, now_ms: i64) -> i64 {
    match due {
        Due::Now => now_ms,
        Due::After(span) => later(now_ms, span),
        Due::At(at) => ceil_ms(at).max(now_ms),
    }
}

/// The first millisecond that is not before `at`.
#[must_use]
pub fn ceil_ms(at: Timestamp) -> i64 {
    let floor = at.as_millisecond();
    let is_whole = at.subsec_nanosecond() % 1_000_000 == 0;
    // jiff truncates towards zero, which before 1970 rounds up already.
    if is_whole || floor < 0 { floor } else { floor + 1 }
}

/// The same time as a [`Timestamp`]; what no timestamp can hold becomes the nearest that can.
#[must_use]
pub fn timestamp(ms: i64) -> Timestamp {
    let nearest = if ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(ms).unwrap_or(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_times_round_up_and_never_overflow() {
        assert_eq!(later(5, Duration::from_micros(1)), 6);
        assert_eq!(later(5, Duration::from_millis(1)), 6);
        assert_eq!(later(5, Duration::MAX), Timestamp::MAX.as_millisecond());
        assert_eq!(ceil_ms(Timestamp::from_microsecond(1_001).unwrap()), 2);
        assert_eq!(ceil_ms(Timestamp::from_millisecond(2).unwrap()), 2);
        assert_eq!(timestamp(i64::MIN), Timestamp::MIN);
        assert_eq!(timestamp(i64::MAX), Timestamp::MAX);
    }

    #[test]
    fn a_due_time_in_the_past_is_now() {
        assert_eq!(due_ms(Due::At(timestamp(3)), 7), 7);
        assert_eq!(due_ms(Due::At(timestamp(9)), 7), 9);
        assert_eq!(due_ms(Due::Now, 7), 7);
    }
}
