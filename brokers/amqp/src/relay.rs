//! The relay: brings what is in the outbox of a store to RabbitMQ.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rand::RngExt;
use taskcore::broker::{BrokerError, Outbox, Outgoing};
use taskcore::error_chain;
use tokio_util::sync::CancellationToken;

use crate::message::Message;
use crate::store::Shared;

/// Sends, in order and at least once, until it is closed. Several may do so at once.
pub(crate) async fn relay(shared: Arc<Shared>, outbox: Arc<dyn Outbox>, closed: CancellationToken) {
    let mut pause = Duration::ZERO;
    while !closed.is_cancelled() {
        let taken = tokio::select! {
            taken = outbox.unsent(BATCH, HOLD, WAIT) => taken,
            () = closed.cancelled() => return,
        };
        let sent = match taken {
            Ok(entries) if entries.is_empty() => Ok(()),
            Ok(entries) => send(&shared, &*outbox, entries).await,
            Err(error) => Err(error),
        };
        pause = match sent {
            Ok(()) => continue,
            Err(BrokerError::Closed { .. }) => return,
            Err(error) => {
                tracing::debug!(target: "hereafter", error = error_chain(&error), "cannot send jobs of the outbox; trying again");
                (pause * 2).clamp(Duration::from_millis(100), Duration::from_secs(3))
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause.mul_f64(rand::rng().random_range(0.5..1.0))) => {}
            () = closed.cancelled() => return,
        }
    }
}

async fn send(
    shared: &Arc<Shared>,
    outbox: &dyn Outbox,
    entries: Vec<Outgoing>,
) -> Result<(), BrokerError> {
    let now = Timestamp::now();
    let messages: Vec<Message> =
        entries.iter().map(|entry| Message::of_stored(entry, now)).collect();
    let carrier = shared.clone();
    let sending = async move || {
        let session = carrier.link.session().await?;
        Ok(session.send_jobs(&carrier.names, &messages, Vec::new()).await?)
    };
    shared.driver.run(sending).await?;
    outbox.sent(&entries).await
}

/// Entries taken at a time: as many as may be unconfirmed.
const BATCH: NonZeroU32 = NonZeroU32::new(1_000).unwrap();

/// For how long nobody else sends them: longer than confirms are waited for.
const HOLD: Duration = Duration::from_secs(25);

const WAIT: Duration = Duration::from_secs(5);
