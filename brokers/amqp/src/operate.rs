//! What people can do without a store: see the queues, and see, replay and delete failed jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use jiff::Timestamp;
use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions};
use lapin::types::FieldTable;
use taskcore::broker::{
    BrokerError, CancelOutcome, CancelScope, Finding, JobFilter, JobRecord, JobState, Operate,
    QueueStatus,
};
use taskcore::{JobId, QueueName};

use crate::NAME;
use crate::broker::AmqpBroker;
use crate::error::AmqpError;
use crate::message::{Counts, Message, record};
use crate::session::{Session, within};
use crate::store::Shared;

#[async_trait]
impl Operate for AmqpBroker {
    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobRecord>, BrokerError> {
        if filter.states != [JobState::Failed] {
            let operation = "listing jobs but failed ones: ask for those (`--state failed`), or \
                             add a result store, `results=URL`";
            return Err(BrokerError::Unsupported { broker: NAME, operation });
        }
        let filter = filter.clone();
        self.run(async move |shared: Arc<Shared>| shared.failed_jobs(&filter).await).await
    }

    async fn cancel(
        &self,
        _ids: &[JobId],
        _scope: CancelScope,
    ) -> Result<Vec<CancelOutcome>, BrokerError> {
        let operation = "cancelling jobs: add a result store, `results=URL`";
        Err(BrokerError::Unsupported { broker: NAME, operation })
    }

    async fn replay(&self, filter: &JobFilter) -> Result<Vec<JobId>, BrokerError> {
        let filter = filter.clone();
        self.run(async move |shared: Arc<Shared>| shared.replay(&filter).await).await
    }

    async fn purge(&self, filter: &JobFilter) -> Result<u64, BrokerError> {
        if filter.states != [JobState::Failed] {
            let operation = "deleting jobs but failed ones: name those (`--state failed`), or \
                             add a result store, `results=URL`";
            return Err(BrokerError::Unsupported { broker: NAME, operation });
        }
        let filter = filter.clone();
        self.run(async move |shared: Arc<Shared>| shared.purge(&filter).await).await
    }

    async fn queues(&self) -> Result<Vec<QueueStatus>, BrokerError> {
        self.run(async |shared: Arc<Shared>| {
            let session = shared.link.session().await?;
            let mut queues = Vec::new();
            for queue in shared.listed(&session).await? {
                let counted = shared.count(&session, &queue).await?;
                queues.push(QueueStatus {
                    depth: counted.depth,
                    paused: false,
                    consumers: Some(counted.consumers),
                });
            }
            Ok(queues)
        })
        .await
    }

    async fn pause(&self, _queue: &QueueName, _paused: bool) -> Result<(), BrokerError> {
        let operation = "pausing queues: add a result store, `results=URL`";
        Err(BrokerError::Unsupported { broker: NAME, operation })
    }

    async fn check(&self) -> Result<Vec<Finding>, BrokerError> {
        self.run(async |shared: Arc<Shared>| shared.check().await).await
    }
}

impl AmqpBroker {
    /// How many consumers each queue has.
    pub(crate) async fn consumers(&self) -> Result<BTreeMap<QueueName, u64>, BrokerError> {
        let queues = self.queues().await?;
        Ok(queues.into_iter().map(|it| (it.depth.queue, it.consumers.unwrap_or(0))).collect())
    }
}

impl Shared {
    /// Newest first.
    async fn failed_jobs(&self, filter: &JobFilter) -> Result<Vec<JobRecord>, BrokerError> {
        let session = self.link.session().await?;
        let mut found: Vec<JobRecord> = Vec::new();
        for held in self.hold_failed(&session, filter).await? {
            found.extend(held.passing(filter).map(|(_, record)| record));
            held.release(&session).await?;
        }
        found.sort_by_key(|record| std::cmp::Reverse((record.created_at, record.id)));
        found.truncate(limit(filter));
        Ok(found)
    }

