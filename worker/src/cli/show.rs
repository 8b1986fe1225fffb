//! `jobs show ID`: all that is known of one job.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use taskcore::broker::{JobRecord, JobState};
use taskcore::{Envelope, Failure, JobId, Source, error_chain};

use super::error::CliError;
use super::output::{Output, fields, shown};
use super::said::{LogLines, Said};
use super::settings::Settings;
use super::store::Store;
use super::timeline::Life;
use super::times::{between, in_full};
use crate::graph;
use crate::view::counted;

/// A record with its bytes decoded. Spans are in seconds.
#[derive(Debug, Serialize)]
struct Detail {
    #[serde(flatten)]
    record: JobRecord,
    /// From due to hand-out, of the latest delivery.
    wait_seconds: Option<f64>,
    /// From hand-out to the end, or to now, of the latest delivery.
    run_seconds: Option<f64>,
    /// What the job carries; `None` if its bytes are no job of ours.
    call: Option<CallDetail>,
    /// Why the bytes cannot be read, and the bytes as text.
    unreadable: Option<Unreadable>,
    /// `None` also if it is a stream.
    result: Option<Box<RawValue>>,
    #[serde(flatten)]
    said: Said,
    /// `None` if the store keeps no history.
    timeline: Option<Life>,
}

#[derive(Debug, Serialize)]
struct CallDetail {
    /// The name in the envelope, which is the one that runs.
    task: String,
    args: Box<RawValue>,
    /// Where the other arguments come from.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    inputs: BTreeMap<String, Source>,
    /// How many jobs those are.
    #[serde(skip)]
    input_jobs: usize,
    headers: BTreeMap<String, String>,
    retries: u32,
    timeout_seconds: Option<f64>,
    /// 0 if the outcome is not kept.
    keep_seconds: f64,
}

#[derive(Debug, Serialize)]
struct Unreadable {
    error: String,
    bytes: String,
}

/// Prints one job.
pub(crate) fn show(
    settings: &Settings,
    output: Output,
    id: JobId,
    lines: LogLines,
) -> Result<(), CliError> {
    let detail = Store::with(settings, async |store| {
        let record = store.record(id).await?.ok_or_else(|| not_stored(id))?;
        let said = Said::by(store, &record).await?;
        let timeline = match &store.history {
            Some(history) => history.timeline(id).await?,
            None => None,
        };
        Ok(Detail {
            said,
            timeline: timeline.map(Life::of),
            ..Detail::of(record, Timestamp::now())
        })
    })?;
    output.show(&detail, |detail| detail.text(Timestamp::now(), lines))
}

/// The end of a command whose job is not there.
pub(crate) fn not_stored(id: JobId) -> CliError {
    let text = format!("no job {id} is stored: it never was, or it ended and was pruned");
    CliError::Unsuccessful(text)
}

impl Detail {
    fn of(record: JobRecord, now: Timestamp) -> Self {
        let (call, unreadable) = match Envelope::decode(record.envelope.as_slice()) {
            Ok(envelope) => (Some(CallDetail::of(envelope)), None),
            Err(error) => {
                let bytes = String::from_utf8_lossy(record.envelope.as_slice()).into_owned();
                (None, Some(Unreadable { error: error_chain(&error), bytes }))
            }
        };
        let result = record.result.as_ref().map(taskcore::Payload::as_slice);
        let result = result.and_then(|bytes| serde_json::from_slice(bytes).ok());
        let seconds = |span: SignedDuration| span.as_secs_f64().max(0.0);
        let ended = record.finished_at.or((record.state == JobState::Running).then_some(now));
        Self {
            wait_seconds: record
                .started_at
                .filter(|started| *started >= record.due_at)
                .map(|started| seconds(started.duration_since(record.due_at))),
            run_seconds: record
                .started_at
                .zip(ended)
                .map(|(started, ended)| seconds(ended.duration_since(started))),
            record,
            call,
            unreadable,
            result,
            said: Said::default(),
            timeline: None,
        }
    }

    /// The fields, then what has a line for each attempt or for each line of the log.
    fn text(&self, now: Timestamp, lines: LogLines) -> String {
        let timeline = self.timeline.as_ref().map(|timeline| timeline.text(now));
        let parts = [self.fields(now), timeline.unwrap_or_default(), self.said.log(lines)];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
    }

