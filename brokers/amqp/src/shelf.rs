//! [`Shelf`]: messages that were received and wait to be handed out.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use taskcore::QueueName;
use taskcore::broker::QueueShare;

use crate::message::Received;

/// The messages of a session, by queue and priority, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    queues: BTreeMap<QueueName, [VecDeque<Received>; PRIORITIES]>,
}

/// From -2 to 2.
const PRIORITIES: usize = 5;

impl Shelf {
    pub(crate) fn put(&mut self, received: impl IntoIterator<Item = Received>) {
        for received in received {
            let message = &received.message;
            // The most urgent first: 2 is 0, -2 is 4.
            let rank = (2 - message.priority.value()).cast_unsigned() as usize;
            let queue = self.queues.entry(message.queue.clone()).or_default();
            queue[rank].push_back(received);
        }
    }

    /// Takes what is there for these shares, at most `max`, as the contract orders it.
    pub(crate) fn take(&mut self, shares: &[QueueShare], max: usize) -> Vec<Received> {
        let mut taken = Vec::new();
        for share in shares {
            let room = (max - taken.len()).min(share.max.get() as usize);
            let Some(queue) = self.queues.get_mut(&share.queue) else { continue };
            let mut left = room;
            for rank in queue {
                let count = left.min(rank.len());
                taken.extend(rank.drain(..count));
                left -= count;
            }
        }
        taken
    }

    /// How many messages of a queue are here.
    pub(crate) fn count(&self, queue: &QueueName) -> usize {
        self.queues.get(queue).map_or(0, |ranks| ranks.iter().map(VecDeque::len).sum())
    }

    /// Takes all of a queue.
    pub(crate) fn clear(&mut self, queue: &QueueName) -> Vec<Received> {
        self.queues.remove(queue).into_iter().flatten().flatten().collect()
    }

    /// Takes all that came before `then`, of every queue.
    pub(crate) fn take_older(&mut self, then: Instant) -> Vec<Received> {
        let mut old = Vec::new();
        for rank in self.queues.values_mut().flatten() {
            let count = rank.partition_point(|received| received.at < then);
            old.extend(rank.drain(..count));
        }
        old
    }
}