    /// Makes failed jobs ready again, the oldest first. Each is stored anew before it is deleted:
    /// after a crash in between it is there twice.
    async fn replay(&self, filter: &JobFilter) -> Result<Vec<JobId>, BrokerError> {
        let session = self.link.session().await?;
        let mut held = self.hold_failed(&session, filter).await?;
        let chosen = oldest(&held, filter);
        let mut again = Vec::with_capacity(chosen.len());
        for (queue, place, record) in &chosen {
            let Held { queue: name, deliveries, .. } = &held[*queue];
            let Delivery { properties, data, .. } = &deliveries[*place];
            let (queue, now) = (name.clone(), Timestamp::now());
            let message = Message::read(properties, data.clone(), queue, record.priority, now);
            again.push(Message {
                counts: Counts::default(),
                returns: 0,
                due_ms: now.as_millisecond(),
                expires_ms: None,
                ..message
            });
        }
        session.send_jobs(&self.names, &again, Vec::new()).await?;
        let replayed = chosen.iter().map(|(_, _, record)| record.id).collect();
        delete(&mut held, &chosen).await?;
        for held in held {
            held.release(&session).await?;
        }
        Ok(replayed)
    }

    async fn purge(&self, filter: &JobFilter) -> Result<u64, BrokerError> {
        let session = self.link.session().await?;
        let mut held = self.hold_failed(&session, filter).await?;
        let chosen = oldest(&held, filter);
        delete(&mut held, &chosen).await?;
        for held in held {
            held.release(&session).await?;
        }
        Ok(chosen.len() as u64)
    }

    /// Holds all failed jobs of the queues that the filter lets pass.
    async fn hold_failed(
        &self,
        session: &Session,
        filter: &JobFilter,
    ) -> Result<Vec<Held>, AmqpError> {
        let queues = match &filter.queue {
            Some(queue) => BTreeSet::from([queue.clone()]),
            None => self.listed(session).await?,
        };
        let mut all = Vec::new();
        for queue in queues {
            let name = self.names.failed(&queue);
            all.extend(Held::of(session, name, queue).await?);
        }
        Ok(all)
    }

    /// The queues that are there, by name.
    pub(crate) async fn listed(&self, session: &Session) -> Result<BTreeSet<QueueName>, AmqpError> {
        let name = self.names.catalog();
        let Some(held) = Held::of(session, name, QueueName::DEFAULT).await? else {
            return Ok(BTreeSet::new());
        };
        let name = |delivery: &Delivery| String::from_utf8_lossy(&delivery.data).into_owned();
        let queues = held.deliveries.iter().filter_map(|it| QueueName::new(name(it)).ok());
        let queues = queues.collect();
        held.release(session).await?;
        Ok(queues)
    }
}

/// All messages of a queue, which nobody else sees until they are released.
struct Held {
    name: String,
    queue: QueueName,
    channel: Channel,
    deliveries: Vec<Delivery>,
    deleted: usize,
}

