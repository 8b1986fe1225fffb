//! Handing out: from what flowed in, or by asking once.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use taskcore::Failure;
use taskcore::broker::{BrokerError, Delivery, JobState, QueueShare, Reserve, millis};

use crate::error::AmqpError;
use crate::ladder;
use crate::leases::{Proof, Terms};
use crate::message::{Message, Outbound, Received};
use crate::replies::reply;
use crate::session::Session;
use crate::store::Shared;

impl Shared {
    pub(crate) async fn reserve(
        &self,
        request: &Reserve,
        face: u64,
    ) -> Result<Vec<Delivery>, BrokerError> {
        let session = self.link.session().await?;
        if request.wait.is_zero() {
            return Ok(self.look_once(&session, request, face).await?);
        }
        self.wait_through_sessions(session, request, face).await
    }

    /// A connection that is lost meanwhile is no answer: the wait goes on with the next.
    async fn wait_through_sessions(
        &self,
        mut session: Arc<Session>,
        request: &Reserve,
        face: u64,
    ) -> Result<Vec<Delivery>, BrokerError> {
        let deadline = tokio::time::Instant::now() + request.wait;
        loop {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            let hand_out = async || self.hand_out(&session, request, face, Vec::new()).await;
            let answer = self.wait_for(&session, request, left, hand_out).await;
            let is_over = session.is_sound()
                || request.interrupt.is_cancelled()
                || tokio::time::Instant::now() >= deadline;
            match answer {
                Ok(handed) if is_over || !handed.is_empty() => return Ok(handed),
                Err(error) if is_over => return Err(session.explain(error).into()),
                Ok(_) | Err(_) => session = self.link.session().await?,
            }
        }
    }

    /// Lets messages flow in until `take` finds some, or the wait is over.
    pub(crate) async fn wait_for<T>(
        &self,
        session: &Arc<Session>,
        request: &Reserve,
        wait: Duration,
        take: impl AsyncFn() -> Result<Vec<T>, AmqpError>,
    ) -> Result<Vec<T>, AmqpError> {
        session.asking_for(&request.queues).await;
        let answer = self.take_in_time(session, request, wait, take).await;
        session.asked_enough(&request.queues).await;
        answer
    }

    async fn take_in_time<T>(
        &self,
        session: &Arc<Session>,
        request: &Reserve,
        wait: Duration,
        take: impl AsyncFn() -> Result<Vec<T>, AmqpError>,
    ) -> Result<Vec<T>, AmqpError> {
        let deadline = tokio::time::Instant::now() + wait;
        loop {
            let mut rang = std::pin::pin!(session.rang.notified());
            rang.as_mut().enable();
            session.open_taps(&self.names, &request.queues).await?;
            // The next call finds the next session; and who has gone gets nothing.
            if session.ended.is_cancelled() || request.interrupt.is_cancelled() {
                return Ok(Vec::new());
            }
            let taken = take().await?;
            if !taken.is_empty() {
                return Ok(taken);
            }
            tokio::select! {
                () = rang => {}
                () = request.interrupt.cancelled() => return Ok(Vec::new()),
                () = self.link.closed.cancelled() => return Ok(Vec::new()),
                () = tokio::time::sleep_until(deadline) => return Ok(Vec::new()),
            }
        }
    }

    /// Hands out what there is now. Nothing is to flow in for a caller who may not come back, so no more
    /// is taken than is asked for.
    async fn look_once(
        &self,
        session: &Arc<Session>,
        request: &Reserve,
        face: u64,
    ) -> Result<Vec<Delivery>, AmqpError> {
        let mut handed = Vec::new();
        let max = request.max.get() as usize;
        for share in &request.queues {
            session.declare_queue(&self.names, &share.queue).await?;
            let mut of_queue = 0;
            loop {
                let limit = (share.max.get() as usize).min(of_queue + max - handed.len());
                let room = limit - of_queue;
                let here = session.lock_shelf().count(&share.queue);
                let pulled = match room.saturating_sub(here) {
                    0 => Vec::new(),
                    missing => session.pull(&self.names, &share.queue, missing).await?,
                };
                let Some(left) = NonZeroU32::new(u32::try_from(room).unwrap_or(u32::MAX)) else {
                    break;
                };
                if here == 0 && pulled.is_empty() {
                    // What the server sent before its answer is on its way to the shelf.
                    for _ in 0..YIELDS {
                        tokio::task::yield_now().await;
                    }
                }
                let was_empty = pulled.is_empty() && session.lock_shelf().count(&share.queue) == 0;
                let shares = vec![QueueShare { queue: share.queue.clone(), max: left }];
                let asked = Reserve { queues: shares, max: left, ..request.clone() };
                let batch = self.hand_out(session, &asked, face, pulled).await?;
                of_queue += batch.len();
                handed.extend(batch);
                if was_empty {
                    break;
                }
            }
        }
        Ok(handed)
    }

