//! What step of what run is under way, and what remains; only where a terminal shows it.

use indicatif::{ProgressBar, ProgressStyle};

/// A line on standard error.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Of so many steps.
    pub(crate) fn of(steps: u64) -> Self {
        let style = ProgressStyle::with_template("{pos}/{len}  {msg}  {elapsed} gone, {eta} left")
            .expect("the template is a constant that is tried by every run");
        Self(ProgressBar::new(steps).with_style(style))
    }

    pub(crate) fn begin(&self, step: String) {
        self.0.set_message(step);
    }

    pub(crate) fn end(&self) {
        self.0.inc(1);
    }

    /// Prints on standard output, above the line.
    pub(crate) fn print(&self, text: &str) {
        self.0.suspend(|| println!("{text}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
