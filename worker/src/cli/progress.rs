//! How far a job is, on one line.

use taskcore::broker::Progress;

use super::output::shown;

/// Letters of a bar.
const WIDTH: u64 = 20;

/// A bar with percent where the total is known, else the count; then the message.
pub(crate) fn line(progress: &Progress) -> String {
    let Progress { done, total, message } = progress;
    let far = match (done, total) {
        (0, 0) => String::new(),
        (done, 0) => done.to_string(),
        (done, total) => format!("{} ({done} of {total})", bar(*done, *total)),
    };
    match (far.is_empty(), message.is_empty()) {
        (_, true) => far,
        (true, false) => shown(message),
        (false, false) => format!("{far}: {}", shown(message)),
    }
}

/// Rounded down: full is done.
fn bar(done: u64, total: u64) -> String {
    let part = |of: u64| u128::from(done.min(total)) * u128::from(of) / u128::from(total.max(1));
    let letters = (0..u128::from(WIDTH)).map(|n| if n < part(WIDTH) { '#' } else { '-' });
    format!("[{}] {} %", letters.collect::<String>(), part(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_a_bar_a_count_or_a_message() {
        for (done, total, message, expected) in [
            (1, 4, "", "[#####---------------] 25 % (1 of 4)"),
            (999, 1_000, "a\nb", "[###################-] 99 % (999 of 1000): a\\nb"),
            (4, 4, "", "[####################] 100 % (4 of 4)"),
            (u64::MAX, 3, "", "[####################] 100 % (18446744073709551615 of 3)"),
            (7, 0, "pages", "7: pages"),
            (7, 0, "", "7"),
            (0, 0, "starting", "starting"),
            (0, 0, "", ""),
        ] {
            let progress = Progress { done, total, message: message.to_owned() };
            assert_eq!(line(&progress), expected);
        }
    }
}
