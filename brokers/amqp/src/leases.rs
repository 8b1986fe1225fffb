//! [`Leases`]: which messages of a session belong to whom, and until when.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use taskcore::broker::{Extended, Receipt};
use taskcore::{JobId, QueueName};

use crate::message::{Message, Received};

/// The deliveries that were handed out and not settled, by delivery tag.
///
/// The server has no lease, only the connection; this keeps the contract's leases while it lasts.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: HashMap<u64, Lease>,
    /// How many of them are of which queue: asked at each wake-up of who asks for jobs.
    by_queue: HashMap<QueueName, usize>,
}

/// One delivery.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) message: Message,
    pub(crate) worker: String,
    pub(crate) begun: bool,
    /// Which face of the broker handed it out.
    face: u64,
    end: Instant,
}

/// Under which terms a delivery is handed out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) worker: &'a str,
    pub(crate) lease: Duration,
    pub(crate) face: u64,
    pub(crate) now: Instant,
}

impl Lease {
    pub(crate) fn is_suspect(&self) -> bool {
        self.message.is_suspect()
    }
}

impl Leases {
    pub(crate) fn begin(&mut self, received: Received, terms: &Terms<'_>) {
        let Received { tag, message, .. } = received;
        let Terms { worker, lease, face, now } = *terms;
        let (worker, end) = (worker.to_owned(), later(now, lease));
        self.put_back(tag, Lease { message, worker, begun: false, face, end });
    }

    /// The lease with this tag, if it has not ended.
    pub(crate) fn current(&mut self, tag: u64, now: Instant) -> Option<&mut Lease> {
        self.held.get_mut(&tag).filter(|lease| now < lease.end)
    }

    /// Takes a lease out, if it is current and of this job.
    pub(crate) fn take(&mut self, tag: u64, job: JobId, now: Instant) -> Option<Lease> {
        let is_current = self.current(tag, now).is_some_and(|lease| lease.message.job == job);
        if is_current { self.remove(tag) } else { None }
    }

    /// Puts back what could not be settled.
    pub(crate) fn put_back(&mut self, tag: u64, lease: Lease) {
        match self.by_queue.get_mut(&lease.message.queue) {
            Some(count) => *count += 1,
            None => {
                self.by_queue.insert(lease.message.queue.clone(), 1);
            }
        }
        self.held.insert(tag, lease);
    }

    fn remove(&mut self, tag: u64) -> Option<Lease> {
        let lease = self.held.remove(&tag)?;
        if let Some(count) = self.by_queue.get_mut(&lease.message.queue) {
            *count -= 1;
        }
        Some(lease)
    }

    pub(crate) fn extend(&mut self, tag: u64, lease: Duration, now: Instant) -> Extended {
        match self.current(tag, now) {
            Some(held) => {
                held.end = later(now, lease);
                Extended::Held
            }
            None => Extended::Lost,
        }
    }

    /// Takes out at most `max` leases that have ended.
    pub(crate) fn take_ended(&mut self, max: usize, now: Instant) -> Vec<(u64, Lease)> {
        self.take_where(max, |lease| lease.end <= now)
    }

    /// Takes out all leases that a face has handed out.
    pub(crate) fn take_of_face(&mut self, face: u64) -> Vec<(u64, Lease)> {
        self.take_where(usize::MAX, |lease| lease.face == face)
    }

    fn take_where(&mut self, max: usize, is_meant: impl Fn(&Lease) -> bool) -> Vec<(u64, Lease)> {
        let found = self.held.iter().filter(|(_, lease)| is_meant(lease));
        let mut tags: Vec<u64> = found.map(|(tag, _)| *tag).collect();
        // In the order in which they came.
        tags.sort_unstable();
        tags.truncate(max);
        tags.into_iter().filter_map(|tag| Some((tag, self.remove(tag)?))).collect()
    }

    /// How many belong to somebody, of a queue.
    pub(crate) fn of(&self, queue: &QueueName) -> usize {
        self.by_queue.get(queue).copied().unwrap_or(0)
    }
}

fn later(now: Instant, lease: Duration) -> Instant {
    // A lease beyond what a clock can hold never ends: a century is as good.
    now.checked_add(lease).unwrap_or_else(|| now + Duration::from_secs(100 * 365 * 86_400))
}

/// A receipt, read: which broker, which of its sessions, which message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) instance: u64,
    pub(crate) epoch: u64,
    pub(crate) tag: u64,
}

impl Proof {
    pub(crate) fn receipt(self) -> Receipt {
        let Self { instance, epoch, tag } = self;
        let words = [instance.to_be_bytes(), epoch.to_be_bytes(), tag.to_be_bytes()];
        Receipt::new(words.concat())
    }

    /// `None` for what some other broker wrote.
    pub(crate) fn of(receipt: &Receipt) -> Option<Self> {
        let (words, []) = receipt.as_slice().as_chunks::<8>() else { return None };
        let [instance, epoch, tag] = *<&[[u8; 8]; 3]>::try_from(words).ok()?;
        Some(Self {
            instance: u64::from_be_bytes(instance),
            epoch: u64::from_be_bytes(epoch),
            tag: u64::from_be_bytes(tag),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_reads_back_and_others_do_not() {
        let proof = Proof { instance: 1, epoch: 2, tag: u64::MAX };
        assert_eq!(Proof::of(&proof.receipt()), Some(proof));
        assert_eq!(Proof::of(&Receipt::new(vec![1; 23])), None);
        assert_eq!(Proof::of(&Receipt::new(Vec::new())), None);
    }
}
