//! [`Voice`]: how a running task is heard.

use std::fmt;

/// Takes what a running task says; for whoever runs tasks.
///
/// Calls come from the task, perhaps in a tight loop: they must not block.
pub trait Voice: fmt::Debug + Send + Sync {
    /// How far it is.
    fn progress(&self, done: u64, total: u64);

    /// What it is at.
    fn message(&self, text: String);

    /// A line for its log.
    fn log(&self, line: String);
}
