//! [`Depths`]: how full the queues are, asked at most once a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use taskcore::broker::{Broker, BrokerError, Depth, Guarded, Operate, QueueStatus};
use taskcore::{QueueName, error_chain};
use tokio::sync::Mutex;

/// Asks the store for its queues, and remembers the answer for a second, so that no number of
/// scrapes is a load on it.
#[derive(Debug)]
pub(crate) struct Depths {
    broker: Guarded,
    operate: Option<Arc<dyn Operate>>,
    /// The worker's queues, which are listed even where they hold nothing.
    served: Vec<QueueName>,
    last: Mutex<Option<Answer>>,
}

/// The queues, or why they are not known.
type Queues = Result<Vec<QueueStatus>, String>;

#[derive(Debug)]
struct Answer {
    at: Instant,
    queues: Queues,
}

/// For how long an answer holds.
const FRESH: Duration = Duration::from_secs(1);

/// How long a scrape waits for the store.
const PATIENCE: Duration = Duration::from_secs(5);

impl Depths {
    pub(crate) fn new(
        broker: Guarded,
        operate: Option<Arc<dyn Operate>>,
        served: Vec<QueueName>,
    ) -> Self {
        Self { broker, operate, served, last: Mutex::new(None) }
    }

    /// All queues that hold a job, are paused or are served here, by name.
    pub(crate) async fn now(&self) -> Queues {
        // Held while the store is asked: others wait for that one answer.
        let mut last = self.last.lock().await;
        if let Some(answer) = &*last
            && answer.at.elapsed() < FRESH
        {
            return answer.queues.clone();
        }
        let queues = self.ask().await;
        *last = Some(Answer { at: Instant::now(), queues: queues.clone() });
        queues
    }

    async fn ask(&self) -> Queues {
        let asked = tokio::time::timeout(PATIENCE, self.queues()).await;
        let Ok(answer) = asked else {
            return Err(format!("the broker did not answer within {} s", PATIENCE.as_secs()));
        };
        let mut queues = answer.map_err(|error| error_chain(&error))?;
        for name in &self.served {
            if !queues.iter().any(|queue| queue.depth.queue == *name) {
                queues.push(QueueStatus {
                    depth: Depth::empty(name.clone()),
                    paused: false,
                    consumers: None,
                });
            }
        }
        queues.sort_by(|left, right| left.depth.queue.cmp(&right.depth.queue));
        Ok(queues)
    }

    async fn queues(&self) -> Result<Vec<QueueStatus>, BrokerError> {
        let Some(operate) = self.operate.clone() else {
            let depths = self.broker.depth(&self.served).await?;
            let status = |depth| QueueStatus { depth, paused: false, consumers: None };
            return Ok(depths.into_iter().map(status).collect());
        };
        // In a task of its own, because a database future must not be dropped midway.
        let asked = tokio::spawn(async move { operate.queues().await });
        asked.await.unwrap_or_else(|error| {
            Err(BrokerError::Unavailable { broker: self.broker.name(), source: Box::new(error) })
        })
    }
}

#[cfg(test)]
mod tests {
    use taskbroker_memory::MemoryBroker;

    use super::*;

    #[tokio::test]
    async fn a_served_queue_is_listed_without_a_job_and_an_answer_holds_for_a_moment() {
        let connection = MemoryBroker::new().connection();
        let (broker, operate) = (Guarded::new(connection.broker), connection.operate.unwrap());
        let mail = QueueName::new("mail").unwrap();
        let depths = Depths::new(broker, Some(operate.clone()), vec![mail.clone()]);
        let [first] = &depths.now().await.unwrap()[..] else { panic!("one queue expected") };
        assert_eq!((&first.depth.queue, first.paused), (&mail, false));
        operate.pause(&mail, true).await.unwrap();
        assert!(!depths.now().await.unwrap()[0].paused, "asked again within a second");
    }
}
