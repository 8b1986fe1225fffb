//! Unique keys: at most one job of a task holds a key.

use std::time::Duration;

/// The key that a job takes when it is stored. The task's name is a part of it: jobs of two
/// tasks never conflict.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unique {
    /// At most [`KEY_MAX`](Self::KEY_MAX) bytes.
    pub key: String,
    /// How long the job holds the key.
    pub scope: UniqueScope,
    /// What becomes of the job if another one holds the key.
    pub on_conflict: OnConflict,
}

impl Unique {
    /// The longest key, in bytes: what fits an indexed column of every database.
    pub const KEY_MAX: usize = 255;
}

/// How long a job holds its unique key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum UniqueScope {
    /// Until the job is final. A retry keeps it, and a replay takes it again.
    #[default]
    Unfinished,
    /// Until the job is first handed out, or is final without that. Neither a retry nor a
    /// replay takes it again.
    Queued,
    /// For this long after the job was stored, whatever becomes of it.
    For(Duration),
}

/// What becomes of a call whose unique key belongs to another job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnConflict {
    /// It is not stored; `.delay()` gives an error with the id of the other job.
    #[default]
    Fail,
    /// It is not stored; `.delay()` gives a handle of the other job.
    Reuse,
    /// It takes the place of the other job, which is cancelled if it still waits. If that one
    /// runs already (or holds the key for a time, and has ended), as `Fail`.
    Replace,
}
