//! [`Spec`]: when a schedule ticks, as it is stored.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::cron::CronExpression;
use crate::broker::millis::{ceil_ms, timestamp};

/// What becomes of ticks that nobody was there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Missed {
    /// However many they are, one job runs for all of them.
    #[default]
    One,
    /// Each runs, in order.
    All,
    /// None runs. A tick counts as missed once it is a minute late, or the next one has come.
    None,
}

impl Missed {
    /// The word of the attribute and of listings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::All => "all",
            Self::None => "none",
        }
    }
}

/// What comes again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticks<'a> {
    /// This long after each other.
    Every(Duration),
    /// At civil times.
    Cron {
        /// Five fields, or six with seconds first.
        expression: &'a str,
        /// An IANA name such as `Europe/Berlin`; UTC by default.
        zone: Option<&'a str>,
    },
}

/// The bounds of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// No tick before this time; the first one of an interval.
    pub starting: Option<Timestamp>,
    /// No tick at or after this time.
    pub until: Option<Timestamp>,
}

/// When a schedule ticks.
///
/// Ticks are whole milliseconds. Those of an interval are its first tick and whole intervals
/// after it, so they do not drift, whatever the delay with which they are noticed.
#[derive(Debug, Clone)]
pub struct Spec {
    stored: Stored,
    timing: Timing,
}

#[derive(Debug, Clone)]
enum Timing {
    Every(SignedDuration),
    Cron(Box<CronExpression>),
}

/// The stored form. What is written here is read for ever; a field of a later version is
/// refused, because it would change when the schedule ticks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cron: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tz: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    starting: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "is_default")]
    missed: Missed,
}

impl Spec {
    /// Checks what was asked for.
    ///
    /// # Errors
    ///
    /// [`InvalidSchedule`] if the expression, the zone or the interval is none.
    pub fn new(ticks: Ticks<'_>, bounds: Bounds, missed: Missed) -> Result<Self, InvalidSchedule> {
        let whole = |time: Timestamp| timestamp(ceil_ms(time));
        let mut stored = Stored {
            every_ms: None,
            cron: None,
            tz: None,
            starting: bounds.starting.map(whole),
            until: bounds.until.map(whole),
            missed,
        };
        match ticks {
            Ticks::Every(span) => stored.every_ms = Some(interval_ms(span)?),
            Ticks::Cron { expression, zone } => {
                stored.cron = Some(expression.to_owned());
                stored.tz = zone.map(str::to_owned);
            }
        }
        Self::of_stored(stored)
    }

    /// Reads the stored text.
    ///
    /// # Errors
    ///
    /// [`InvalidSchedule`] if it is none, or one that only a later version can read.
    pub fn decode(text: &str) -> Result<Self, InvalidSchedule> {
        let stored = serde_json::from_str(text)
            .map_err(|error| InvalidSchedule::Foreign { reason: error.to_string() })?;
        Self::of_stored(stored)
    }

    /// The text to store. Equal schedules have equal texts.
    ///
    /// # Panics
    ///
    /// Never: every field has a JSON form.
    #[must_use]
    pub fn encode(&self) -> String {
        serde_json::to_string(&self.stored).expect("texts and numbers always encode")
    }

    fn of_stored(stored: Stored) -> Result<Self, InvalidSchedule> {
        let timing = match (stored.every_ms, &stored.cron) {
            (Some(ms @ 1..=MAX_INTERVAL_MS), None) if stored.tz.is_none() => {
                Timing::Every(SignedDuration::from_millis(ms.cast_signed()))
            }
            (None, Some(cron)) => {
                Timing::Cron(Box::new(CronExpression::new(cron, stored.tz.as_deref())?))
            }
            _ => {
                let reason = "it is neither an interval nor a cron expression".to_owned();
                return Err(InvalidSchedule::Foreign { reason });
            }
        };
        Ok(Self { stored, timing })
    }

    /// What becomes of missed ticks.
    #[must_use]
    pub fn missed(&self) -> Missed {
        self.stored.missed
    }

    /// How it reads: `every 10m`, or `0 5 * * * Europe/Berlin`.
    #[must_use]
    pub fn described(&self) -> String {
        match (&self.timing, &self.stored) {
            (Timing::Cron(_), Stored { cron: Some(cron), tz: Some(tz), .. }) => {
                format!("{cron} {tz}")
            }
            (Timing::Cron(_), Stored { cron, .. }) => cron.clone().unwrap_or_default(),
            (Timing::Every(span), _) => {
                format!("every {}", humantime::format_duration(span.unsigned_abs()))
            }
        }
    }