    /// Leases what may run of what is here, and ends what may not.
    async fn hand_out(
        &self,
        session: &Session,
        request: &Reserve,
        face: u64,
        pulled: Vec<Received>,
    ) -> Result<Vec<Delivery>, AmqpError> {
        let taken = {
            let mut shelf = session.lock_shelf();
            shelf.put(pulled);
            shelf.take(&request.queues, request.max.get() as usize)
        };
        let mut handed = Vec::with_capacity(taken.len());
        let mut ended = Ended::default();
        let now = Timestamp::now();
        let mut taken = taken.into_iter();
        let (mut failure, mut suspects, mut later) = (None, 0, Vec::new());
        while let Some(received) = taken.next() {
            if let Some(once) = received.message.lost_once() {
                ended.received.push(received);
                ended.again.push(once.ready(now));
                continue;
            }
            suspects += usize::from(received.message.is_suspect());
            if suspects > SUSPECTS && received.message.is_suspect() {
                later.push(received);
                continue;
            }
            match self.fate(session, &received.message, now).await {
                Ok(Fate::Run) => {
                    handed.push(self.delivery(session, &received));
                    let (worker, lease) = (request.worker.as_str(), request.lease);
                    let now = self.options.clock.instant();
                    session.lock_leases().begin(received, &Terms { worker, lease, face, now });
                }
                Ok(fate) => self.end(&mut ended, &fate, received, now),
                Err(error) => {
                    failure = Some(error);
                    // Else nobody would have them until the connection ends.
                    session.lock_shelf().put(std::iter::once(received).chain(taken.by_ref()));
                }
            }
        }
        if !later.is_empty() {
            session.lock_shelf().put(later);
            session.rang.notify_waiters();
        }
        let sent = self.send_ended(session, ended).await;
        match failure.map_or(sent, Err) {
            Err(error) if handed.is_empty() => Err(error),
            // What was handed out belongs to the caller, who comes again for the rest.
            _ => Ok(handed),
        }
    }

    /// Whether a job may run now.
    async fn fate(
        &self,
        session: &Session,
        message: &Message,
        now: Timestamp,
    ) -> Result<Fate, AmqpError> {
        if message.is_stored {
            return Ok(Fate::Elsewhere);
        }
        let counts = message.counts;
        let was_tried = counts.failures > 0 || counts.losses > 0;
        if message.expires_ms.is_some_and(|at| at <= now.as_millisecond()) && !was_tried {
            return Ok(Fate::Expired);
        }
        let left_ms = message.due_ms.saturating_sub(now.as_millisecond());
        if u128::try_from(left_ms).is_ok_and(|left_ms| left_ms > ladder::SKEW.as_millis()) {
            return Ok(Fate::Early);
        }
        if message.is_suspect() {
            let begun = self.begun(session, message.job).await?;
            let recoveries = counts.recoveries.saturating_add(begun);
            if recoveries > self.recovery_limit.load(Ordering::Relaxed) {
                return Ok(Fate::Lost);
            }
        }
        Ok(Fate::Run)
    }

    fn end(&self, ended: &mut Ended, fate: &Fate, received: Received, now: Timestamp) {
        let message = received.message.clone();
        ended.received.push(received);
        match fate {
            Fate::Expired => {
                ended.expired += 1;
                ended.others.extend(reply(&message, JobState::Expired, None, None));
            }
            Fate::Lost => {
                ended.lost.push(message.job);
                ended.others.extend(self.lost(&message, "", now));
            }
            Fate::Elsewhere => {
                tracing::error!(
                    target: "hereafter",
                    job = %message.job, queue = %message.queue,
                    "this job is in a store, and this worker has none: add `results=URL` to its URL; \
                     workers with the store find the job there"
                );
            }
            Fate::Run | Fate::Early => ended.again.push(message),
        }
    }

    async fn send_ended(&self, session: &Session, ended: Ended) -> Result<(), AmqpError> {
        if ended.received.is_empty() {
            return Ok(());
        }
        if let Err(error) = session.send_jobs(&self.names, &ended.again, ended.others).await {
            session.lock_shelf().put(ended.received);
            return Err(error);
        }
        session.acknowledge(ended.received.iter().map(|received| received.tag)).await?;
        self.expired.fetch_add(ended.expired, Ordering::Relaxed);
        self.lost.fetch_add(ended.lost.len() as u64, Ordering::Relaxed);
        for job in ended.lost {
            session.delete_begun(&self.names, job).await?;
        }
        Ok(())
    }

    /// What is kept and said of a job whose worker died too often.
    pub(crate) fn lost(&self, message: &Message, worker: &str, now: Timestamp) -> Vec<Outbound> {
        let limit = self.recovery_limit.load(Ordering::Relaxed);
        let attempt = message.counts.failures.saturating_add(1);
        let failure = Failure::lost(message.job, message.task.clone(), attempt, limit);
        let kept = message.failed(self.names.failed(&message.queue), &failure, worker, now);
        let mut sent = vec![kept];
        sent.extend(reply(message, JobState::Failed, None, Some(&failure)));
        sent
    }

    fn delivery(&self, session: &Session, received: &Received) -> Delivery {
        let message = &received.message;
        let proof = Proof { instance: self.instance, epoch: session.epoch, tag: received.tag };
        Delivery {
            job: message.job,
            task: message.task.clone(),
            queue: message.queue.clone(),
            envelope: message.envelope.clone(),
            attempt: NonZeroU32::MIN.saturating_add(message.counts.failures),
            receipt: proof.receipt(),
            suspect: message.is_suspect(),
            enqueued_at: millis::timestamp(message.enqueued_ms),
            due_at: millis::timestamp(message.due_ms.max(message.enqueued_ms)),
        }
    }
}

/// What is to become of a message.
enum Fate {
    Run,
    /// It is not due yet: back onto the ladder.
    Early,
    Expired,
    Lost,
    /// It says that a job is ready in a store, which this set-up does not have.
    Elsewhere,
}

/// What is sent and acknowledged for messages that do not run.
#[derive(Default)]
struct Ended {
    received: Vec<Received>,
    expired: u64,
    again: Vec<Message>,
    others: Vec<Outbound>,
    lost: Vec<taskcore::JobId>,
}

/// How many suspects are handed out at once: each costs several ways to the server, while what was
/// leased before it waits.
const SUSPECTS: usize = 8;

/// How often the consumers may run before what was received counts as all there is.
const YIELDS: usize = 8;
