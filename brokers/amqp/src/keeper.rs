//! What goes on by itself, for as long as a broker is open.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use taskcore::error_chain;

use crate::error::AmqpError;
use crate::message::{Message, Received};
use crate::session::Session;
use crate::store::Shared;

/// Gives back what flowed in and is not asked for, and listens for replies on each new session.
/// Ends with the last face of the broker, or when it is closed.
pub(crate) async fn keep(shared: Weak<Shared>, closed: tokio_util::sync::CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(PACE) => {}
            () = closed.cancelled() => return,
        }
        let Some(shared) = shared.upgrade() else { return };
        let Some(session) = shared.link.current() else { continue };
        let kept = async {
            give_back_idle(&shared, &session).await?;
            if shared.replies.is_waiting() && !shared.replies.is_listening(session.epoch).await {
                shared.replies.listen(&session).await?;
            }
            Ok::<_, AmqpError>(())
        };
        if let Err(error) = kept.await {
            tracing::debug!(target: "hereafter", error = error_chain(&error), "cannot tidy up at rabbitmq; trying again");
        }
    }
}

/// Jobs that lie here while nobody asks for them cannot run elsewhere.
async fn give_back_idle(shared: &Shared, session: &Arc<Session>) -> Result<(), AmqpError> {
    let idle = session.close_idle_taps(PATIENCE).await?;
    let mut left = Vec::new();
    {
        let mut shelf = session.lock_shelf();
        for queue in &idle {
            left.extend(shelf.clear(queue));
        }
        if let Some(then) = Instant::now().checked_sub(PATIENCE) {
            left.extend(shelf.take_older(then));
        }
    }
    shared.give_back(session, left).await
}

impl Shared {
    /// Sends messages that were not handed out back to their queues, as they are: given back to
    /// the server in its own way they would be counted as lost.
    pub(crate) async fn give_back(
        &self,
        session: &Session,
        received: Vec<Received>,
    ) -> Result<(), AmqpError> {
        if received.is_empty() {
            return Ok(());
        }
        let tags: Vec<u64> = received.iter().map(|received| received.tag).collect();
        let messages: Vec<Message> = received.iter().map(|it| it.message.clone()).collect();
        if let Err(error) = session.send_jobs(&self.names, &messages, Vec::new()).await {
            // Else nobody would have them until the connection ends.
            session.lock_shelf().put(received);
            return Err(error);
        }
        session.acknowledge(tags).await
    }

    /// Gives back what one face has leased, because it is closed and others are not.
    pub(crate) async fn leave(&self, face: u64) {
        let Some(session) = self.link.current() else { return };
        let leases = session.lock_leases().take_of_face(face);
        let jobs = leases.len();
        if let Err(error) = self.take_back(&session, leases).await {
            // Their leases end, if not the connection before.
            tracing::debug!(target: "hereafter", error = error_chain(&error), jobs, "cannot give jobs back to rabbitmq");
        }
    }

    /// Gives back what lies here and what is leased, and goes on with a new connection.
    pub(crate) async fn start_over(&self) {
        if let Some(session) = self.link.current() {
            self.empty(&session).await;
            session.close().await;
        }
    }

    /// Gives back what lies here and what is leased, and closes the connection for good.
    pub(crate) async fn close(&self) {
        if let Some(session) = self.link.current() {
            self.link.closed.cancel();
            self.empty(&session).await;
            session.close().await;
        }
        self.link.close().await;
        self.replies.wake();
    }

    /// Sends what was not handed out back to its queue. What is leased goes back when the
    /// connection ends.
    async fn empty(&self, session: &Arc<Session>) {
        let emptying = async {
            // Nothing more is to come meanwhile.
            session.close_idle_taps(Duration::ZERO).await?;
            let left = session.lock_shelf().take_older(Instant::now());
            self.give_back(session, left).await
        };
        match tokio::time::timeout(CLOSING, emptying).await {
            Ok(Ok(())) => {}
            // The server takes them back when the connection ends.
            Ok(Err(error)) => {
                tracing::debug!(target: "hereafter", error = error_chain(&error), "cannot give jobs back to rabbitmq before closing");
            }
            Err(_) => {
                tracing::debug!(target: "hereafter", "rabbitmq does not take jobs back in time");
            }
        }
    }
}

const PACE: Duration = Duration::from_millis(250);

/// How long jobs may lie here, and taps be open, without anybody asking.
const PATIENCE: Duration = Duration::from_secs(1);

const CLOSING: Duration = Duration::from_secs(5);
