//! [`Completing`]: ending a delivery elsewhere than through its worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::broker::{Keep, Receipt};

/// What it takes to record the success of the delivery that a task runs for inside a transaction of
/// the task; for broker crates, whose users see a method of [`Context`](crate::Context).
#[derive(Debug, Clone)]
pub struct Completing {
    /// The proof of the lease.
    pub receipt: Receipt,
    /// For how long the outcome is kept.
    pub keep: Keep,
    /// The largest result, in bytes.
    pub result_limit: usize,
    /// Set once the task has tried.
    pub tried: Arc<AtomicBool>,
}

impl Completing {
    /// Says that the lease may end at any moment, with the commit of a transaction: then the worker
    /// does not take the delivery for lost. What the task returns is its verdict all the same, and
    /// counts if the commit did not happen.
    pub fn try_it(&self) {
        self.tried.store(true, Ordering::SeqCst);
    }
}
