//! [`Acks`]: which messages of a session are not acknowledged yet.

use std::collections::BTreeSet;

/// Delivery tags that the server waits for. Asked and changed only while the acknowledgements that
/// follow from it are sent, so that none is sent twice: that would close the channel.
///
/// The server numbers what it delivers on a channel from 1, whichever queue it is from, while we
/// read what comes from each queue by itself. So a tag may be known here before a lower one is, and
/// is then not acknowledged together with it: that would lose the job.
#[derive(Debug, Default)]
pub(crate) struct Acks {
    open: BTreeSet<u64>,
    /// All tags up to this one have been received.
    complete: u64,
    /// Received tags above that.
    ahead: BTreeSet<u64>,
}

/// What to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) tag: u64,
    /// Whether all lower ones are meant, too.
    pub(crate) multiple: bool,
}

impl Acks {
    /// Messages were received.
    pub(crate) fn opened(&mut self, tags: impl IntoIterator<Item = u64>) {
        for tag in tags {
            self.open.insert(tag);
            self.ahead.insert(tag);
        }
        while self.ahead.first() == Some(&(self.complete + 1)) {
            self.ahead.pop_first();
            self.complete += 1;
        }
    }

    /// Acknowledges these: one by one where older ones are still open or on their way, together
    /// where not. Tags that are not open are passed over.
    pub(crate) fn acknowledge(&mut self, tags: impl IntoIterator<Item = u64>) -> Vec<Ack> {
        let mut done: Vec<u64> = tags.into_iter().filter(|tag| self.open.remove(tag)).collect();
        done.sort_unstable();
        let lowest_open = self.open.first().copied().unwrap_or(u64::MAX);
        let together = done.partition_point(|tag| *tag < lowest_open && *tag <= self.complete);
        let mut acks = Vec::new();
        if let Some(last) = together.checked_sub(1) {
            acks.push(Ack { tag: done[last], multiple: together > 1 });
        }
        acks.extend(done[together..].iter().map(|tag| Ack { tag: *tag, multiple: false }));
        acks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(tag: u64) -> Ack {
        Ack { tag, multiple: false }
    }

    #[test]
    fn what_has_nothing_older_open_is_acknowledged_together() {
        let mut acks = Acks::default();
        acks.opened(1..=10);
        assert_eq!(acks.acknowledge([3, 1, 2]), [Ack { tag: 3, multiple: true }]);
        assert_eq!(acks.acknowledge([6, 4, 8]), [one(4), one(6), one(8)]);
        assert_eq!(acks.acknowledge([5, 7]), [Ack { tag: 7, multiple: true }]);
        assert_eq!(acks.acknowledge([9, 10]), [Ack { tag: 10, multiple: true }]);
    }

    #[test]
    fn a_message_that_is_on_its_way_is_not_acknowledged_with_later_ones() {
        let mut acks = Acks::default();
        acks.opened([1, 2, 4, 5]);
        let expected = [Ack { tag: 2, multiple: true }, one(4), one(5)];
        assert_eq!(acks.acknowledge([1, 2, 4, 5]), expected);
        acks.opened([3, 6, 7]);
        assert_eq!(acks.acknowledge([6, 7]), [one(6), one(7)]);
        assert_eq!(acks.acknowledge([3]), [one(3)]);
    }

    #[test]
    fn a_tag_is_acknowledged_once() {
        let mut acks = Acks::default();
        acks.opened([1, 2]);
        assert_eq!(acks.acknowledge([2]), [one(2)]);
        assert_eq!(acks.acknowledge([2, 7]), []);
    }
}
