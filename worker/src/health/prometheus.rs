//! `/metrics`: what `report.rs` counts, and gauges that are read when somebody asks.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use taskcore::broker::{JobState, QueueStatus};

use crate::view::View;

/// The recorder of this process, and what it must remember between two scrapes.
#[derive(Debug)]
pub(super) struct Prometheus {
    /// `None` if the program has a recorder of its own.
    handle: Option<PrometheusHandle>,
    /// Queues that had a gauge: one that is gone shows zeros, not its last numbers.
    known: Mutex<BTreeSet<String>>,
}

/// What `/metrics` is (Prometheus text format 0.0.4).
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// From a millisecond to an hour: runs are anything from a counter to a report.
const RUN_BUCKETS: [f64; 13] =
    [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

/// From the latency of an idle worker to a backlog of hours.
const WAIT_BUCKETS: [f64; 13] =
    [0.001, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0, 14400.0];

/// How often samples are moved into their buckets when nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

impl Prometheus {
    /// Makes this the recorder of the process, unless the program has one.
    pub(super) fn install() -> Self {
        let recorder = builder().build_recorder();
        let handle = recorder.handle();
        let handle = metrics::set_global_recorder(recorder).is_ok().then_some(handle);
        if handle.is_none() {
            tracing::warn!(
                target: "hereafter::worker",
                "the program has a metrics recorder of its own; /metrics has nothing to show"
            );
        }
        describe();
        Self { handle, known: Mutex::default() }
    }

    /// Keeps the samples from piling up between scrapes; never ends.
    pub(super) async fn keep_up(&self) {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            if let Some(handle) = &self.handle {
                handle.run_upkeep();
            }
        }
    }

    /// The text of `/metrics`.
    pub(super) async fn render(&self, view: &View) -> Result<String, &'static str> {
        let Some(handle) = &self.handle else {
            return Err(
                "this program has a metrics recorder of its own, which has the worker's metrics",
            );
        };
        let snapshot = view.snapshot();
        gauge!("hereafter_slots").set(f64::from(view.config.concurrency.get()));
        gauge!("hereafter_running_jobs").set(number(snapshot.running));
        gauge!("hereafter_stuck_slots").set(number(snapshot.stuck));
        gauge!("hereafter_fetching").set(if snapshot.is_fetching { 1.0 } else { 0.0 });
        match view.depths().now().await {
            Ok(queues) => self.set_depths(&queues),
            // The numbers of before would look current.
            Err(_) => self.forget_depths(),
        }
        Ok(handle.render())
    }

    fn set_depths(&self, queues: &[QueueStatus]) {
        gauge!("hereafter_broker_up").set(1.0);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(queues.iter().map(|queue| queue.depth.queue.to_string()));
        for name in &*known {
            let found = queues.iter().find(|queue| queue.depth.queue.as_str() == name);
            for (state, count) in counts(found) {
                let labels = [("queue", name.clone()), ("state", state.as_str().to_owned())];
                gauge!("hereafter_queue_jobs", &labels).set(count);
            }
            let is_paused = found.is_some_and(|queue| queue.paused);
            gauge!("hereafter_queue_paused", "queue" => name.clone()).set(f64::from(is_paused));
            let age = found.and_then(|queue| queue.depth.oldest_ready).map_or(0.0, |oldest| {
                jiff::Timestamp::now().duration_since(oldest).as_secs_f64().max(0.0)
            });
            gauge!("hereafter_queue_oldest_seconds", "queue" => name.clone()).set(age);
        }
    }

    fn forget_depths(&self) {
        gauge!("hereafter_broker_up").set(0.0);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for name in &*known {
            for (state, _) in counts(None) {
                let labels = [("queue", name.clone()), ("state", state.as_str().to_owned())];
                gauge!("hereafter_queue_jobs", &labels).set(f64::NAN);
            }
            gauge!("hereafter_queue_oldest_seconds", "queue" => name.clone()).set(f64::NAN);
        }
    }
}

