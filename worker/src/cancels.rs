//! The ear for cancellations: what is in hand hears of its own between two heartbeats.

use std::time::Duration;

use taskcore::broker::{Broker, BrokerError, Cancelled, Cursor};
use taskcore::error_chain;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::hand::{Hand, Reason};
use crate::pause::Pause;

/// One question for cancelled jobs waits this long; a cancellation ends it sooner.
const WAIT: Duration = Duration::from_secs(10);

/// The pause after an answer that came early and named nothing: a broker that cannot wait must
/// not be asked without a rest.
const REST: Duration = Duration::from_millis(100);

/// Where news of cancellations is read from: the position of now. `None` if the broker does not
/// say; listening asks again, and reports it.
pub(crate) async fn position(broker: &dyn Broker) -> Option<Cursor> {
    broker.cancelled(None, Duration::ZERO).await.ok().map(|answer| answer.next)
}

/// Tells what is in hand of its cancellation as soon as the broker does, until the worker stops.
///
/// A broker that has no such news leaves it to the heartbeat, and so does whatever is missed:
/// a job whose delivery was still under way when it was cancelled, say.
pub(crate) async fn listen(
    stop: &CancellationToken,
    broker: &dyn Broker,
    hand: &Hand,
    mut cursor: Option<Cursor>,
) {
    let mut pause = Pause::default();
    loop {
        let asked = Instant::now();
        let answer = tokio::select! {
            () = stop.cancelled() => return,
            answer = broker.cancelled(cursor, WAIT) => answer,
        };
        let rest = match answer {
            Ok(Cancelled { ids, next }) => {
                hand.interrupt_jobs(&ids, Reason::Cancelled);
                pause = Pause::default();
                let is_early = ids.is_empty() && asked.elapsed() < WAIT / 2;
                let is_first = cursor.replace(next).is_none();
                if is_early && !is_first { REST } else { Duration::ZERO }
            }
            Err(BrokerError::Unsupported { .. } | BrokerError::Closed { .. }) => return,
            Err(error) => {
                tracing::warn!(target: "hereafter::worker", error = error_chain(&error), "cannot ask for cancellations; trying again");
                pause.next(&mut rand::rng())
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(rest) => {}
        }
    }
}
