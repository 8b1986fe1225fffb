//! The fetch loop: asks for as many jobs as there is room for.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::{Rng, RngExt};
use taskcore::broker::{Broker, BrokerError, Delivery, Guarded, QueueShare, Reserve};
use taskcore::error_chain;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::{Exit, QueueConfig, WorkerConfig};
use crate::dispatch::Batch;
use crate::hand::Hand;
use crate::pause::Pause;
use crate::report;
use crate::status::Status;

/// Owns the asking: one `reserve` at a time, never cancelled.
#[derive(Debug)]
pub(crate) struct Fetch {
    pub(crate) broker: Guarded,
    pub(crate) config: Arc<WorkerConfig>,
    pub(crate) hand: Arc<Hand>,
    pub(crate) status: Arc<Status>,
    pub(crate) stop: CancellationToken,
    pub(crate) batches: mpsc::Sender<Batch>,
}

/// One `reserve` waits this long for a first job; wake-ups end it sooner.
const WAIT: Duration = Duration::from_secs(10);

/// The most jobs held beyond the free slots. Reached only by jobs so short that thousands run
/// during one round trip.
const MAX_RESERVE: u32 = 2_000;

impl Fetch {
    /// Asks until the worker stops, or until its exit condition holds.
    pub(crate) async fn run(self) {
        self.status.fetch_started();
        let mut spare = Spare::default();
        let mut pace = Pace::new(Instant::now(), 0);
        let mut pause = Pause::default();
        let mut last_job = Instant::now();
        let mut left = self.config.max_jobs.map_or(u64::MAX, NonZeroU64::get);
        while !self.stop.is_cancelled() && left > 0 {
            if self.hand.take_slow() {
                spare = Spare::default();
                // What went back has ended as well, and says nothing.
                pace = Pace::new(Instant::now(), self.hand.ended());
            }
            let Some(request) = self.request(&spare, left) else {
                self.wait_for_room().await;
                continue;
            };
            let before = Before { open: self.hand.open(), ended: self.hand.ended() };
            pace.note(Instant::now(), before.ended);
            // Before the question: what ends while it is under way may lead to new jobs.
            let was_empty = self.hand.is_empty();
            let asked = Instant::now();
            match self.reserve_or_room(&request).await {
                Ok(deliveries) => {
                    if asked.elapsed() < request.wait {
                        self.status.woken();
                    }
                    pause = Pause::default();
                    self.status.fetched(deliveries.len());
                    left = left.saturating_sub(deliveries.len() as u64);
                    if deliveries.len() >= request.max.get() as usize {
                        pace.note(Instant::now(), self.hand.ended());
                        spare.learn(self.round(&before, &pace));
                    } else {
                        spare.shrink();
                    }
                    if !deliveries.is_empty() {
                        last_job = Instant::now();
                    } else if was_empty && self.is_over(last_job) {
                        break;
                    } else if self.config.exit == Exit::Drained && !was_empty {
                        self.wait_for_room().await;
                    }
                    self.hand_over(deliveries).await;
                }
                Err(BrokerError::Closed { .. }) => break,
                Err(error) => {
                    self.status.fetch_failed();
                    tracing::warn!(target: "hereafter::worker", error = error_chain(&error), "cannot ask for jobs");
                    tokio::select! {
                        () = tokio::time::sleep(pause.next(&mut rand::rng())) => {}
                        () = self.stop.cancelled() => {}
                    }
                }
            }
        }
        while left == 0 && !self.hand.is_empty() && !self.stop.is_cancelled() {
            self.wait_for_room().await;
        }
        self.status.fetch_ended();
    }

    /// Asks for jobs. The wait for the first ends when a queue that was left out, because its
    /// limit is in hand, may have room again.
    async fn reserve_or_room(&self, request: &Reserve) -> Result<Vec<Delivery>, BrokerError> {
        let mut asking = std::pin::pin!(self.reserve(request));
        if request.queues.len() < self.config.queues.len() {
            tokio::select! {
                biased;
                answer = &mut asking => return answer,
                () = self.hand.changed.notified() => request.interrupt.cancel(),
            }
        }
        asking.await
    }

    /// Asks for jobs. A worker that drains counts those of workers that are gone as well, which
    /// only upkeep makes ready again.
    async fn reserve(&self, request: &Reserve) -> Result<Vec<Delivery>, BrokerError> {
        let deliveries = self.broker.reserve(request).await?;
        if !deliveries.is_empty() || self.config.exit != Exit::Drained {
            return Ok(deliveries);
        }
        report::upkeep(&self.broker.maintain(&self.config.maintain).await?);
        // Asked again in any case: the upkeep beside may have been the one to take jobs back.
        self.broker.reserve(request).await
    }

