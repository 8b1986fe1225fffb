//! What is declared on the server, and with which arguments.
//!
//! | name, after the prefix and the version | what | holds |
//! | --- | --- | --- |
//! | `ready.QUEUE.PRIORITY` | quorum queue | jobs that wait for a worker |
//! | `failed.QUEUE` | quorum queue | jobs that failed for good |
//! | `delay.STEP` | topic exchange, and quorum queue with a time to live | delayed jobs: see `ladder` |
//! | `due` | topic exchange | nothing; leads to the queues of ready jobs |
//! | `replies.PROCESS` | classic queue, or quorum queue in a cluster; deleted half an hour after its process is gone | ends of jobs |
//! | `begun.JOB` | classic queue, or quorum queue in a cluster; deleted with the job or after a day | a message for each time a suspect began |
//! | `catalog` | quorum queue | a message for each queue |
//!
//! All are durable. Only the ladder dead-letters, at least once, which needs `reject-publish`. The
//! queues of ready jobs drop nothing, so they have nowhere to send it to: failed jobs are sent by
//! the worker, confirmed, before the message is acknowledged. No queue has a delivery limit that
//! could be reached: RabbitMQ 4 would drop a message at its 20th return.
//!
//! That it is the ladder alone has one more reason. In RabbitMQ 3.10 a queue that dead-letters at
//! least once, and is deleted within milliseconds of its declaration, ends the supervisor of all
//! such queues, and from then on every declaration of one closes the connection (541,
//! `rabbit_fifo_dlx_sup` in the server's log) until the server is restarted.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use lapin::options::{
    ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind, Queue};
use taskcore::{JobId, Priority, QueueName};

use crate::error::AmqpError;
use crate::ladder;
use crate::message::Outbound;
use crate::names::{Names, destination};
use crate::replies;
use crate::session::{Session, within};

/// What this session knows to be there, by name.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    names: HashSet<String>,
    /// When something was found deleted.
    deleted: Option<Instant>,
}

impl Declared {
    /// Forgets all names, so that all are declared again.
    pub(crate) fn forget_all(&mut self) {
        self.names.clear();
    }

    /// Forgets all names, because something says that one is not there.
    pub(crate) fn found_deleted(&mut self) {
        self.forget_all();
        self.deleted = Some(Instant::now());
    }

    /// Waits until whoever consumes from a deleted queue has been told.
    ///
    /// If there is a queue of that name again by then, the server does not tell them, consumes from
    /// it for them, and drops messages on the way: it takes those that the new queue numbers like
    /// old ones for repetitions, and holds them until the connection ends (RabbitMQ 3.10.8, quorum
    /// queues). Nothing says when the last was told.
    async fn let_consumers_go(&mut self) {
        if let Some(deleted) = self.deleted.take() {
            tokio::time::sleep_until((deleted + UNTIL_TOLD).into()).await;
        }
    }
}

impl Session {
    /// Sees to it that the ready jobs of a queue have where to wait, the failed ones too, and that
    /// the queue is listed.
    pub(crate) async fn declare_queue(
        &self,
        names: &Names,
        queue: &QueueName,
    ) -> Result<(), AmqpError> {
        let mut declared = self.declared.lock().await;
        let failed = names.failed(queue);
        if declared.names.contains(&failed) {
            return Ok(());
        }
        declared.let_consumers_go().await;
        let is_new = self.look(&failed).await?.is_none();
        let channel = self.asking().await?;
        if is_new {
            declare(&channel, &names.catalog(), quorum()).await?;
            // Before the queue, so that none is missing in the list; it may be there twice.
            let body = queue.as_str().to_owned().into();
            self.publish(&[Outbound { body, ..Outbound::mark(names.catalog()) }]).await?;
        }
        for priority in priorities() {
            let ready = names.ready(queue, priority);
            declare(&channel, &ready, quorum()).await?;
            // With no delayed job at hand as well: one may be on the ladder since before the queue
            // was deleted.
            declare_foot(&mut declared, &channel, names, queue, priority).await?;
        }
        declare(&channel, &failed, quorum()).await?;
        declared.names.insert(failed);
        Ok(())
    }

    /// Sees to it that a delay, and every shorter one, leads to a queue, which is declared: while the
    /// first steps are declared, the delay becomes shorter.
    pub(crate) async fn declare_delay(&self, names: &Names, units: u32) -> Result<(), AmqpError> {
        let mut declared = self.declared.lock().await;
        let channel = self.asking().await?;
        let first = ladder::first_step(units).map_or(0, |first| first + 1);
        for step in 0..first {
            let name = names.step(step);
            let below = step.checked_sub(1).map_or_else(|| names.due(), |below| names.step(below));
            if !declared.names.contains(&name) {
                declare_exchange(&channel, &name).await?;
                bind_exchange(&channel, &name, &below, &ladder::digit_pattern(step, 0)).await?;
                let arguments = dead_lettering(quorum(), &below);
                declare(&channel, &name, lasting(arguments, "x-message-ttl", ladder::stay(step)))
                    .await?;
                bind_queue(&channel, &name, &name, &ladder::digit_pattern(step, 1)).await?;
                declared.names.insert(name);
            }
        }
        Ok(())
    }

    /// Sees to it that ready jobs have where to wait, whatever was known before. To consume from
    /// a queue that is not there closes the channel, and with it ends every lease. Answers how many wait.
    pub(crate) async fn find_or_declare(
        &self,
        names: &Names,
        queue: &QueueName,
        priority: Priority,
    ) -> Result<usize, AmqpError> {
        if let Some(found) = self.look(&names.ready(queue, priority)).await? {
            return Ok(found.message_count() as usize);
        }
        self.declared.lock().await.found_deleted();
        self.declare_queue(names, queue).await?;
        Ok(0)
    }

