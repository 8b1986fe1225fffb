//! What the worker tells: log lines, spans and counters, all of them in this file.

use std::time::Duration;

use jiff::Timestamp;
use taskcore::broker::{BrokerError, Delivery, ScheduleRecord, Settlement, Upkeep, Verdict};
use taskcore::schedule::{InvalidSchedule, Standing};
use taskcore::{Context, Failure, JobId, error_chain};

/// The span in which a job runs; it continues the trace that the job's headers carry.
pub(crate) fn span(delivery: &Delivery, context: &Context) -> tracing::Span {
    if !tracing::enabled!(target: "hereafter::job", tracing::Level::INFO) {
        return tracing::Span::none();
    }
    let trace = context.trace();
    tracing::info_span!(
        target: "hereafter::job",
        "job",
        job = %delivery.job,
        task = delivery.task,
        queue = %delivery.queue,
        attempt = delivery.attempt,
        trace_id = trace.trace_id(),
        span_id = trace.span_id(),
    )
}

/// A delivery ended. Success is a `debug` line: at thousands of jobs a second an `info` line
/// each would be the log's only content.
///
/// `label` is the task's registered name: a name that only a job carries is not a label, or any
/// program that may enqueue could make the metrics grow without end.
pub(crate) fn ended(
    delivery: &Delivery,
    label: Option<&'static str>,
    verdict: Option<&Verdict>,
    ran: Duration,
) {
    let Delivery { job, task, queue, attempt, .. } = delivery;
    let word = word(verdict);
    count(delivery, label.unwrap_or("unknown"), word, ran);
    let ms = ran.as_secs_f64() * 1_000.0;
    match verdict {
        Some(Verdict::Retry { after, failure }) => {
            let error = failure.to_string();
            let after_s = after.as_secs_f64();
            tracing::warn!(target: "hereafter::job", %job, task, %queue, attempt, ms, error, after_s, "job failed; it will be retried");
        }
        Some(Verdict::Failed { failure }) => {
            let (error, kind) = (failure.to_string(), failure.kind.as_str());
            tracing::error!(target: "hereafter::job", %job, task, %queue, attempt, ms, error, kind, "job failed for good");
        }
        _ => {
            tracing::debug!(target: "hereafter::job", %job, task, %queue, attempt, ms, verdict = word, "job ended");
        }
    }
}

fn count(delivery: &Delivery, task: &'static str, verdict: &'static str, ran: Duration) {
    let queue = || delivery.queue.to_string();
    metrics::counter!("hereafter_jobs_total", "task" => task, "queue" => queue(), "verdict" => verdict)
        .increment(1);
    metrics::histogram!("hereafter_job_run_seconds", "task" => task).record(ran.as_secs_f64());
    let waited = Timestamp::now().duration_since(delivery.due_at).as_secs_f64() - ran.as_secs_f64();
    metrics::histogram!("hereafter_job_wait_seconds", "queue" => queue()).record(waited.max(0.0));
}

fn word(verdict: Option<&Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Done { .. }) => "done",
        Some(Verdict::Retry { .. }) => "retry",
        Some(Verdict::Failed { .. }) => "failed",
        Some(Verdict::Release) => "release",
        Some(Verdict::Snooze { .. }) => "snooze",
        Some(Verdict::Continued { .. }) => "continued",
        Some(Verdict::Cancelled) => "cancelled",
        _ => "none",
    }
}

/// A verdict came too late.
pub(crate) fn stale(settlement: &Settlement) {
    let verdict = word(Some(&settlement.verdict));
    metrics::counter!("hereafter_stale_verdicts_total").increment(1);
    tracing::warn!(target: "hereafter::worker", job = %settlement.job, verdict, "the lease was over; the verdict changed nothing");
}

/// What a task came to is more than the store takes.
pub(crate) fn verdict_too_large(failure: &Failure) {
    let Failure { job, task, message, .. } = failure;
    tracing::error!(target: "hereafter::worker", %job, task, error = message, "the job fails");
}

/// The store says that a job in hand is no longer this worker's.
pub(crate) fn lease_lost() {
    metrics::counter!("hereafter_lease_losses_total").increment(1);
    tracing::warn!(target: "hereafter::worker", "lost the lease of a job in hand; it is told to stop");
}