    fn round(&self, before: &Before, pace: &Pace) -> Round {
        let jobs = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        Round {
            open_before: jobs(before.open as u64),
            open_after: jobs(self.hand.open() as u64),
            ended: jobs(self.hand.ended() - before.ended),
            paced: jobs(pace.jobs),
            slots: self.config.concurrency.get(),
        }
    }

    async fn hand_over(&self, deliveries: Vec<Delivery>) {
        if deliveries.is_empty() {
            return;
        }
        let interrupts = self.hand.add(&deliveries);
        let held = deliveries.into_iter().zip(interrupts).collect();
        let batch = Batch { received: tokio::time::Instant::now(), held };
        // The dispatcher ends after this loop, so the channel is open.
        let _ = self.batches.send(batch).await;
    }

    /// What to ask for, and no more than `left`; `None` while the hand is full.
    fn request(&self, spare: &Spare, left: u64) -> Option<Reserve> {
        let slots = self.config.concurrency.get();
        // Asked again while half of the reserve is left, so that it does not run dry.
        let low = slots.saturating_add(spare.jobs.div_ceil(2));
        let has_limits = self.config.queues.iter().any(|queue| queue.limit.is_some());
        self.hand.want_below(if has_limits { usize::MAX } else { low as usize });
        let open = u32::try_from(self.hand.open()).unwrap_or(u32::MAX);
        let is_low = open < low;
        let left = u32::try_from(left).unwrap_or(u32::MAX);
        let room = slots.saturating_add(spare.jobs).saturating_sub(open).min(left);
        let max = NonZeroU32::new(room).filter(|_| is_low)?;
        let queues: Vec<_> = weighted_order(&self.config.queues, &mut rand::rng())
            .into_iter()
            .filter_map(|queue| self.share(queue, max))
            .collect();
        if queues.is_empty() {
            return None;
        }
        let wait = match self.config.exit {
            Exit::Never => WAIT,
            Exit::Drained => Duration::ZERO,
            Exit::Idle(span) => WAIT.min(span),
        };
        Some(Reserve {
            queues,
            max,
            lease: self.config.lease,
            wait,
            interrupt: self.stop.child_token(),
            worker: self.config.name.clone(),
        })
    }

    /// What may still be asked of a queue; `None` if its limit is in hand.
    fn share(&self, queue: &QueueConfig, max: NonZeroU32) -> Option<QueueShare> {
        let max = match queue.limit {
            None => max,
            Some(limit) => {
                let open = u32::try_from(self.hand.open_of(&queue.name)).unwrap_or(u32::MAX);
                NonZeroU32::new(limit.get().saturating_sub(open))?.min(max)
            }
        };
        Some(QueueShare { queue: queue.name.clone(), max })
    }

    async fn wait_for_room(&self) {
        tokio::select! {
            () = self.hand.changed.notified() => {}
            () = self.stop.cancelled() => {}
            // A queue at its limit leaves room in others only until something changes there.
            () = tokio::time::sleep(WAIT) => {}
        }
        self.status.fetched(0);
    }

    /// Whether the exit condition holds, after an empty answer to an empty hand.
    fn is_over(&self, last_job: Instant) -> bool {
        match self.config.exit {
            Exit::Never => false,
            Exit::Drained => true,
            Exit::Idle(span) => last_job.elapsed() >= span,
        }
    }
}

/// The hand when a question was sent.
struct Before {
    open: usize,
    ended: u64,
}

/// What happened to the hand while a question was under way, in jobs.
#[derive(Debug, Clone, Copy)]
struct Round {
    /// In hand when the question was sent.
    open_before: u32,
    /// Of these, still in hand when the answer came.
    open_after: u32,
    /// Ended in between.
    ended: u32,
    /// End in a [`MOMENT`].
    paced: u32,
    /// The concurrency.
    slots: u32,
}

/// How many jobs end in a [`MOMENT`].
#[derive(Debug)]
struct Pace {
    since: Instant,
    /// Ended until then.
    ended: u64,
    jobs: u64,
}

/// Whatever a round trip takes, a question is for so much work: to ask for a few jobs at a time would cost more
/// than short jobs do.
const MOMENT: Duration = Duration::from_millis(2);

