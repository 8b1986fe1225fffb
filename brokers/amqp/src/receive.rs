//! Taking messages as they are, for a set-up in which a store has the leases.

use std::time::Duration;

use jiff::Timestamp;
use taskcore::broker::{BrokerError, Reserve};
use taskcore::{Failure, FailureKind, error_chain};

use crate::NAME;
use crate::message::{Message, Outbound, Received};
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

    /// Keeps messages that the store can never take among the failed jobs of their queues, with the
    /// reasons, and is done with them; if that fails, they are looked at again later.
    pub(crate) async fn set_aside(&self, aside: Aside) {
        let kept = async {
            let session = self.link.session().await?;
            let now = Timestamp::now();
            let kept = aside.batch.received.iter().zip(&aside.reasons);
            let kept: Vec<_> =
                kept.map(|(it, reason)| self.kept(&it.message, reason, now)).collect();
            session.publish(&kept).await?;
            self.dealt_with(aside.batch.epoch, aside.batch.tags()).await
        };
        if let Err(error) = kept.await {
            let error = error_chain(&error);
            tracing::error!(target: "hereafter", error, "cannot set aside a message that the store cannot take");
            self.put_back(aside.batch);
        }
    }

    fn kept(&self, message: &Message, reason: &str, now: Timestamp) -> Outbound {
        let (job, queue) = (message.job, self.names.failed(&message.queue));
        tracing::error!(target: "hereafter", %job, reason, kept_in = queue, "the store cannot take a message of another program");
        let failure = Failure {
            kind: FailureKind::Envelope,
            task: message.task.clone(),
            job,
            attempt: 0,
            error_type: None,
            message: reason.to_owned(),
            causes: Vec::new(),
            permanent: true,
        };
        message.failed(queue, &failure, NAME, now)
    }

    /// Puts messages back, because they could not be dealt with now.
    pub(crate) fn put_back(&self, batch: Batch) {
        if let Some(session) = self.link.current().filter(|it| it.epoch == batch.epoch) {
            session.lock_shelf().put(batch.received);
            session.rang.notify_waiters();
        }
    }
}

/// Messages that the store can never take, and why.
#[derive(Debug)]
pub(crate) struct Aside {
    batch: Batch,
    reasons: Vec<String>,
}

impl Batch {
    /// Takes these out, by their tags.
    pub(crate) fn take(&mut self, refused: &[(u64, String)]) -> Aside {
        let (mut received, mut reasons) = (Vec::new(), Vec::new());
        self.received.retain(|it| match refused.iter().find(|(tag, _)| *tag == it.tag) {
            None => true,
            Some((_, reason)) => {
                received.push(it.clone());
                reasons.push(reason.clone());
                false
            }
        });
        Aside { batch: Self { epoch: self.epoch, received }, reasons }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) fn tags(&self) -> Vec<u64> {
        self.received.iter().map(|received| received.tag).collect()
    }
}