    /// Declares the queue in which a process hears of the ends of its jobs.
    pub(crate) async fn declare_replies(&self, queue: &replies::Queue) -> Result<(), AmqpError> {
        let channel = self.asking().await?;
        let arguments = if queue.is_replicated { quorum() } else { FieldTable::default() };
        let arguments = lasting(arguments, "x-expires", Duration::from_secs(30 * 60));
        declare(&channel, &queue.name, arguments).await.map(|_| ())
    }

    /// Declares the queue that counts how often a suspect was begun; answers how often so far.
    ///
    /// After a crash there may be hundreds of suspects at once, because the server hands what one lost
    /// connection had to another one that is lost, and counts both. A quorum queue for each would take
    /// as many elections; so it is one only where there is another node to hold it.
    pub(crate) async fn declare_begun(
        &self,
        names: &Names,
        job: JobId,
        is_replicated: bool,
    ) -> Result<u32, AmqpError> {
        let channel = self.asking().await?;
        let arguments = if is_replicated { quorum() } else { FieldTable::default() };
        let arguments = lasting(arguments, "x-expires", Duration::from_secs(24 * 60 * 60));
        let name = names.begun(job);
        let declared = declare(&channel, &name, arguments).await;
        drop(channel);
        match declared {
            Ok(queue) => Ok(queue.message_count()),
            // By a program whose URL has other hosts.
            Err(AmqpError::OtherArguments { .. }) => {
                Ok(self.look(&name).await?.map_or(0, |queue| queue.message_count()))
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes that queue.
    pub(crate) async fn delete_begun(&self, names: &Names, job: JobId) -> Result<(), AmqpError> {
        let channel = self.asking().await?;
        let name = names.begun(job);
        let deleting = channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default());
        within("delete a queue", deleting).await.map(|_| ())
    }

    /// A queue's counts; `None` if it is not there.
    pub(crate) async fn look(&self, name: &str) -> Result<Option<Queue>, AmqpError> {
        let channel = self.asking().await?;
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let looking = channel.queue_declare(name.into(), options, FieldTable::default());
        match within("look at a queue", looking).await {
            Ok(queue) => Ok(Some(queue)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// All priorities, the most urgent first.
pub(crate) fn priorities() -> impl Iterator<Item = Priority> {
    (Priority::MIN.value()..=Priority::MAX.value()).rev().filter_map(|it| Priority::new(it).ok())
}

async fn declare(channel: &Channel, name: &str, arguments: FieldTable) -> Result<Queue, AmqpError> {
    let declaring = channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments);
    answer("queue", name, declaring).await
}

/// Leads from the foot of the ladder to ready jobs.
async fn declare_foot(
    declared: &mut Declared,
    channel: &Channel,
    names: &Names,
    queue: &QueueName,
    priority: Priority,
) -> Result<(), AmqpError> {
    let due = names.due();
    if !declared.names.contains(&due) {
        declare_exchange(channel, &due).await?;
        declared.names.insert(due.clone());
    }
    let pattern = ladder::destination_pattern(&destination(queue, priority));
    bind_queue(channel, &names.ready(queue, priority), &due, &pattern).await
}

async fn declare_exchange(channel: &Channel, name: &str) -> Result<(), AmqpError> {
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let arguments = FieldTable::default();
    let declaring = channel.exchange_declare(name.into(), ExchangeKind::Topic, options, arguments);
    answer("exchange", name, declaring).await
}

async fn bind_exchange(
    channel: &Channel,
    from: &str,
    to: &str,
    pattern: &str,
) -> Result<(), AmqpError> {
    let options = ExchangeBindOptions::default();
    let arguments = FieldTable::default();
    let binding = channel.exchange_bind(to.into(), from.into(), pattern.into(), options, arguments);
    answer("exchange", from, binding).await
}

async fn bind_queue(
    channel: &Channel,
    queue: &str,
    from: &str,
    pattern: &str,
) -> Result<(), AmqpError> {
    let options = QueueBindOptions::default();
    let arguments = FieldTable::default();
    let binding = channel.queue_bind(queue.into(), from.into(), pattern.into(), options, arguments);
    answer("queue", queue, binding).await
}

async fn answer<T>(
    what: &'static str,
    name: &str,
    answer: impl Future<Output = lapin::Result<T>>,
) -> Result<T, AmqpError> {
    within("declare queues", answer).await.map_err(|error| match error {
        AmqpError::Failed { source, .. } => AmqpError::of_declare(what, name, source),
        other => other,
    })
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(NEVER_REACHED));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    arguments
}

/// Messages whose time is up go to this exchange, by their own routing key.
fn dead_lettering(mut arguments: FieldTable, exchange: &str) -> FieldTable {
    arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString(exchange.into()));
    arguments
        .insert("x-dead-letter-strategy".into(), AMQPValue::LongString("at-least-once".into()));
    arguments
}

/// With a span in milliseconds.
fn lasting(mut arguments: FieldTable, argument: &str, span: Duration) -> FieldTable {
    let ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    arguments.insert(argument.into(), AMQPValue::LongLongInt(ms));
    arguments
}

/// RabbitMQ 3.10 has no word for "none", and 4 has a default of 20.
const NEVER_REACHED: i32 = i32::MAX;

/// It takes some milliseconds; more on a busy server.
const UNTIL_TOLD: Duration = Duration::from_secs(1);
