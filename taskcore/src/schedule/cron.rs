//! [`CronExpression`]: ticks at civil times in a zone.

use std::ops::Range;

use croner::errors::CronError;
use croner::parser::{CronParser, Year};
use croner::{Cron, CronPattern, Weekday};
use jiff::civil::date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};

use super::spec::InvalidSchedule;

/// A cron expression in a time zone, read and checked.
///
/// Five fields (minute, hour, day, month, weekday) or six, with seconds first. croner decides at
/// clock changes, as Vixie cron does: a time of day that the clock leaps over ticks once, right
/// after the leap; one that comes twice ticks the first time. What ticks every so many minutes
/// or hours goes on by the clock of those who wait.
#[derive(Debug, Clone)]
pub(super) struct CronExpression {
    cron: Cron,
    zone: TimeZone,
    /// Whether a date ever fits.
    comes: bool,
}

impl CronExpression {
    pub(super) fn new(expression: &str, zone: Option<&str>) -> Result<Self, InvalidSchedule> {
        let invalid = |reason: &str| InvalidSchedule::Cron {
            expression: expression.to_owned(),
            reason: reason.trim_end_matches('.').to_owned(),
        };
        let parser = CronParser::builder().year(Year::Disallowed).build();
        let cron = parser.parse(expression).map_err(|error| invalid(&error.to_string()))?;
        if has_empty_field(&cron.pattern) {
            return Err(invalid("one of its fields has no value"));
        }
        let zone = match zone {
            None => TimeZone::UTC,
            Some(zone) => {
                TimeZone::get(zone).map_err(|_| InvalidSchedule::Zone { zone: zone.to_owned() })?
            }
        };
        let comes = has_a_date(&cron.pattern);
        Ok(Self { cron, zone, comes })
    }

    /// The first tick after a time; none for a date that never comes, such as 30 February.
    pub(super) fn after(&self, time: Timestamp) -> Option<Timestamp> {
        if !self.comes {
            return None;
        }
        let from = time.to_zoned(self.zone.clone());
        let found = match self.cron.find_next_occurrence(&from, false) {
            Ok(found) => Some(found.timestamp()),
            Err(_) => self.by_calendar(&from),
        };
        found.filter(|tick| *tick > time)
    }

    /// The next tick by calendar and clock alone, moved out of a gap: croner (version 4.0.3) gives
    /// up in one of more than two hours, as when Samoa left out a day.
    fn by_calendar(&self, from: &Zoned) -> Option<Timestamp> {
        let civil = self.cron.find_next_occurrence(&from.datetime(), false).ok()?;
        let moved = self.zone.to_ambiguous_zoned(civil).compatible().ok()?;
        Some(moved.timestamp())
    }

    /// The first tick at or after a time.
    ///
    /// croner, asked to include its start (version 4.0.3), passes over a tick that a clock change
    /// has moved.
    pub(super) fn at_or_after(&self, time: Timestamp) -> Option<Timestamp> {
        self.after(time.checked_sub(MILLISECOND).unwrap_or(time))
    }

    /// The last tick at or before a time, if there is one after `start`.
    pub(super) fn last_between(&self, start: Timestamp, time: Timestamp) -> Option<Timestamp> {
        if !self.comes {
            return None;
        }
        let from = time.to_zoned(self.zone.clone());
        let found = self.cron.find_previous_occurrence(&from, true).ok().map(|it| it.timestamp());
        let mut last = found.filter(|found| (start..=time).contains(found));
        // A tick that a clock change has moved is seen only from before.
        while let Some(tick) = self.after(last.unwrap_or(start)).filter(|tick| *tick <= time) {
            last = Some(tick);
        }
        last
    }
}

/// Whether a field has commas and nothing else, which croner (version 4.0.3) reads, to look for a tick for
/// seconds.
fn has_empty_field(pattern: &CronPattern) -> bool {
    let is_empty = |mut values: Range<u32>, matches: Match| {
        !values.any(|value| matches(pattern, value).unwrap_or(false))
    };
    is_empty(0..60, CronPattern::second_match)
        || is_empty(0..60, CronPattern::minute_match)
        || is_empty(0..24, CronPattern::hour_match)
        || is_empty(1..13, CronPattern::month_match)
}

/// Whether there is a date that fits. croner (version 4.0.3) looks for one until the year 5000, and back to the
/// year 1, which takes it seconds.
fn has_a_date(pattern: &CronPattern) -> bool {
    // Each year is like one of these: a leap year or not, and it begins with any day of the week.
    let first = date(2000, 1, 1);
    let mut days = first.series(1.day()).take_while(|day| day.year() < 2028);
    days.any(|day| {
        let (year, month) = (i32::from(day.year()), day.month().unsigned_abs().into());
        let weekday = WEEKDAYS[day.weekday().to_sunday_zero_offset().unsigned_abs() as usize];
        let fits = pattern.day_match(year, month, day.day().unsigned_abs().into(), weekday);
        pattern.month_match(month).unwrap_or(false) && fits.unwrap_or(false)
    })
}

const WEEKDAYS: [Weekday; 7] = [
    Weekday::Sunday,
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
];

type Match = fn(&CronPattern, u32) -> Result<bool, CronError>;