/// A suspect could not be marked as begun, so it was not run.
pub(crate) fn cannot_begin(delivery: &Delivery, error: &BrokerError) {
    let error = error_chain(error);
    tracing::warn!(target: "hereafter::worker", job = %delivery.job, error, "cannot mark a suspect as begun; giving it back");
}

/// The results that a job needs could not be read.
pub(crate) fn cannot_read_inputs(delivery: &Delivery, error: &BrokerError) {
    let error = error_chain(error);
    tracing::warn!(target: "hereafter::worker", job = %delivery.job, error, "cannot read the results that a job needs");
}

/// A plain function goes on past its verdict.
pub(crate) fn stuck(context: &Context, stuck: usize) {
    let (job, task) = (context.id(), context.task());
    tracing::warn!(target: "hereafter::worker", %job, task, stuck, "a plain function did not stop; its slot stays taken until it returns (ask `Context::is_cancelled` in its loop)");
}

/// The broker was closed while there were verdicts.
pub(crate) fn verdicts_dropped(jobs: usize, error: &BrokerError) {
    let error = error_chain(error);
    tracing::error!(target: "hereafter::worker", jobs, error, "verdicts could not be written; their jobs run again when the leases end");
}

/// The worker was told to stop at once while the broker took no verdicts.
pub(crate) fn verdict_dropped(job: JobId) {
    tracing::error!(target: "hereafter::worker", %job, "the verdict could not be written; the job runs again when its lease ends");
}

/// A round of upkeep.
pub(crate) fn upkeep(upkeep: &Upkeep) {
    if upkeep.is_idle() {
        return;
    }
    let Upkeep { promoted, reclaimed, lost, expired, pruned } = *upkeep;
    metrics::counter!("hereafter_reclaimed_jobs_total").increment(reclaimed);
    if reclaimed > 0 || lost > 0 {
        tracing::warn!(target: "hereafter::worker", reclaimed, lost, "took back jobs whose worker is gone");
    }
    tracing::debug!(target: "hereafter::worker", promoted, reclaimed, lost, expired, pruned, "upkeep");
}

/// Ticks of a schedule became jobs, or were passed over.
pub(crate) fn ticked(record: &ScheduleRecord, jobs: usize) {
    metrics::counter!("hereafter_schedule_jobs_total").increment(jobs as u64);
    let (schedule, task) = (&record.name, &*record.template.task);
    if jobs == 0 {
        tracing::info!(target: "hereafter::worker", schedule, task, "passed over the missed ticks of a schedule");
    } else {
        tracing::debug!(target: "hereafter::worker", schedule, task, jobs, "a schedule ticked");
    }
}

/// A declared schedule is stored, and no task of this worker declares it.
pub(crate) fn schedule_left_over(record: &ScheduleRecord, standing: Standing) {
    let (schedule, task) = (&record.name, &*record.template.task);
    if standing == Standing::Unlinked {
        tracing::warn!(target: "hereafter::worker", schedule, task, "the task of a stored schedule is not linked into this worker; if no other has it either, delete the schedule (`schedules delete`)");
    } else {
        tracing::warn!(target: "hereafter::worker", schedule, task, "a stored schedule is not declared by its task any more, and goes on: delete it (`schedules delete`)");
    }
}

/// A later version wrote a schedule.
pub(crate) fn schedule_unreadable(record: &ScheduleRecord, error: &InvalidSchedule) {
    let (schedule, task, error) = (&record.name, &*record.template.task, error_chain(error));
    tracing::error!(target: "hereafter::worker", schedule, task, error, "cannot read a schedule; its ticks wait");
}

/// The jobs of a tick could not be stored.
pub(crate) fn cannot_fire(record: &ScheduleRecord, error: &BrokerError) {
    let (schedule, task, error) = (&record.name, &*record.template.task, error_chain(error));
    tracing::warn!(target: "hereafter::worker", schedule, task, error, "cannot store the jobs of a schedule; trying again");
}

/// The store could not be asked for ticks.
pub(crate) fn cannot_tick(error: &BrokerError) {
    let error = error_chain(error);
    tracing::warn!(target: "hereafter::worker", error, "cannot look for ticks of schedules; trying again");
}
