//! [`Taps`]: what flows in from which queue, and how much at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::Timestamp;
use lapin::Consumer;
use lapin::message::Delivery;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicQosOptions};
use lapin::types::FieldTable;
use taskcore::broker::QueueShare;
use taskcore::{Priority, QueueName};

use crate::error::AmqpError;
use crate::message::{Message, Received};
use crate::names::Names;
use crate::session::{Session, within};
use crate::topology::priorities;

/// The consumers of a session, and who asks for which queue.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    open: HashMap<(QueueName, Priority), Tap>,
    asked: HashMap<QueueName, Asked>,
    /// For consumer tags.
    number: u64,
}

/// One consumer.
#[derive(Debug)]
struct Tap {
    tag: String,
    prefetch: u16,
}

/// When a queue was asked for.
#[derive(Debug)]
struct Asked {
    now: usize,
    last: Instant,
}

impl Session {
    /// Somebody asks for jobs of these queues, until [`asked_enough`](Self::asked_enough).
    pub(crate) async fn asking_for(&self, shares: &[QueueShare]) {
        let mut taps = self.taps.lock().await;
        for share in shares {
            let asked = taps.asked.entry(share.queue.clone());
            let asked = asked.or_insert_with(|| Asked { now: 0, last: Instant::now() });
            asked.now += 1;
        }
    }

    pub(crate) async fn asked_enough(&self, shares: &[QueueShare]) {
        let mut taps = self.taps.lock().await;
        for share in shares {
            if let Some(asked) = taps.asked.get_mut(&share.queue) {
                asked.now -= 1;
                asked.last = Instant::now();
            }
        }
    }

    /// Lets messages of these queues flow in, as many as were asked for and no more than needed:
    /// what lies here cannot run elsewhere.
    pub(crate) async fn open_taps(
        self: &Arc<Self>,
        names: &Names,
        shares: &[QueueShare],
    ) -> Result<(), AmqpError> {
        for share in shares {
            self.declare_queue(names, &share.queue).await?;
            let held = self.lock_leases().of(&share.queue);
            let wanted = held.saturating_add(share.max.get() as usize);
            for priority in priorities() {
                self.open_tap(names, &share.queue, priority, wanted).await?;
            }
        }
        Ok(())
    }

    async fn open_tap(
        self: &Arc<Self>,
        names: &Names,
        queue: &QueueName,
        priority: Priority,
        wanted: usize,
    ) -> Result<(), AmqpError> {
        let key = (queue.clone(), priority);
        let mut taps = self.taps.lock().await;
        match taps.open.get(&key).map(|tap| usize::from(tap.prefetch)) {
            Some(prefetch) if prefetch >= wanted && prefetch <= wanted.saturating_mul(8) => {
                return Ok(());
            }
            Some(_) => self.close_tap(&mut taps, &key).await?,
            None => {}
        }
        self.find_or_declare(names, queue, priority).await?;
        taps.number += 1;
        let tag = format!(
            "{queue}.{priority}.{number}",
            priority = priority.value(),
            number = taps.number
        );
        let prefetch = prefetch(wanted);
        let consumer = self.consume(&names.ready(queue, priority), &tag, prefetch).await?;
        taps.open.insert(key.clone(), Tap { tag: tag.clone(), prefetch });
        drop(taps);
        tokio::task::spawn_local(flow(self.clone(), consumer, key, tag));
        Ok(())
    }

    async fn close_tap(
        &self,
        taps: &mut Taps,
        key: &(QueueName, Priority),
    ) -> Result<(), AmqpError> {
        let Some(tap) = taps.open.remove(key) else { return Ok(()) };
        let closing =
            self.consuming.basic_cancel(tap.tag.as_str().into(), BasicCancelOptions::default());
        within("stop consuming", closing).await
    }

    /// Stops what flows in from queues that nobody has asked for since `idle`, and answers them.
    pub(crate) async fn close_idle_taps(
        &self,
        idle: Duration,
    ) -> Result<Vec<QueueName>, AmqpError> {
        let mut taps = self.taps.lock().await;
        let is_idle = |asked: &Asked| asked.now == 0 && asked.last.elapsed() >= idle;
        let queues: Vec<QueueName> = taps
            .asked
            .iter()
            .filter(|(_, asked)| is_idle(asked))
            .map(|(queue, _)| queue.clone())
            .collect();
        for queue in &queues {
            for priority in priorities() {
                self.close_tap(&mut taps, &(queue.clone(), priority)).await?;
            }
            taps.asked.remove(queue);
        }
        Ok(queues)
    }

    /// Takes messages out of a queue, until there is none or there are `max`; what flows in by itself is
    /// left to the shelf.
    pub(crate) async fn pull(
        &self,
        names: &Names,
        queue: &QueueName,
        max: usize,
    ) -> Result<Vec<Received>, AmqpError> {
        let mut pulled = Vec::new();
        for priority in priorities() {
            if let Err(error) = self.pull_some(names, queue, priority, max, &mut pulled).await {
                // They are ours until somebody has dealt with them.
                self.lock_shelf().put(pulled);
                return Err(error);
            }
        }
        Ok(pulled)
    }