    /// No tick at or after this time.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        self.stored.until
    }

    /// The first tick of a schedule that is stored now: one interval from now, or the first tick
    /// from its start on that is not over.
    #[must_use]
    pub fn first(&self, now: Timestamp) -> Option<Timestamp> {
        let now = timestamp(ceil_ms(now));
        let first = match (&self.timing, self.stored.starting) {
            (Timing::Every(span), None) => now.checked_add(*span).ok(),
            (Timing::Every(_), Some(start)) if start >= now => Some(start),
            (Timing::Every(span), Some(start)) => {
                let behind = latest(start, *span, now);
                if behind == now { Some(now) } else { behind.checked_add(*span).ok() }
            }
            (Timing::Cron(cron), start) => {
                cron.at_or_after(start.map_or(now, |start| start.max(now)))
            }
        };
        self.bounded(first)
    }

    /// The tick that comes after `tick`.
    #[must_use]
    pub fn following(&self, tick: Timestamp) -> Option<Timestamp> {
        self.bounded(match &self.timing {
            Timing::Every(span) => tick.checked_add(*span).ok(),
            Timing::Cron(cron) => cron.after(tick),
        })
    }

    /// The first tick after `now` of those that follow `tick`.
    #[must_use]
    pub fn after(&self, tick: Timestamp, now: Timestamp) -> Option<Timestamp> {
        match &self.timing {
            _ if tick > now => Some(tick),
            Timing::Every(span) => self.following(latest(tick, *span, now)),
            Timing::Cron(_) => self.following(now),
        }
    }

    /// The last tick that is not after `now`: `tick`, which has come, or one that follows it.
    #[must_use]
    pub fn latest(&self, tick: Timestamp, now: Timestamp) -> Timestamp {
        let over = self.stored.until.and_then(|until| until.checked_sub(MILLISECOND).ok());
        let now = over.map_or(now, |over| over.min(now)).max(tick);
        match &self.timing {
            Timing::Every(span) => latest(tick, *span, now),
            Timing::Cron(cron) => cron.last_between(tick, now).unwrap_or(tick),
        }
    }

    fn bounded(&self, tick: Option<Timestamp>) -> Option<Timestamp> {
        tick.filter(|tick| self.stored.until.is_none_or(|until| *tick < until))
    }
}

/// What is no schedule, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSchedule {
    /// Not a cron expression.
    #[error(
        "`{expression}` is not a cron expression: {reason}; write five fields (minute, hour, day, month, weekday) \
         such as `0 5 * * *`, or six with seconds first"
    )]
    Cron {
        /// The text.
        expression: String,
        /// What does not fit.
        reason: String,
    },
    /// Not a time zone.
    #[error("there is no time zone `{zone}`: write an IANA name such as `Europe/Berlin` or `UTC`")]
    Zone {
        /// The text.
        zone: String,
    },
    /// A zone for an interval.
    #[error("a time zone is of no use to an interval: use it with a cron expression")]
    ZoneOfInterval,
    /// An interval of no length.
    #[error("an interval is at least 1ms long, and at most 100 years")]
    Interval,
    /// It has no tick at all.
    #[error("`{ticks}` never ticks from now on: no such date comes, or its end has passed")]
    Never {
        /// When it should.
        ticks: String,
    },
    /// A name that cannot be stored.
    #[error(
        "a schedule has a name of 1 to 255 bytes without control characters: write for example `.named(\"nightly report\")`"
    )]
    Name,
    /// A stored text that is none, or of a later version.
    #[error("the stored schedule cannot be read by this version: {reason}; upgrade the worker")]
    Foreign {
        /// What does not fit.
        reason: String,
    },
}

const MILLISECOND: SignedDuration = SignedDuration::from_millis(1);

/// 100 years of 365 days.
const MAX_INTERVAL_MS: u64 = 100 * 365 * 24 * 60 * 60 * 1_000;

/// Whole milliseconds, rounded up.
fn interval_ms(span: Duration) -> Result<u64, InvalidSchedule> {
    match u64::try_from(span.as_nanos().div_ceil(1_000_000)) {
        Ok(ms @ 1..=MAX_INTERVAL_MS) => Ok(ms),
        _ => Err(InvalidSchedule::Interval),
    }
}

/// The last of `tick` and the ticks one `span` after each other that is not after `now`.
fn latest(tick: Timestamp, span: SignedDuration, now: Timestamp) -> Timestamp {
    let behind = now.as_millisecond() - tick.as_millisecond();
    // An interval has at least one millisecond.
    let span_ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    if behind <= 0 {
        return tick;
    }
    // A number of milliseconds would not reach to the end of time.
    tick.checked_add(SignedDuration::from_millis(behind / span_ms * span_ms)).unwrap_or(tick)
}

