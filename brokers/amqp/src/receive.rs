//! Taking messages as they are, for a set-up in which a store has the leases.

use std::time::Duration;

use jiff::Timestamp;
use taskcore::broker::{BrokerError, OverLimit, Reserve};
use taskcore::{Failure, FailureKind};

use crate::NAME;
use crate::message::{Message, Received};
use crate::store::Shared;

/// Messages of one session.
#[derive(Debug)]
pub(crate) struct Batch {
    epoch: u64,
    pub(crate) received: Vec<Received>,
}

impl Shared {
    /// Takes messages of these queues, waiting at most `wait` for the first.
    pub(crate) async fn receive(
        &self,
        request: &Reserve,
        wait: Duration,
    ) -> Result<Batch, BrokerError> {
        // Who asks has another place to look meanwhile.
        let session = self.link.session_within(Duration::ZERO).await?;
        let max = request.max.get() as usize;
        let received = self
            .wait_for(&session, request, wait, async || {
                Ok(session.lock_shelf().take(&request.queues, max))
            })
            .await?;
        Ok(Batch { epoch: session.epoch, received })
    }

    /// Tells the server that these messages are dealt with; if their connection is gone, they come
    /// again, and are dealt with again.
    pub(crate) async fn dealt_with(&self, epoch: u64, tags: Vec<u64>) -> Result<(), BrokerError> {
        match self.link.current() {
            Some(session) if session.epoch == epoch => Ok(session.acknowledge(tags).await?),
            _ => Ok(()),
        }
    }

    /// Keeps messages that are above a limit of the store among the failed jobs of their queues, with the
    /// reason.
    pub(crate) async fn set_aside(
        &self,
        refused: &[(Message, OverLimit)],
    ) -> Result<(), BrokerError> {
        let session = self.link.session().await?;
        let now = Timestamp::now();
        let mut kept = Vec::with_capacity(refused.len());
        for (message, limit) in refused {
            let (job, queue) = (message.job, self.names.failed(&message.queue));
            tracing::error!(target: "hereafter", %job, reason = %limit, kept_in = queue, "the store cannot take a message of another program");
            let failure = Failure {
                kind: FailureKind::Envelope,
                task: message.task.clone(),
                job,
                attempt: 0,
                error_type: None,
                message: format!("{limit}: {}", limit.remedy()),
                causes: Vec::new(),
                permanent: true,
            };
            kept.push(message.failed(queue, &failure, NAME, now));
        }
        Ok(session.publish(&kept).await?)
    }

    /// Puts messages back, because they could not be dealt with now.
    pub(crate) fn put_back(&self, batch: Batch) {
        if let Some(session) = self.link.current().filter(|it| it.epoch == batch.epoch) {
            session.lock_shelf().put(batch.received);
            session.rang.notify_waiters();
        }
    }
}

impl Batch {
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn tags(&self) -> Vec<u64> {
        self.received.iter().map(|received| received.tag).collect()
    }
}
