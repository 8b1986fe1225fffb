//! Why this broker refuses a call.

use taskcore::broker::BrokerError;

use crate::broker::MemoryBroker;

/// What is wrong with a batch.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the batch has {jobs} jobs and the limit is {limit}")]
    Batch { jobs: usize, limit: usize },
    #[error("a job of task `{task}` has {bytes} bytes and the limit is {limit}")]
    Envelope { task: String, bytes: usize, limit: usize },
}

impl Refusal {
    fn remedy(&self) -> &'static str {
        match self {
            Self::Batch { .. } => "split the batch",
            Self::Envelope { .. } => "store the data elsewhere and pass a reference",
        }
    }
}

impl From<Refusal> for BrokerError {
    fn from(refusal: Refusal) -> Self {
        let reason = refusal.remedy().to_owned();
        Self::Refused { broker: MemoryBroker::NAME, reason, source: Box::new(refusal) }
    }
}
