//! [`Voice`]: how a running task is heard.

use std::fmt;
use std::sync::Arc;

/// Takes what a running task says; for whoever runs tasks.
///
/// Calls come from the task, perhaps in a tight loop: they must not block. Each takes a share, to
/// be kept until what was said is sent.
pub trait Voice: fmt::Debug + Send + Sync {
    /// How far it is.
    fn progress(self: Arc<Self>, done: u64, total: u64);

    /// What it is at.
    fn message(self: Arc<Self>, text: String);

    /// A line for its log.
    fn log(self: Arc<Self>, line: String);
}
