//! The arithmetic of delays: which steps of the ladder a message takes.
//!
//! The ladder is a queue for each power of two of [`RESOLUTION`], in which every message stays
//! for exactly that long (a TTL for the queue, so that what came first is also what leaves first),
//! and a topic exchange in front of each. A delay is a number in units of the resolution; its
//! binary digits are the first words of the routing key, the highest first. The exchange of a
//! step looks at its digit: 1 leads into the queue of the step, from which the message comes to
//! the exchange of the next lower step when its time is up, and 0 leads there at once. Below the
//! lowest is the exchange `due`, which looks at the rest of the routing key: the queue.
//!
//! NServiceBus and Celery 5.5 do the same, with steps from 1 s.

use std::time::Duration;

/// The shortest delay, and what delays are rounded up to.
pub(crate) const RESOLUTION: Duration = Duration::from_millis(100);

/// Steps of the ladder: the longest delay is 77 days. One step more would be longer than the 49
/// days that RabbitMQ allows a message to live.
pub(crate) const STEPS: u32 = 26;

/// What is left of a delay is no matter of clocks that differ if it is longer: then who receives the
/// message delays it again.
pub(crate) const SKEW: Duration = Duration::from_secs(24 * 60 * 60);

/// A delay in units of [`RESOLUTION`], rounded up. Of one that is longer than the ladder more than
/// [`SKEW`] is left over, so that who receives the message sees that it is not due.
pub(crate) fn units(delay: Duration) -> u32 {
    let units = delay.as_nanos().div_ceil(RESOLUTION.as_nanos());
    match u32::try_from(units) {
        Ok(units) if units <= LONGEST => units,
        _ => LONGEST - LEFT_OVER,
    }
}

/// The step where a delay begins; `None` for no delay.
pub(crate) fn first_step(units: u32) -> Option<u32> {
    units.checked_ilog2()
}

/// Whether a delay spends time in the queue of a step.
fn takes(units: u32, step: u32) -> bool {
    units >> step & 1 == 1
}

/// How long a message stays in the queue of a step.
pub(crate) fn stay(step: u32) -> Duration {
    RESOLUTION * (1 << step)
}

/// The most that the ladder has, in units of [`RESOLUTION`].
const LONGEST: u32 = (1 << STEPS) - 1;

/// Twice [`SKEW`], in the same units.
const LEFT_OVER: u32 = (2 * SKEW.as_millis() / RESOLUTION.as_millis()) as u32;

/// The digits of a delay, then where it leads.
pub(crate) fn routing_key(units: u32, destination: &str) -> String {
    let mut key = String::with_capacity(2 * STEPS as usize + destination.len());
    for step in (0..STEPS).rev() {
        key.push_str(if takes(units, step) { "1." } else { "0." });
    }
    key.push_str(destination);
    key
}

/// What the exchange of a step looks for: its digit.
pub(crate) fn digit_pattern(step: u32, digit: u32) -> String {
    format!("{}{digit}.#", "*.".repeat((STEPS - 1 - step) as usize))
}

/// What the exchange `due` looks for.
pub(crate) fn destination_pattern(destination: &str) -> String {
    format!("{}{destination}", "*.".repeat(STEPS as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_rounded_up_to_the_resolution() {
        assert_eq!(units(Duration::from_nanos(1)), 1);
        assert_eq!(units(Duration::from_millis(100)), 1);
        assert_eq!(units(Duration::from_millis(101)), 2);
        assert_eq!(units(Duration::ZERO), 0);
        assert_eq!(units(RESOLUTION * LONGEST), LONGEST);
    }

    #[test]
    fn of_a_delay_that_is_longer_than_the_ladder_more_is_left_over_than_clocks_differ() {
        for delay in [RESOLUTION * (LONGEST + 1), Duration::from_secs(78 * 86_400), Duration::MAX] {
            assert!(delay - RESOLUTION * units(delay) > SKEW, "{delay:?}");
        }
    }

    #[test]
    fn the_stays_of_its_steps_are_the_delay() {
        for delay in [1, 3, 10, 70, 650, 12_345, LONGEST] {
            let steps: Vec<u32> = (0..STEPS).filter(|step| takes(delay, *step)).collect();
            let total: Duration = steps.iter().map(|step| stay(*step)).sum();
            assert_eq!(total, RESOLUTION * delay);
            assert_eq!(steps.last().copied(), first_step(delay));
        }
        assert_eq!(first_step(0), None);
    }

    #[test]
    fn keys_and_patterns_have_a_word_for_each_step() {
        let key = routing_key(0b101, "mail.low.2");
        assert!(key.ends_with("0.0.1.0.1.mail.low.2"), "{key}");
        assert_eq!(key.split('.').count(), 26 + 3);
        assert_eq!(digit_pattern(25, 1), "1.#");
        assert_eq!(digit_pattern(24, 0), "*.0.#");
        let longest = routing_key(1, &format!("{}.-2", "q".repeat(64)));
        assert!(longest.len() <= 255, "AMQP's limit: {}", longest.len());
    }
}