impl Pace {
    /// Nothing is known yet; so many jobs have ended before.
    fn new(now: Instant, ended: u64) -> Self {
        Self { since: now, ended, jobs: 0 }
    }

    /// Measures over a moment at least.
    fn note(&mut self, now: Instant, ended: u64) {
        let took = now.saturating_duration_since(self.since);
        if took >= MOMENT {
            let jobs = (ended - self.ended) as f64 * MOMENT.as_secs_f64() / took.as_secs_f64();
            *self = Self { since: now, ended, jobs: jobs as u64 };
        }
    }
}

/// How many jobs to hold beyond the free slots: about twice as many as run during a round trip,
/// so that the next answer is there before they are used up, and as many as run in a moment.
#[derive(Debug, Default)]
struct Spare {
    jobs: u32,
}

impl Spare {
    /// Learns from an answer that brought all that was asked for.
    fn learn(&mut self, round: Round) {
        let Round { open_before, open_after, ended, paced, slots } = round;
        // When most of the hand was used up, what ended says how much there was, not how much
        // could have been done: a slow job's end does not count, it is one among many.
        let ran_dry = open_after < slots && ended.saturating_mul(2) >= open_before.max(1);
        let wanted = if ran_dry { (self.jobs + slots) * 2 } else { ended.saturating_mul(2) };
        self.jobs = wanted.max(paced).max(self.jobs / 2).min(MAX_RESERVE);
    }

    /// Learns from an answer that the queues are running out.
    fn shrink(&mut self) {
        self.jobs /= 2;
    }
}

/// The queues in a random order in which heavy ones tend to be first.
///
/// Each queue draws u^(1/weight) and the highest is served first: the chance to be first is
/// the queue's share of all weights (Efraimidis and Spirakis, 2006).
fn weighted_order<'a, R: Rng>(queues: &'a [QueueConfig], rng: &mut R) -> Vec<&'a QueueConfig> {
    if let [queue] = queues {
        return vec![queue];
    }
    let mut drawn: Vec<_> = queues
        .iter()
        .map(|queue| (rng.random::<f64>().powf(1.0 / f64::from(queue.weight.get())), queue))
        .collect();
    drawn.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    drawn.into_iter().map(|(_, queue)| queue).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_queue_is_first_as_often_as_its_weight_says() {
        let queues: Vec<QueueConfig> =
            ["a:3", "b:1"].into_iter().map(|text| text.parse().unwrap()).collect();
        let mut rng = StdRng::seed_from_u64(11);
        let first = (0..10_000)
            .filter(|_| weighted_order(&queues, &mut rng)[0].name.as_str() == "a")
            .count();
        assert!((7_300..7_700).contains(&first), "{first}");
    }

    fn round(open_before: u32, ended: u32) -> Round {
        Round { open_before, open_after: open_before - ended, ended, paced: 0, slots: 16 }
    }

    #[test]
    fn a_question_is_for_a_moment_s_work_though_the_answer_comes_at_once() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 0);
        pace.note(start + MOMENT / 2, 1_000);
        assert_eq!(pace.jobs, 0, "that was too short to say");
        pace.note(start + 2 * MOMENT, 1_600);
        assert_eq!(pace.jobs, 800);
        let mut spare = Spare::default();
        spare.learn(Round { paced: 800, ..round(16, 1) });
        assert_eq!(spare.jobs, 800);
        pace.note(start + 1_000 * MOMENT, 1_700);
        assert_eq!(pace.jobs, 0);
    }

    #[test]
    fn the_reserve_grows_while_short_jobs_use_it_up() {
        let mut spare = Spare::default();
        spare.learn(round(16, 16));
        assert_eq!(spare.jobs, 32);
        spare.learn(round(48, 48));
        assert_eq!(spare.jobs, 96);
        for _ in 0..10 {
            spare.learn(round(spare.jobs, spare.jobs));
        }
        assert_eq!(spare.jobs, MAX_RESERVE);
    }

    #[test]
    fn the_reserve_settles_at_what_two_round_trips_need() {
        let mut spare = Spare { jobs: 1_000 };
        for _ in 0..10 {
            spare.learn(round(spare.jobs, 200));
        }
        assert_eq!(spare.jobs, 400);
    }

    #[test]
    fn slow_jobs_have_no_reserve() {
        let mut spare = Spare { jobs: 1_000 };
        for _ in 0..20 {
            spare.learn(round(15, 1));
        }
        assert!(spare.jobs <= 2, "{spare:?}");
        spare.shrink();
        spare.shrink();
        assert_eq!(spare.jobs, 0);
    }
}
