//! [`Rules`]: what a store does, and what one does that is wrong.

/// How a store treats leases and verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// As every broker must: a verdict counts only with the current receipt, and in the same step its
    /// result is written and those who wait for it are released.
    Sound,
    /// A verdict counts whatever receipt it has.
    NoFence,
    /// A renewal counts though the job was taken back, or handed out again, since.
    RenewalAfterExpiry,
    /// Those who wait are released, and the result is written in a step behind it.
    ReleaseBeforeResult,
    /// Whoever waits is released by each verdict that comes, the repeated ones as well.
    DoubleRelease,
}