impl Held {
    /// `None` for a queue that is not there.
    async fn of(
        session: &Session,
        name: String,
        queue: QueueName,
    ) -> Result<Option<Self>, AmqpError> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if session.look(&name).await?.is_none() {
                return Ok(None);
            }
            let channel = session.channel().await?;
            // Alone, so that a second who looks does not see half of it.
            let options = BasicConsumeOptions { exclusive: true, ..BasicConsumeOptions::default() };
            let arguments = FieldTable::default();
            let consuming =
                channel.basic_consume(name.as_str().into(), "look".into(), options, arguments);
            match within("read a queue", consuming).await {
                Ok(consumer) => {
                    let deliveries = receive(session, &name, consumer).await?;
                    return Ok(Some(Self { name, queue, channel, deliveries, deleted: 0 }));
                }
                Err(error) if error.is_access_refused() => {
                    if tokio::time::Instant::now() > deadline {
                        return Err(AmqpError::InUse { queue: name });
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// What passes the filter, whatever its limit, and where it is.
    fn passing(&self, filter: &JobFilter) -> impl Iterator<Item = (usize, JobRecord)> {
        let now = Timestamp::now();
        let read = move |(place, delivery): (usize, &Delivery)| {
            let (properties, body) = (&delivery.properties, delivery.data.clone());
            (place, record(properties, body, self.queue.clone(), now))
        };
        self.deliveries.iter().enumerate().map(read).filter(|(_, record)| passes(filter, record))
    }

    /// Gives back what was not deleted, and waits until it is there again.
    async fn release(self, session: &Session) -> Result<(), AmqpError> {
        let kept = self.deliveries.len() - self.deleted;
        // They go back before the queue is free for the next who looks. If it fails, the connection
        // is gone, and then they go back as well.
        let all = BasicNackOptions { multiple: true, requeue: true };
        let closing = async {
            if kept > 0 {
                self.channel.basic_nack(0, all).await?;
            }
            self.channel.close(200, "read".into()).await
        };
        let _ = tokio::time::timeout(PATIENCE, closing).await;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < deadline {
            let found = session.look(&self.name).await?;
            if found.is_none_or(|found| found.message_count() as usize >= kept) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }
}

/// All messages of a queue that nobody else reads: until the server has none left and nothing is on
/// its way.
async fn receive(
    session: &Session,
    name: &str,
    mut consumer: lapin::Consumer,
) -> Result<Vec<Delivery>, AmqpError> {
    let mut deliveries = Vec::new();
    let mut was_empty = false;
    loop {
        match tokio::time::timeout(QUIET, consumer.next()).await {
            Ok(Some(delivery)) => {
                deliveries.push(delivery.map_err(AmqpError::at("read a queue"))?);
                was_empty = false;
            }
            // Somebody deleted the queue.
            Ok(None) => return Ok(deliveries),
            Err(_) if was_empty => return Ok(deliveries),
            Err(_) => {
                let left = session.look(name).await?;
                was_empty = left.is_none_or(|left| left.message_count() == 0);
            }
        }
    }
}

/// The oldest jobs that pass the filter, up to its limit: in which queue, where there, and what.
fn oldest(held: &[Held], filter: &JobFilter) -> Vec<(usize, usize, JobRecord)> {
    let all = held.iter().enumerate().flat_map(|(queue, held)| {
        held.passing(filter).map(move |(place, record)| (queue, place, record))
    });
    let mut chosen: Vec<_> = all.collect();
    chosen.sort_by_key(|(_, _, record)| (record.created_at, record.id));
    chosen.truncate(limit(filter));
    chosen
}

async fn delete(held: &mut [Held], chosen: &[(usize, usize, JobRecord)]) -> Result<(), AmqpError> {
    for (queue, place, _) in chosen {
        let held = &mut held[*queue];
        let acknowledged = held.deliveries[*place].ack(BasicAckOptions::default()).await;
        acknowledged.map_err(AmqpError::at("delete a job"))?;
        held.deleted += 1;
    }
    Ok(())
}

fn limit(filter: &JobFilter) -> usize {
    filter.limit.map_or(usize::MAX, |limit| limit as usize)
}

fn passes(filter: &JobFilter, record: &JobRecord) -> bool {
    let JobFilter { ids, task, queue, created_from, created_before, .. } = filter;
    ids.as_ref().is_none_or(|ids| ids.contains(&record.id))
        && task.as_ref().is_none_or(|task| *task == record.task)
        && queue.as_ref().is_none_or(|queue| *queue == record.queue)
        && created_from.is_none_or(|from| record.created_at >= from)
        && created_before.is_none_or(|before| record.created_at < before)
}

const PATIENCE: Duration = Duration::from_secs(5);

/// For how long nothing comes before the server is asked whether there is more.
const QUIET: Duration = Duration::from_millis(20);
