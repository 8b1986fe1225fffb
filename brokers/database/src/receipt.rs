//! [`Lease`] and [`HandOut`]: what a receipt says.

use taskcore::JobId;
use taskcore::broker::Receipt;

/// One lease of one job: the job, its row, and a number that no other claim has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    pub(crate) job: JobId,
    pub(crate) seq: i64,
    pub(crate) token: i64,
}

/// What a verdict adds to the sums of its task, so that it need not be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HandOut {
    /// The number of the task.
    pub(crate) task: i64,
    pub(crate) started_ms: i64,
    /// From when the job could have run.
    pub(crate) waited_ms: i64,
}

impl Lease {
    /// The job, the hand-out, the row and the number: both ends are what older programs made.
    pub(crate) fn receipt(self, hand_out: HandOut) -> Receipt {
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend_from_slice(self.job.as_bytes());
        let HandOut { task, started_ms, waited_ms } = hand_out;
        for number in [task, started_ms, waited_ms, self.seq, self.token] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        Receipt::new(bytes)
    }

    /// `None` for a receipt that no database made.
    pub(crate) fn of(receipt: &Receipt) -> Option<Self> {
        let bytes = receipt.as_slice();
        if ![LENGTH, OLDER_LENGTH].contains(&bytes.len()) {
            return None;
        }
        let (job, rest) = bytes.split_first_chunk()?;
        let (_, numbers) = rest.split_last_chunk::<16>()?;
        let [seq, token] = numbers_of(numbers)?;
        Some(Self { job: JobId::from_bytes(*job), seq, token })
    }
}

impl HandOut {
    /// `None` for a receipt of an older program as well.
    pub(crate) fn of(receipt: &Receipt) -> Option<Self> {
        let bytes = Some(receipt.as_slice()).filter(|bytes| bytes.len() == LENGTH)?;
        let [task, started_ms, waited_ms] = numbers_of(bytes.get(16..)?)?;
        Some(Self { task, started_ms, waited_ms })
    }
}

/// The first numbers of these bytes.
fn numbers_of<const N: usize>(bytes: &[u8]) -> Option<[i64; N]> {
    let (numbers, _) = bytes.as_chunks().0.split_first_chunk::<N>()?;
    Some(numbers.map(i64::from_be_bytes))
}

/// An id and five numbers.
const LENGTH: usize = 56;

/// Of receipts that say nothing of the hand-out. A worker may still have some after an upgrade.
const OLDER_LENGTH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_gives_back_what_it_was_made_of_and_foreign_bytes_give_none() {
        let lease = Lease { job: JobId::new(), seq: 7, token: -9 };
        let hand_out = HandOut { task: 3, started_ms: 1 << 40, waited_ms: 5 };
        let receipt = lease.receipt(hand_out);
        assert_eq!(Lease::of(&receipt), Some(lease));
        assert_eq!(HandOut::of(&receipt), Some(hand_out));
        for bytes in [vec![], vec![1; 31], vec![1; 33], vec![1; 55], vec![1; 57]] {
            assert_eq!(Lease::of(&Receipt::new(bytes)), None);
        }
    }

    #[test]
    fn a_receipt_of_an_older_program_is_a_lease_without_a_hand_out() {
        let lease = Lease { job: JobId::new(), seq: 7, token: -9 };
        let receipt = lease.receipt(HandOut { task: 3, started_ms: 4, waited_ms: 5 });
        let (job, numbers) = (&receipt.as_slice()[..16], &receipt.as_slice()[40..]);
        let older = Receipt::new([job, numbers].concat());
        assert_eq!(Lease::of(&older), Some(lease));
        assert_eq!(HandOut::of(&older), None);
    }
}
