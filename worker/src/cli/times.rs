//! Times as people write and read them.

use std::str::FromStr;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};

/// A moment: `2026-05-01T12:00:00Z`, `2026-05-01 12:00` in the local zone, or `2h` ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Timestamp);

impl FromStr for Moment {
    type Err = InvalidMoment;

    fn from_str(text: &str) -> Result<Self, InvalidMoment> {
        let moment = moment(text.trim(), &Zoned::now());
        moment.map(Self).ok_or_else(|| InvalidMoment { text: text.to_owned() })
    }
}

/// A text that is no moment.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{text}` is no time: write `2026-05-01T12:00:00Z`, `2026-05-01 12:00` (local), or how long ago, as `90m` or `2 days`"
)]
pub(crate) struct InvalidMoment {
    text: String,
}

fn moment(text: &str, now: &Zoned) -> Option<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    if let Ok(civil) = text.parse::<DateTime>() {
        return civil.to_zoned(now.time_zone().clone()).ok().map(|time| time.timestamp());
    }
    let span = text.parse::<Span>().ok()?.abs();
    now.checked_sub(span).ok().map(|time| time.timestamp())
}

/// The moment in the local zone, with its distance from now: for one line of its own.
pub(crate) fn in_full(at: Timestamp, now: Timestamp) -> String {
    let local = at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string();
    format!("{local} ({})", distance(at, now))
}

/// The moment in the local zone: for a column.
pub(crate) fn in_short(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The moment in the local zone, to the millisecond: for a column of what happens.
pub(crate) fn to_the_millisecond(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

/// `3m ago`, or `in 3m`.
pub(crate) fn distance(at: Timestamp, now: Timestamp) -> String {
    if at > now { format!("in {}", between(now, at)) } else { format!("{} ago", between(at, now)) }
}

/// How much time lies between two moments; nothing if they are the other way round.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> String {
    rounded(Duration::try_from(to.duration_since(from)).unwrap_or_default())
}

/// A span to two units: what people read, not what they compute with.
pub(crate) fn rounded(span: Duration) -> String {
    let span = match span.as_secs() {
        0 => Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        1..60 => {
            Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX) / 100 * 100)
        }
        60..3_600 => Duration::from_secs(span.as_secs()),
        3_600..86_400 => Duration::from_secs(span.as_secs() / 60 * 60),
        _ => Duration::from_secs(span.as_secs() / 3_600 * 3_600),
    };
    humantime::format_duration(span).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Zoned {
        "2026-05-01T12:00:00+02:00[+02:00]".parse().unwrap()
    }

    #[test]
    fn a_moment_is_absolute_local_or_ago() {
        for (text, expected) in [
            ("2026-04-30T10:00:00Z", "2026-04-30T10:00:00Z"),
            ("2026-04-30 10:00", "2026-04-30T08:00:00Z"),
            ("2026-04-30", "2026-04-29T22:00:00Z"),
            ("90m", "2026-05-01T08:30:00Z"),
            ("2 days ago", "2026-04-29T10:00:00Z"),
        ] {
            assert_eq!(moment(text, &now()).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused_with_examples() {
        for text in ["", "yesterday", "25:00", "2026-13-01"] {
            let error = text.parse::<Moment>().unwrap_err().to_string();
            assert!(error.contains("how long ago"), "{error}");
        }
    }

    #[test]
    fn spans_are_rounded_to_what_people_read() {
        for (ms, expected) in [
            (0, "0s"),
            (7, "7ms"),
            (1_290, "1s 200ms"),
            (61_900, "1m 1s"),
            (3_725_000, "1h 2m"),
            (90_000_000, "1day 1h"),
        ] {
            assert_eq!(rounded(Duration::from_millis(ms)), expected);
        }
    }
}