/// The counts of a queue; zeros for one that is gone, NaN for what the broker cannot know.
fn counts(queue: Option<&QueueStatus>) -> [(JobState, f64); 5] {
    let count = |of: fn(&QueueStatus) -> Option<u64>| match queue {
        None => 0.0,
        Some(queue) => of(queue).map_or(f64::NAN, |count| count as f64),
    };
    [
        (JobState::Ready, count(|queue| queue.depth.ready)),
        (JobState::Scheduled, count(|queue| queue.depth.scheduled)),
        (JobState::Blocked, count(|queue| queue.depth.blocked)),
        (JobState::Running, count(|queue| queue.depth.running)),
        (JobState::Failed, count(|queue| queue.depth.failed)),
    ]
}

fn number(count: usize) -> f64 {
    count as f64
}

fn builder() -> PrometheusBuilder {
    let run = Matcher::Full("hereafter_job_run_seconds".to_owned());
    let wait = Matcher::Full("hereafter_job_wait_seconds".to_owned());
    PrometheusBuilder::new()
        .set_buckets_for_metric(run, &RUN_BUCKETS)
        .and_then(|builder| builder.set_buckets_for_metric(wait, &WAIT_BUCKETS))
        .expect("neither list of buckets is empty")
}

fn describe() {
    // Shown from the start, so that the first loss is a step and not a new line.
    for name in [
        "hereafter_lease_losses_total",
        "hereafter_stale_verdicts_total",
        "hereafter_reclaimed_jobs_total",
    ] {
        counter!(name).increment(0);
    }
    describe_counter!("hereafter_jobs_total", "Deliveries that ended, by task, queue and verdict");
    describe_counter!("hereafter_lease_losses_total", "Jobs in hand whose lease was lost");
    describe_counter!("hereafter_stale_verdicts_total", "Verdicts that came after their lease");
    describe_counter!("hereafter_reclaimed_jobs_total", "Jobs taken back from workers that died");
    let run = "How long deliveries ran, by task";
    describe_histogram!("hereafter_job_run_seconds", Unit::Seconds, run);
    let wait = "How long due jobs waited for a worker, by queue";
    describe_histogram!("hereafter_job_wait_seconds", Unit::Seconds, wait);
    describe_gauge!("hereafter_slots", "How many jobs this worker runs at once");
    describe_gauge!("hereafter_running_jobs", "Jobs that run in this worker");
    describe_gauge!("hereafter_stuck_slots", "Slots held by plain functions that do not stop");
    describe_gauge!("hereafter_fetching", "1 while the fetch loop is alive");
    describe_gauge!("hereafter_broker_up", "1 if the broker answered this scrape");
    describe_gauge!("hereafter_queue_jobs", "Jobs in the store, by queue and state");
    describe_gauge!("hereafter_queue_paused", "1 while a queue is paused");
    let oldest = "For how long the oldest due job of a queue has waited";
    describe_gauge!("hereafter_queue_oldest_seconds", Unit::Seconds, oldest);
}

#[cfg(test)]
mod tests {
    use taskcore::QueueName;
    use taskcore::broker::Depth;

    use super::*;

    fn queue(name: &str, ready: u64) -> QueueStatus {
        let name = QueueName::new(name).unwrap();
        let depth = Depth { ready: Some(ready), ..Depth::empty(name) };
        QueueStatus { depth, paused: false, consumers: None }
    }

    #[test]
    fn a_queue_that_is_gone_shows_zero_and_one_that_is_unknown_shows_nothing() {
        let recorder = builder().build_recorder();
        let prometheus = Prometheus { handle: Some(recorder.handle()), known: Mutex::default() };
        let shows = |value: &str| {
            let line = format!(r#"hereafter_queue_jobs{{queue="mail",state="ready"}} {value}"#);
            recorder.handle().render().lines().any(|found| found == line)
        };
        metrics::with_local_recorder(&recorder, || {
            prometheus.set_depths(&[queue("mail", 7)]);
            assert!(shows("7"));
            prometheus.set_depths(&[queue("bulk", 1)]);
            assert!(shows("0"));
            prometheus.forget_depths();
            assert!(shows("NaN"), "{}", recorder.handle().render());
        });
    }
}