const MILLISECOND: SignedDuration = SignedDuration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(expression: &str, zone: &str) -> CronExpression {
        CronExpression::new(expression, Some(zone)).unwrap()
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// The ticks after a time up to another one, in UTC.
    fn ticks(cron: &CronExpression, from: &str, to: &str) -> Vec<String> {
        let mut ticks = Vec::new();
        let mut at = time(from);
        while let Some(tick) = cron.after(at).filter(|tick| *tick <= time(to)) {
            ticks.push(tick.to_string());
            at = tick;
        }
        ticks
    }

    #[test]
    fn a_time_of_day_follows_the_clock_of_its_zone() {
        let daily = cron("0 5 * * *", "Europe/Berlin");
        assert_eq!(
            ticks(&daily, "2026-03-27T12:00:00Z", "2026-03-30T12:00:00Z"),
            ["2026-03-28T04:00:00Z", "2026-03-29T03:00:00Z", "2026-03-30T03:00:00Z"]
        );
    }

    #[test]
    fn a_time_that_the_clock_leaps_over_ticks_once_right_after_it() {
        let daily = cron("30 2 * * *", "Europe/Berlin");
        assert_eq!(
            ticks(&daily, "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z"),
            ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
        );
    }

    #[test]
    fn a_time_that_comes_twice_ticks_once() {
        let daily = cron("30 2 * * *", "Europe/Berlin");
        assert_eq!(
            ticks(&daily, "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z"),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
        let american = cron("30 1 * * *", "America/New_York");
        assert_eq!(
            ticks(&american, "2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z"),
            ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"]
        );
    }

    #[test]
    fn every_half_hour_goes_on_through_clock_changes() {
        let half_hours = cron("*/30 * * * *", "Europe/Berlin");
        for day in ["2026-03-29", "2026-10-25"] {
            let from = format!("{day}T00:00:00Z");
            let to = format!("{day}T02:00:00Z");
            let expected: Vec<_> =
                ["00:30", "01:00", "01:30", "02:00"].map(|at| format!("{day}T{at}:00Z")).into();
            assert_eq!(ticks(&half_hours, &from, &to), expected);
        }
    }

    #[test]
    fn ticks_only_move_on_in_any_zone() {
        // A leap of half an hour (Lord Howe), one at midnight (Beirut), one of a day (Apia).
        for (zone, from) in [
            ("Australia/Lord_Howe", "2026-03-30T00:00:00Z"),
            ("Australia/Lord_Howe", "2026-09-28T00:00:00Z"),
            ("Asia/Beirut", "2026-03-26T00:00:00Z"),
            ("Pacific/Apia", "2011-12-27T00:00:00Z"),
            ("Africa/Casablanca", "2026-02-12T00:00:00Z"),
        ] {
            for expression in ["0 0 * * *", "15 2 * * *", "*/7 * * * *", "30 2,3 * * *"] {
                let cron = cron(expression, zone);
                let mut at = time(from);
                for _ in 0..20 {
                    let tick = cron.after(at).expect("it ticks for ever");
                    assert!(tick > at, "{expression} in {zone} stands at {at}");
                    assert_eq!(cron.at_or_after(tick), Some(tick), "{expression} in {zone}");
                    assert_eq!(cron.last_between(at, tick), Some(tick), "{expression} in {zone}");
                    at = tick;
                }
            }
        }
    }

    #[test]
    fn a_day_that_a_country_leaves_out_moves_its_tick() {
        let daily = cron("0 9 * * *", "Pacific/Apia");
        let days = ticks(&daily, "2011-12-29T12:00:00Z", "2012-01-01T00:00:00Z");
        assert_eq!(days, ["2011-12-29T19:00:00Z", "2011-12-30T19:00:00Z", "2011-12-31T19:00:00Z"]);
    }

    #[test]
    fn six_fields_start_with_seconds() {
        let cron = cron("*/20 * * * * *", "UTC");
        assert_eq!(
            ticks(&cron, "2026-05-01T00:00:00Z", "2026-05-01T00:01:00Z"),
            ["2026-05-01T00:00:20Z", "2026-05-01T00:00:40Z", "2026-05-01T00:01:00Z"]
        );
    }

    #[test]
    fn a_date_that_never_comes_has_no_tick() {
        for expression in ["0 0 30 2 *", "* 2,3 L * +", "*/5 1 L * +MON#1", "0 0 , * *"] {
            let never = cron(expression, "UTC");
            assert!(!never.comes, "{expression}");
            let now = time("2026-01-01T00:00:00Z");
            assert_eq!(never.after(now), None);
            assert_eq!(never.last_between(Timestamp::UNIX_EPOCH, now), None);
        }
    }

    #[test]
    fn a_rare_date_comes() {
        // The 29 February was a Monday in 2044, and is one again in 2072.
        let rare = cron("0 0 29 2 +MON", "UTC");
        let ticks = ticks(&rare, "2026-01-01T00:00:00Z", "2073-01-01T00:00:00Z");
        assert_eq!(ticks, ["2044-02-29T00:00:00Z", "2072-02-29T00:00:00Z"]);
        assert_eq!(
            cron("0 0 LW * *", "UTC").after(time("2026-05-30T00:00:00Z")),
            Some(time("2026-06-30T00:00:00Z"))
        );
    }

    #[test]
    fn what_is_no_expression_or_zone_is_named() {
        for expression in
            ["", "* * * *", "61 * * * *", "a b c d e", "* * * * * * *", ", * * * *", ", * * * * *"]
        {
            let error = CronExpression::new(expression, None).unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{expression}` is not a cron expression: ")));
        }
        let error = CronExpression::new("* * * * *", Some("Mars/Olympus")).unwrap_err();
        assert!(error.to_string().starts_with("there is no time zone `Mars/Olympus`"));
    }
}
