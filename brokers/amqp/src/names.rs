//! The names of queues and exchanges on the server, and nowhere else.

use taskcore::{JobId, Priority, QueueName};

/// The version of the topology. Queues of one version are declared alike for ever; a change of
/// their arguments needs a new version, and a way over.
const VERSION: u32 = 1;

/// Gives names that begin with a prefix.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { prefix: format!("{prefix}.{VERSION}") }
    }

    /// Where ready jobs of a queue and priority wait.
    pub(crate) fn ready(&self, queue: &QueueName, priority: Priority) -> String {
        format!("{}.ready.{}", self.prefix, destination(queue, priority))
    }

    /// Where the failed jobs of a queue are kept.
    pub(crate) fn failed(&self, queue: &QueueName) -> String {
        format!("{}.failed.{queue}", self.prefix)
    }

    /// The queue and the exchange of a step of the ladder.
    pub(crate) fn step(&self, step: u32) -> String {
        format!("{}.delay.{step}", self.prefix)
    }

    /// The exchange at the foot of the ladder.
    pub(crate) fn due(&self) -> String {
        format!("{}.due", self.prefix)
    }

    /// Where a process that stores jobs hears of their ends.
    pub(crate) fn replies(&self, process: &str) -> String {
        format!("{}.replies.{process}", self.prefix)
    }

    /// Holds a message for each time that a suspect was begun.
    pub(crate) fn begun(&self, job: JobId) -> String {
        format!("{}.begun.{job}", self.prefix)
    }

    /// A queue that is never declared, for messages that nobody is to get.
    pub(crate) fn nowhere(&self) -> String {
        format!("{}.nowhere", self.prefix)
    }

    /// Holds a message for each queue that there is, for those who list them.
    pub(crate) fn catalog(&self) -> String {
        format!("{}.catalog", self.prefix)
    }
}

/// The last words of a routing key, and of the name of the queue that it leads to.
pub(crate) fn destination(queue: &QueueName, priority: Priority) -> String {
    format!("{queue}.{}", priority.value())
}
