//! [`Lease`]: what a receipt says.

use taskcore::JobId;
use taskcore::broker::Receipt;

/// One lease of one job: the job, its row, and a number that no other claim has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    pub(crate) job: JobId,
    pub(crate) seq: i64,
    pub(crate) token: i64,
}

impl Lease {
    pub(crate) fn receipt(self) -> Receipt {
        let mut bytes = Vec::with_capacity(32);
        bytes.extend_from_slice(self.job.as_bytes());
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.extend_from_slice(&self.token.to_be_bytes());
        Receipt::new(bytes)
    }

    /// `None` for a receipt that no database made.
    pub(crate) fn of(receipt: &Receipt) -> Option<Self> {
        let (job, rest) = receipt.as_slice().split_at_checked(16)?;
        let (seq, token) = rest.split_at_checked(8)?;
        Some(Self {
            job: JobId::from_bytes(job.try_into().ok()?),
            seq: i64::from_be_bytes(seq.try_into().ok()?),
            token: i64::from_be_bytes(token.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_gives_back_the_lease_and_foreign_bytes_give_none() {
        let lease = Lease { job: JobId::new(), seq: 7, token: -9 };
        assert_eq!(Lease::of(&lease.receipt()), Some(lease));
        for bytes in [vec![], vec![1; 31], vec![1; 33]] {
            assert_eq!(Lease::of(&Receipt::new(bytes)), None);
        }
    }
}
