//! [`Ledger`]: where jobs are stored besides a client's own connection.

use async_trait::async_trait;

use crate::broker::{BrokerError, Enqueued, NewJob};

/// Stores jobs in something larger that its owner commits, such as a transaction of the
/// application; for broker crates, whose users see a method of calls.
#[async_trait]
pub trait Ledger: Send {
    /// Stores a batch, as [`Broker::enqueue`](crate::broker::Broker::enqueue) does, if and when the
    /// owner commits.
    async fn enqueue(&mut self, batch: &[NewJob]) -> Result<Vec<Enqueued>, BrokerError>;
}