fn is_default(missed: &Missed) -> bool {
    *missed == Missed::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Ticks<'_> = Ticks::Every(Duration::from_secs(10));
    const DAILY: Ticks<'_> = Ticks::Cron { expression: "0 5 * * *", zone: Some("Europe/Berlin") };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn spec(ticks: Ticks<'_>, starting: Option<i64>, until: Option<i64>) -> Spec {
        let bounds = Bounds { starting: starting.map(at), until: until.map(at) };
        Spec::new(ticks, bounds, Missed::One).unwrap()
    }

    #[test]
    fn an_interval_starts_one_interval_from_now_or_at_its_start() {
        assert_eq!(spec(TEN, None, None).first(at(103)), Some(at(113)));
        assert_eq!(spec(TEN, Some(105), None).first(at(103)), Some(at(105)));
        assert_eq!(spec(TEN, Some(5), None).first(at(103)), Some(at(105)));
        assert_eq!(spec(TEN, Some(5), None).first(at(105)), Some(at(105)));
    }

    #[test]
    fn an_interval_does_not_drift_however_late_it_is_noticed() {
        let spec = spec(TEN, None, None);
        let mut tick = at(100);
        for late_ms in (0..1_000).map(|number| number * 37 % 9_999) {
            let noticed = tick.checked_add(SignedDuration::from_millis(late_ms)).unwrap();
            tick = spec.after(tick, noticed).unwrap();
        }
        assert_eq!(tick, at(100 + 10 * 1_000));
    }

    #[test]
    fn missed_ticks_are_counted_by_whole_intervals() {
        let spec = spec(TEN, None, None);
        assert_eq!(spec.latest(at(100), at(139)), at(130));
        assert_eq!(spec.after(at(100), at(139)), Some(at(140)));
        assert_eq!(spec.after(at(100), at(140)), Some(at(150)));
        assert_eq!(spec.following(at(100)), Some(at(110)));
    }

    #[test]
    fn nothing_ticks_at_or_after_the_end() {
        let spec = spec(TEN, Some(5), Some(35));
        let mut ticks = vec![spec.first(at(0)).unwrap()];
        while let Some(tick) = spec.following(ticks[ticks.len() - 1]) {
            ticks.push(tick);
        }
        assert_eq!(ticks, [at(5), at(15), at(25)]);
        assert_eq!(spec.latest(at(5), at(1_000)), at(25));
        assert_eq!(spec.after(at(5), at(1_000)), None);
        assert_eq!(spec.first(at(35)), None);
    }

    #[test]
    fn a_cron_expression_has_the_same_bounds() {
        let day: Timestamp = "2026-05-01T00:00:00Z".parse().unwrap();
        let bounds = Bounds {
            starting: Some("2026-05-02T04:00:00Z".parse().unwrap()),
            until: Some("2026-05-03T03:00:00Z".parse().unwrap()),
        };
        let spec = Spec::new(DAILY, bounds, Missed::One).unwrap();
        assert_eq!(spec.first(day), None, "the next one is at the end");
        let bounds = Bounds { until: None, ..bounds };
        let spec = Spec::new(DAILY, bounds, Missed::One).unwrap();
        let first = spec.first(day).unwrap();
        assert_eq!(first.to_string(), "2026-05-03T03:00:00Z");
        let late = "2026-05-07T12:00:00Z".parse().unwrap();
        assert_eq!(spec.latest(first, late).to_string(), "2026-05-07T03:00:00Z");
        assert_eq!(spec.after(first, late).unwrap().to_string(), "2026-05-08T03:00:00Z");
    }

    #[test]
    fn the_stored_form_survives_and_is_the_same_for_the_same_schedule() {
        for (spec, text, described) in [
            (spec(TEN, None, None), r#"{"every_ms":10000}"#, "every 10s"),
            (
                Spec::new(DAILY, Bounds::default(), Missed::All).unwrap(),
                r#"{"cron":"0 5 * * *","tz":"Europe/Berlin","missed":"all"}"#,
                "0 5 * * * Europe/Berlin",
            ),
            (
                spec(TEN, Some(0), Some(60)),
                r#"{"every_ms":10000,"starting":"1970-01-01T00:00:00Z","until":"1970-01-01T00:01:00Z"}"#,
                "every 10s",
            ),
        ] {
            assert_eq!(spec.encode(), text);
            assert_eq!(Spec::decode(text).unwrap().encode(), text);
            assert_eq!(spec.described(), described);
        }
    }

    #[test]
    fn what_this_version_cannot_read_is_refused() {
        for text in [
            "",
            "{}",
            r#"{"every_ms":0}"#,
            r#"{"every_ms":1,"cron":"* * * * *"}"#,
            r#"{"every_ms":1,"tz":"UTC"}"#,
            r#"{"every_ms":1,"jitter_ms":5}"#,
        ] {
            assert!(Spec::decode(text).is_err(), "{text} was read");
        }
    }

    #[test]
    fn an_interval_of_no_length_is_refused() {
        for span in [Duration::ZERO, Duration::MAX] {
            let spec = Spec::new(Ticks::Every(span), Bounds::default(), Missed::One);
            assert_eq!(spec.unwrap_err(), InvalidSchedule::Interval);
        }
        let spec = Spec::new(Ticks::Every(Duration::from_nanos(1)), Bounds::default(), Missed::One);
        assert_eq!(spec.unwrap().encode(), r#"{"every_ms":1}"#);
    }
}
