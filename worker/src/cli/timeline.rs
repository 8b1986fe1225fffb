//! The life of a job, attempt by attempt.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use taskcore::broker::{Attempt, JobState, Timeline};

use super::output::{shown, start_of, table};
use super::times::{between, in_short, rounded};

/// A timeline, without what the job's record has already. Spans are in seconds.
#[derive(Debug, Serialize)]
pub(crate) struct Life {
    attempts: Vec<Attempt>,
    /// From when it was stored to its first hand-out.
    waited_seconds: Option<f64>,
    /// In workers, in all its attempts that have ended.
    ran_seconds: f64,
    /// From when it was stored to its end.
    took_seconds: Option<f64>,
    #[serde(skip)]
    end: Option<(JobState, Timestamp)>,
}

/// Letters of an error.
const ERROR: usize = 80;

impl Life {
    /// What it has beside the job's record.
    pub(crate) fn of(timeline: Timeline) -> Self {
        Self {
            waited_seconds: timeline.waited().map(seconds),
            ran_seconds: seconds(timeline.ran()),
            took_seconds: timeline.took().map(seconds),
            end: timeline.finished_at.map(|at| (timeline.state, at)),
            attempts: timeline.attempts,
        }
    }

    /// The times of all attempts together.
    pub(crate) fn fields(&self) -> Vec<(&'static str, String)> {
        let has_run = !self.attempts.is_empty();
        let spans = [
            ("waited", self.waited_seconds),
            ("ran", has_run.then_some(self.ran_seconds)),
            ("took", self.took_seconds),
        ];
        let field = |(name, seconds): (_, Option<f64>)| Some((name, text_of(seconds?)));
        spans.into_iter().filter_map(field).collect()
    }

    /// A line for each attempt, then the end; empty if there is neither.
    pub(crate) fn text(&self, now: Timestamp) -> String {
        let mut text = String::new();
        if !self.attempts.is_empty() {
            let titles = ["ATTEMPT", "WORKER", "STARTED", "TOOK", "ENDED", "ERROR"];
            text += &table(titles, self.attempts.iter().map(|attempt| row(attempt, now)));
        }
        if let Some((state, at)) = self.end {
            text += &format!("{state} {}\n", in_short(at));
        }
        text
    }
}

fn row(attempt: &Attempt, now: Timestamp) -> [String; 6] {
    let error = attempt.failure.as_ref().map(ToString::to_string).unwrap_or_default();
    [
        attempt.attempt.to_string(),
        shown(&attempt.worker),
        in_short(attempt.started_at),
        between(attempt.started_at, attempt.ended_at.unwrap_or(now)),
        attempt.end.map_or("running", taskcore::broker::AttemptEnd::as_str).to_owned(),
        start_of(error.lines().next().unwrap_or_default(), ERROR),
    ]
}

fn seconds(span: SignedDuration) -> f64 {
    span.as_secs_f64().max(0.0)
}

fn text_of(seconds: f64) -> String {
    rounded(std::time::Duration::from_secs_f64(seconds))
}