    async fn pull_some(
        &self,
        names: &Names,
        queue: &QueueName,
        priority: Priority,
        max: usize,
        pulled: &mut Vec<Received>,
    ) -> Result<(), AmqpError> {
        if pulled.len() >= max {
            return Ok(());
        }
        let waiting = self.find_or_declare(names, queue, priority).await?;
        let ready = names.ready(queue, priority);
        let many = waiting.min(max - pulled.len()).min(u16::MAX.into());
        if many >= MANY {
            self.pull_many(&ready, queue, priority, many, pulled).await?;
        }
        while pulled.len() < max {
            let options = BasicGetOptions::default();
            let getting = self.consuming.basic_get(ready.as_str().into(), options);
            let Some(message) = within("get a job", getting).await? else { break };
            self.acks.lock().await.opened([message.delivery.delivery_tag]);
            pulled.push(received(message.delivery, queue, priority));
        }
        Ok(())
    }

    /// Takes so many by a consumer that is there for them alone: one by one each is a way to the server
    /// and back. Once it has them, the server sends it no more.
    async fn pull_many(
        &self,
        ready: &str,
        queue: &QueueName,
        priority: Priority,
        many: usize,
        pulled: &mut Vec<Received>,
    ) -> Result<(), AmqpError> {
        let mut taps = self.taps.lock().await;
        taps.number += 1;
        let tag = format!("once.{}", taps.number);
        let mut consumer = self.consume(ready, &tag, u16::try_from(many).unwrap_or(1)).await?;
        drop(taps);
        let mut left = many;
        // Others may have got them meanwhile.
        while left > 0
            && let Ok(Some(Ok(delivery))) = tokio::time::timeout(LULL, consumer.next()).await
        {
            self.acks.lock().await.opened([delivery.delivery_tag]);
            pulled.push(received(delivery, queue, priority));
            left -= 1;
        }
        let options = BasicCancelOptions::default();
        let cancelling = self.consuming.basic_cancel(tag.as_str().into(), options);
        within("stop consuming", cancelling).await?;
        // It ends with what came before the server had heard of that.
        while let Ok(Some(Ok(delivery))) = tokio::time::timeout(LULL, consumer.next()).await {
            self.acks.lock().await.opened([delivery.delivery_tag]);
            pulled.push(received(delivery, queue, priority));
        }
        Ok(())
    }

    /// A consumer with at most so many unacknowledged messages. `taps` is locked meanwhile, because the
    /// limit is set for the consumers that follow on the channel.
    async fn consume(&self, ready: &str, tag: &str, prefetch: u16) -> Result<Consumer, AmqpError> {
        let channel = &self.consuming;
        within("limit what comes", channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
        let options = BasicConsumeOptions::default();
        let consuming =
            channel.basic_consume(ready.into(), tag.into(), options, FieldTable::default());
        within("consume", consuming).await
    }
}

/// Brings what one consumer receives to the shelf, until it ends.
async fn flow(session: Arc<Session>, consumer: Consumer, key: (QueueName, Priority), tag: String) {
    let mut chunks = consumer.ready_chunks(CHUNK);
    while let Some(chunk) = chunks.next().await {
        let mut batch = Vec::with_capacity(chunk.len());
        for delivery in chunk {
            match delivery {
                Ok(delivery) => batch.push(received(delivery, &key.0, key.1)),
                // The connection or the channel is gone, and the session with it.
                Err(_) => break,
            }
        }
        session.acks.lock().await.opened(batch.iter().map(|received| received.tag));
        session.lock_shelf().put(batch);
        session.rang.notify_waiters();
    }
    // By us, or because the queue was deleted or lost its leader: whoever asks next finds no tap
    // and makes it anew, with the queue.
    let mut taps = session.taps.lock().await;
    if taps.open.get(&key).is_some_and(|tap| tap.tag == tag) {
        taps.open.remove(&key);
        session.declared.lock().await.found_deleted();
    }
    drop(taps);
    session.rang.notify_waiters();
}

fn received(delivery: Delivery, queue: &QueueName, priority: Priority) -> Received {
    let Delivery { delivery_tag, properties, data, .. } = delivery;
    let message = Message::read(&properties, data, queue.clone(), priority, Timestamp::now());
    Received { tag: delivery_tag, message, at: Instant::now() }
}

/// How many unacknowledged messages a consumer may have. Exactly what was asked while that is
/// little, because the jobs may be long; with room to grow where they are evidently short.
fn prefetch(wanted: usize) -> u16 {
    let roomy = if wanted > 256 { wanted.next_power_of_two().saturating_mul(2) } else { wanted };
    u16::try_from(roomy).unwrap_or(u16::MAX).max(1)
}

const CHUNK: usize = 1_000;

/// Messages from which on a consumer for them alone is faster than to get them one by one.
const MANY: usize = 32;

/// How long nothing comes before what came counts as all that comes.
const LULL: Duration = Duration::from_millis(100);
