//! [`Journal`]: what the tasks of one test wrote down.

use std::fmt::Display;

use tokio::sync::watch;

/// What the tasks of one test wrote down, in order. Tasks have it as `State<Journal>` from
/// [`World::worker`](crate::World::worker).
///
/// A line is also a signal: a task can wait for one that the test writes, and the test for one
/// of a task.
#[derive(Debug, Clone)]
pub struct Journal {
    lines: watch::Sender<Vec<String>>,
}

impl Journal {
    /// An empty journal.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "two empty journals are not the same one")]
    pub fn new() -> Self {
        Self { lines: watch::Sender::new(Vec::new()) }
    }

    /// Adds a line.
    pub fn write(&self, line: impl Display) {
        self.lines.send_modify(|lines| lines.push(line.to_string()));
    }

    /// All lines so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// Waits until there are so many lines.
    pub async fn wait_for_lines(&self, count: usize) {
        let mut lines = self.lines.subscribe();
        // The sender lives in `self`, so the channel is open.
        let _ = lines.wait_for(|lines| lines.len() >= count).await;
    }

    /// Waits until this line is there.
    pub async fn wait_for(&self, line: &str) {
        let is_there = |lines: &Vec<String>| lines.iter().any(|it| it == line);
        let mut lines = self.lines.subscribe();
        // The sender lives in `self`, so the channel is open.
        let _ = lines.wait_for(is_there).await;
    }
}
