//! The RabbitMQ broker of the Hereafter task queue, on [lapin].
//!
//! [`AmqpBroker`] is RabbitMQ alone: jobs are messages in quorum queues, a delayed job goes through
//! queues with a time to live, a failed one is kept in a queue of its own, and how a job ended is
//! told to the process that stored it, by a message. What needs more than that (workflows, unique
//! keys, cancelling, schedules, streams, results elsewhere) is refused.
//!
//! [`Composed`] is RabbitMQ with a store, which has it all: the store has the jobs, and RabbitMQ
//! carries word of those that are ready.
//!
//! Both are opened by [`AmqpOptions`], a URL. Users come here by `hereafter::connect("amqp://…")`;
//! what a server needs, what is promised and how messages look is told by
//! [docs/rabbitmq.md](https://github.com/hereafter-rs/hereafter/blob/main/docs/rabbitmq.md).
//!
//! ```no_run
//! use taskbroker_amqp::{AmqpBroker, AmqpOptions};
//! use taskcore::Client;
//!
//! # async fn example() -> Result<(), taskcore::broker::ConnectError> {
//! let options = AmqpOptions::parse("amqp://app:secret@localhost/jobs?heartbeat=5")?.prefix("shop")?;
//! let broker = AmqpBroker::open(options).await?;
//! let client = Client::new(broker.connection());
//! # drop(client);
//! # Ok(())
//! # }
//! ```
//!
//! An option that is not understood is refused with what to write, before any server is asked:
//!
//! ```
//! use taskbroker_amqp::AmqpOptions;
//!
//! let refused = AmqpOptions::parse("amqp://app:secret@localhost/jobs?heartbeat=0").unwrap_err();
//! assert!(refused.to_string().contains("`heartbeat` is 1 to 600 seconds"));
//! assert!(!refused.to_string().contains("secret"));
//! ```

mod acks;
mod broker;
mod check;
mod composed;
mod driver;
mod erase;
mod error;
#[cfg(test)]
mod fuzz;
mod hosts;
mod keeper;
mod ladder;
mod leases;
mod link;
mod message;
mod names;
mod operate;
mod options;
mod part;
mod publish;
mod publishers;
mod receive;
mod relay;
mod replies;
mod reserve;
mod send;
mod session;
mod settle;
mod shelf;
mod store;
mod taps;
mod topology;
mod version;

pub use broker::AmqpBroker;
pub use composed::Composed;
pub use options::AmqpOptions;

/// The broker's name in errors, spans and metrics.
const NAME: &str = "amqp";
