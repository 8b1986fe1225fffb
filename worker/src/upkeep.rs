//! Upkeep: the broker's periodic work, done by every worker now and then.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use taskcore::broker::{Broker, BrokerError, Guarded};
use taskcore::error_chain;
use tokio_util::sync::CancellationToken;

use crate::config::WorkerConfig;
use crate::report;

/// The longest pause between two rounds: a lost lease is noticed within this time.
const PACE: Duration = Duration::from_secs(2);

/// Does upkeep until the worker stops.
pub(crate) async fn run(broker: Guarded, config: Arc<WorkerConfig>, stop: CancellationToken) {
    let mut failures = 0_u32;
    while !stop.is_cancelled() {
        let pause = match broker.maintain(&config.maintain).await {
            Ok(upkeep) => {
                report::upkeep(&upkeep);
                failures = 0;
                let most =
                    upkeep.promoted.max(upkeep.reclaimed).max(upkeep.expired).max(upkeep.pruned);
                // A spent budget means that there is more to do.
                if most >= u64::from(config.maintain.budget.get()) { Duration::ZERO } else { PACE }
            }
            Err(BrokerError::Closed { .. }) => return,
            Err(error) => {
                tracing::warn!(target: "hereafter::worker", error = error_chain(&error), "upkeep failed; trying again");
                failures += 1;
                PACE.saturating_mul(1 << failures.min(5))
            }
        };
        // Jitter keeps the workers of a fleet apart.
        let pause = pause.mul_f64(rand::rng().random_range(0.5..1.0));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    }
}
