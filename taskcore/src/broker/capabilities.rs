//! [`Capabilities`]: what may differ between brokers.

use std::time::Duration;

/// What a broker can do; one meaning each, and the conformance suite tests both values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// A job enqueued twice with one id is stored once.
    pub dedupe: bool,
    /// Results are kept with the verdict.
    pub results: bool,
    /// Unique keys are held and checked.
    pub unique: bool,
    /// Jobs survive the end of every process.
    pub durable: bool,
    /// The largest batch of one call; larger ones are split by the caller.
    pub max_batch: usize,
    /// How many `enqueue`s of one client are worth having under way at a time, for calls that are
    /// delayed one by one: 1 where the broker takes one after the other.
    pub enqueues_at_once: usize,
    /// The largest stored job, in bytes of its envelope.
    pub max_envelope: usize,
    /// A due time is kept to this precision, rounded up.
    pub due_resolution: Duration,
    /// How long one delivery may stay with a worker, however often its lease is extended; `None`
    /// if there is no limit. A worker ends a run before.
    pub longest_run: Option<Duration>,
}
