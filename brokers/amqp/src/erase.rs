//! Removing everything from the server.

use std::sync::Arc;

use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use taskcore::broker::BrokerError;

use crate::broker::AmqpBroker;
use crate::ladder;
use crate::session::within;
use crate::store::Shared;
use crate::topology::priorities;

impl AmqpBroker {
    /// Deletes every queue and exchange with this broker's prefix, and all jobs in them: what is
    /// left to do when a system is taken down, and after a test.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Unavailable`] if the server cannot be reached; some may be deleted then.
    pub async fn erase(&self) -> Result<(), BrokerError> {
        self.run(async |shared: Arc<Shared>| shared.erase().await).await
    }
}

impl Shared {
    async fn erase(&self) -> Result<(), BrokerError> {
        let session = self.link.session().await?;
        let mut queues = vec![self.replies.queue().name, self.names.catalog()];
        for queue in self.listed(&session).await? {
            queues.extend(priorities().map(|priority| self.names.ready(&queue, priority)));
            queues.push(self.names.failed(&queue));
        }
        let steps: Vec<String> = (0..ladder::STEPS).map(|step| self.names.step(step)).collect();
        queues.extend(steps.clone());
        let exchanges = steps.into_iter().chain([self.names.due()]);
        // A queue or exchange that is not there is deleted without complaint.
        let channel = session.asking().await?;
        for name in queues {
            let options = QueueDeleteOptions::default();
            within("delete queues", channel.queue_delete(name.as_str().into(), options)).await?;
        }
        for name in exchanges {
            let options = ExchangeDeleteOptions::default();
            within("delete exchanges", channel.exchange_delete(name.as_str().into(), options))
                .await?;
        }
        drop(channel);
        session.declared.lock().await.forget_all();
        Ok(())
    }
}
