//! [`Pause`]: how long to wait before the next try.

use std::time::Duration;

use rand::{Rng, RngExt};

/// The pause before the next try, twice as long each time, with jitter.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    tries: u32,
}

/// The longest pause between two tries while the broker does not answer.
const MAX_PAUSE: Duration = Duration::from_secs(5);

impl Pause {
    pub(crate) fn next<R: Rng>(&mut self, rng: &mut R) -> Duration {
        let base = Duration::from_millis(100).saturating_mul(1 << self.tries.min(10));
        self.tries += 1;
        base.min(MAX_PAUSE).mul_f64(rng.random_range(0.5..1.0))
    }
}