    fn fields(&self, now: Timestamp) -> String {
        let mut lines = self.life(now);
        if let Some(call) = &self.call {
            if self.record.waits_for > 0 {
                let (open, all) = (self.record.waits_for, call.input_jobs);
                lines.push(("waits for", format!("{open} of {}", counted(all as u64, "input"))));
            }
            lines.extend(call.lines());
        }
        if let Some(Unreadable { error, bytes }) = &self.unreadable {
            lines.push(("unreadable", shown(error)));
            lines.push(("bytes", shown(bytes)));
        }
        lines.extend(self.said.fields());
        if let Some(result) = &self.result {
            lines.push(("result", shown(result.get())));
        }
        if let Some(failure) = &self.record.failure {
            lines.extend(failure_lines(failure));
        }
        fields(lines)
    }

    fn life(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let record = &self.record;
        let mut lines = vec![
            ("job", record.id.to_string()),
            ("task", shown(&record.task)),
            ("state", record.state.to_string()),
            ("queue", record.queue.to_string()),
            ("priority", record.priority.value().to_string()),
            ("failures", record.failures.to_string()),
            ("losses", format!("{} leases ({} recoveries)", record.losses, record.recoveries)),
            ("created", in_full(record.created_at, now)),
            ("due", in_full(record.due_at, now)),
        ];
        if let Some(key) = &record.unique {
            lines.push(("unique", shown(key)));
        }
        if let Some(started) = record.started_at {
            lines.push(("started", in_full(started, now)));
        }
        if let Some(finished) = record.finished_at {
            lines.push(("finished", in_full(finished, now)));
        }
        match &self.timeline {
            Some(timeline) => lines.extend(timeline.fields()),
            None => lines.extend(self.latest_delivery(now)),
        }
        if let Some(worker) = &record.worker {
            lines.push(("worker", shown(worker)));
        }
        lines
    }

    /// The times of the latest delivery, which alone a record has.
    fn latest_delivery(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let record = &self.record;
        let Some(started) = record.started_at else { return Vec::new() };
        let waited = self.wait_seconds.map(|_| ("waited", between(record.due_at, started)));
        let ended = record.finished_at.unwrap_or(now);
        let ran = self.run_seconds.map(|_| ("ran", between(started, ended)));
        waited.into_iter().chain(ran).collect()
    }
}

impl CallDetail {
    fn of(envelope: Envelope<'_>) -> Self {
        Self {
            timeout_seconds: envelope.timeout().map(|timeout| timeout.as_secs_f64()),
            keep_seconds: std::time::Duration::from_millis(envelope.keep_ms).as_secs_f64(),
            input_jobs: envelope.input_jobs().len(),
            inputs: envelope.inputs.into_iter().map(|(name, it)| (name.into_owned(), it)).collect(),
            task: envelope.task.into_owned(),
            args: envelope.args.to_owned(),
            retries: envelope.retries,
            headers: envelope.headers,
        }
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = vec![("retries", format!("at most {}", self.retries))];
        if let Some(seconds) = self.timeout_seconds {
            lines.push(("timeout", format!("{seconds} s")));
        }
        let header =
            |(name, value): (&String, &String)| ("header", shown(&format!("{name}: {value}")));
        lines.extend(self.headers.iter().map(header));
        lines.push(("args", shown(self.args.get())));
        lines.extend(self.inputs.iter().map(|(name, source)| ("input", input_text(name, source))));
        lines
    }
}

/// Where one argument comes from.
fn input_text(name: &str, source: &Source) -> String {
    let (mut named, mut count) = (Vec::new(), 0_u64);
    graph::each_job(source, &mut |job, _| {
        count += 1;
        if named.len() < NAMED {
            named.push(job.to_string());
        }
    });
    let more = count - named.len() as u64;
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{} from {}: {}{more}", shown(name), counted(count, "job"), named.join(", "))
}

/// The most jobs of one argument that are named.
const NAMED: usize = 20;

fn failure_lines(failure: &Failure) -> Vec<(&'static str, String)> {
    let kind = failure.kind.as_str();
    let mut lines = vec![(
        "failure",
        shown(&format!("{kind} at attempt {}: {}", failure.attempt, failure.message)),
    )];
    lines.extend(failure.causes.iter().map(|cause| ("  because", shown(cause))));
    if let Some(error_type) = &failure.error_type {
        lines.push(("  type", shown(error_type)));
    }
    if failure.permanent {
        lines.push(("  retried", "no: the error rules it out".to_owned()));
    }
    lines
}
