//! What holds between the tables, whatever happens to jobs.

use std::num::NonZeroU32;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use taskbroker_database::sqlite::SqliteBroker;
use taskcore::broker::{
    Broker, CancelScope, Delivery, Due, Enqueued, Input, JobFilter, JobState, Keep, Maintain,
    NewJob, OnConflict, Operate, Reports, Settlement, Unique, UniqueScope, Verdict,
};
use taskcore::{Clock, Failure, FailureKind, JobId, Priority, QueueName};

use crate::rig::{Rig, job, number, report, request};

/// A world in which anything happens, by a seed.
struct World {
    rng: StdRng,
    clock: Clock,
    broker: std::sync::Arc<SqliteBroker>,
    known: Vec<JobId>,
    leased: Vec<Delivery>,
}

const MINUTE: Duration = Duration::from_secs(60);

impl World {
    async fn step(&mut self) {
        match self.rng.random_range(0..12) {
            0..3 => self.enqueue().await,
            3..5 => self.reserve().await,
            5..7 => self.settle().await,
            7 => self.cancel().await,
            8 => self.upkeep().await,
            9 => self.replay_or_purge().await,
            10 => self.say_or_pull().await,
            _ => self.begin_or_extend().await,
        }
    }

    async fn enqueue(&mut self) {
        let count = self.rng.random_range(1..20);
        let mut batch: Vec<NewJob> = Vec::new();
        for _ in 0..count {
            let inputs = self.some_inputs(&batch);
            let (unique, with_next) = (self.some_key(), self.rng.random_bool(0.2));
            batch.push(NewJob { inputs, unique, with_next, ..self.some_job() });
        }
        // Repeated, as after an unknown answer.
        for id in self.some_ids() {
            let inputs = self.some_inputs(&batch);
            let unique = self.some_key();
            batch.push(NewJob { id, inputs, unique, ..job() });
        }
        self.known.extend(batch.iter().map(|job| job.id));
        let answers = self.broker.enqueue(&batch).await.unwrap();
        let groups = batch.chunk_by(|job, _| job.with_next).map(<[NewJob]>::len);
        let mut answers = answers.into_iter();
        for size in groups {
            let group: Vec<_> = answers.by_ref().take(size).collect();
            let is = |answer: Enqueued| group.contains(&answer);
            let conflicts = group.iter().any(|answer| matches!(answer, Enqueued::Conflict(_)));
            assert!(!(is(Enqueued::Stored) && conflicts), "{group:?}");
            assert!(!is(Enqueued::Withheld) || conflicts, "{group:?}");
        }
    }

    /// One of a few keys, so that jobs want the same one.
    fn some_key(&mut self) -> Option<Unique> {
        let rng = &mut self.rng;
        let key = format!("key {}", rng.random_range(0..8));
        let scope = match rng.random_range(0..4) {
            0 => UniqueScope::Queued,
            1 => UniqueScope::For(MINUTE * rng.random_range(1..4)),
            _ => UniqueScope::Unfinished,
        };
        let replaces = rng.random_bool(0.3);
        let on_conflict = if replaces { OnConflict::Replace } else { OnConflict::Fail };
        rng.random_bool(0.3).then_some(Unique { key, scope, on_conflict })
    }

    fn some_job(&mut self) -> NewJob {
        let rng = &mut self.rng;
        let due = match rng.random_range(0..3) {
            0 => Due::After(MINUTE * rng.random_range(0..5)),
            _ => Due::Now,
        };
        NewJob {
            priority: Priority::new(rng.random_range(-2..=2)).unwrap(),
            expires_in: rng.random_bool(0.2).then(|| MINUTE * rng.random_range(1..5)),
            due,
            ..job()
        }
    }

    /// Old jobs in whatever state, jobs of the batch, and now and then one that nobody stored.
    fn some_inputs(&mut self, batch: &[NewJob]) -> Vec<Input> {
        let rng = &mut self.rng;
        if rng.random_bool(0.4) {
            return Vec::new();
        }
        let mut jobs: Vec<JobId> = Vec::new();
        for _ in 0..rng.random_range(1..4) {
            let known: Vec<JobId> = match rng.random_range(0..10) {
                0 => vec![JobId::new()],
                1..5 => batch.iter().map(|job| job.id).collect(),
                _ => self.known.iter().rev().take(30).copied().collect(),
            };
            if !known.is_empty() {
                jobs.push(known[rng.random_range(0..known.len())]);
            }
        }
        jobs.sort_unstable();
        jobs.dedup();
        let input =
            |job| Input { job, tolerant: rng.random_bool(0.4), owned: rng.random_bool(0.6) };
        jobs.into_iter().map(input).collect()
    }

    fn some_ids(&mut self) -> Vec<JobId> {
        let count = self.rng.random_range(0..3).min(self.known.len());
        (0..count).map(|_| self.known[self.rng.random_range(0..self.known.len())]).collect()
    }

    async fn reserve(&mut self) {
        let max = self.rng.random_range(1..15);
        self.leased.extend(self.broker.reserve(&request(max, Duration::ZERO)).await.unwrap());
    }

    async fn settle(&mut self) {
        let mut batch = Vec::new();
        for _ in 0..self.rng.random_range(0..10).min(self.leased.len()) {
            // Some stay in the list, and are settled twice.
            let place = self.rng.random_range(0..self.leased.len());
            let delivery = self.leased[place].clone();
            if self.rng.random_bool(0.9) {
                self.leased.swap_remove(place);
            }
            let verdict = self.some_verdict(&delivery);
            batch.push(Settlement { job: delivery.job, receipt: delivery.receipt, verdict });
        }
        self.broker.settle(&batch).await.unwrap();
    }

    fn some_verdict(&mut self, delivery: &Delivery) -> Verdict {
        let failure = Failure {
            kind: FailureKind::Error,
            task: delivery.task.clone(),
            job: delivery.job,
            attempt: delivery.attempt.get(),
            error_type: None,
            message: "no".to_owned(),
            causes: Vec::new(),
            permanent: false,
        };
        let result = self.rng.random_bool(0.5).then(|| b"17".to_vec().into());
        match self.rng.random_range(0..9) {
            8 => Verdict::Snooze { after: MINUTE * self.rng.random_range(0..3) },
            6.. => self.some_continuation(),
            0 => Verdict::Retry { after: MINUTE * self.rng.random_range(0..3), failure },
            1 => Verdict::Failed { failure },
            2 => Verdict::Release,
            3 => Verdict::Done { result: None, keep: Keep::Nothing },
            _ => Verdict::Done { result, keep: Keep::For(MINUTE * self.rng.random_range(0..30)) },
        }
    }

    /// By new jobs, by old ones in whatever state, itself included, or by one that nobody stored.
    fn some_continuation(&mut self) -> Verdict {
        let mut jobs: Vec<NewJob> = Vec::new();
        for _ in 0..self.rng.random_range(0..3) {
            let inputs = self.some_inputs(&jobs);
            jobs.push(NewJob { inputs, ..self.some_job() });
        }
        let by = match self.rng.random_range(0..10) {
            0 => JobId::new(),
            1..6 if !jobs.is_empty() => jobs[jobs.len() - 1].id,
            _ => self.some_known(),
        };
        self.known.extend(jobs.iter().map(|job| job.id));
        let keep = match self.rng.random_bool(0.5) {
            true => Keep::For(MINUTE * self.rng.random_range(0..30)),
            false => Keep::Nothing,
        };
        Verdict::Continued { jobs, by, keep }
    }

    /// One of the jobs that were stored last.
    fn some_known(&mut self) -> JobId {
        let first = self.known.len().saturating_sub(40);
        self.known[self.rng.random_range(first..self.known.len())]
    }

    async fn cancel(&mut self) {
        let ids = self.some_ids();
        let scope = match self.rng.random_bool(0.7) {
            true => CancelScope::WithInputs,
            false => CancelScope::JobsAlone,
        };
        self.broker.cancel(&ids, scope).await.unwrap();
    }

    async fn upkeep(&mut self) {
        self.clock.advance(MINUTE * self.rng.random_range(0..3));
        let budget = NonZeroU32::new(self.rng.random_range(1..50)).unwrap();
        self.broker.maintain(&Maintain { budget, recovery_limit: 1 }).await.unwrap();
    }

    async fn replay_or_purge(&mut self) {
        let filter = JobFilter { limit: Some(self.rng.random_range(0..5)), ..JobFilter::default() };
        if self.rng.random_bool(0.7) {
            self.broker.replay(&filter).await.unwrap();
        } else {
            let states = vec![JobState::ALL[self.rng.random_range(0..JobState::ALL.len())]];
            self.broker.purge(&JobFilter { states, ..filter }).await.unwrap();
        }
    }

    /// Some reports are of leases that are over, and some leave gaps.
    async fn say_or_pull(&mut self) {
        let mut batch = Vec::new();
        for held in &self.leased {
            let items = vec![b"item".to_vec().into(); self.rng.random_range(0..4)];
            batch.push(report(held, self.rng.random_range(0..4), items));
        }
        self.broker.report(&batch).await.unwrap();
        for job in self.some_ids() {
            self.broker.pull(job, self.rng.random_range(0..9)).await.unwrap();
        }
    }

    async fn begin_or_extend(&mut self) {
        let receipts: Vec<_> = self.leased.iter().map(|held| held.receipt.clone()).collect();
        if self.rng.random_bool(0.5) {
            self.broker.extend(&receipts, MINUTE * self.rng.random_range(0..3)).await.unwrap();
        } else if let Some(receipt) = receipts.first() {
            self.broker.begin(receipt).await.unwrap();
        }
    }
}

/// Each counts rows that must not be.
const BROKEN: [&str; 33] = [
    // A job is in exactly one state.
    "SELECT count(*) FROM hereafter_job AS j WHERE 1 !=
         (SELECT count(*) FROM hereafter_ready AS t WHERE t.seq = j.seq)
       + (SELECT count(*) FROM hereafter_scheduled AS t WHERE t.seq = j.seq)
       + (SELECT count(*) FROM hereafter_running AS t WHERE t.seq = j.seq)
       + (SELECT count(*) FROM hereafter_blocked AS t WHERE t.seq = j.seq AND t.broken = 0)
       + (SELECT count(*) FROM hereafter_outcome AS t WHERE t.seq = j.seq)",
    // A state is some job's.
    "SELECT count(*) FROM (SELECT seq FROM hereafter_ready UNION ALL
         SELECT seq FROM hereafter_scheduled UNION ALL SELECT seq FROM hereafter_running
         UNION ALL SELECT seq FROM hereafter_blocked UNION ALL SELECT seq FROM hereafter_outcome)
     WHERE seq NOT IN (SELECT seq FROM hereafter_job)",
    // What waits can be found by what its own row says.
    "SELECT count(*) FROM hereafter_ready AS t JOIN hereafter_job AS j USING (seq)
     WHERE (t.queue, t.rank, t.due_at) IS NOT (j.queue, -j.priority, j.due_at)",
    "SELECT count(*) FROM hereafter_scheduled AS t JOIN hereafter_job AS j USING (seq)
     WHERE (t.queue, t.rank, t.due_at) IS NOT (j.queue, -j.priority, j.due_at)",
    "SELECT count(*) FROM hereafter_blocked AS t JOIN hereafter_job AS j USING (seq)
     WHERE (t.queue, t.due_at) IS NOT (j.queue, j.due_at)",
    // What waits for others counts those that have not ended.
    "SELECT count(*) FROM hereafter_blocked AS b WHERE b.open !=
         (SELECT count(*) FROM hereafter_input AS e WHERE e.dependant = b.seq
          AND e.input NOT IN (SELECT seq FROM hereafter_outcome))
       + (SELECT count(*) FROM hereafter_continued AS c WHERE c.seq = b.seq
          AND c.continued_by NOT IN (SELECT seq FROM hereafter_outcome))",
    // There is something to wait for.
    "SELECT count(*) FROM hereafter_blocked WHERE open = 0 AND broken = 0",
    // It counts those that ended without a result too; of some of these nothing is left.
    "SELECT count(*) FROM hereafter_blocked AS b WHERE b.broken <
         (SELECT count(*) FROM hereafter_input AS e JOIN hereafter_outcome AS o ON o.seq = e.input
          WHERE e.dependant = b.seq AND NOT e.tolerant AND o.state != 'done')
       + (SELECT count(*) FROM hereafter_continued AS c JOIN hereafter_outcome AS o
          ON o.seq = c.continued_by WHERE c.seq = b.seq AND o.state != 'done')",
    // What is continued waits, or has failed because of what continues it; and for nothing else.
    "SELECT count(*) FROM hereafter_continued WHERE seq NOT IN (SELECT seq FROM hereafter_blocked)
       OR seq IN (SELECT dependant FROM hereafter_input)",
    // A result is passed on at once.
    "SELECT count(*) FROM hereafter_continued AS c JOIN hereafter_outcome AS o
     ON o.seq = c.continued_by WHERE o.state = 'done'",
    // Both ends of a continuation are there.
    "SELECT count(*) FROM hereafter_continued WHERE seq NOT IN (SELECT seq FROM hereafter_job)
       OR continued_by NOT IN (SELECT seq FROM hereafter_job)",
    // What is continued never expires.
    "SELECT count(*) FROM hereafter_job WHERE expires_at IS NOT NULL
       AND seq IN (SELECT seq FROM hereafter_continued)",
    // Nothing waits for itself.
    "WITH RECURSIVE edge (dependant, input) AS (
         SELECT dependant, input FROM hereafter_input
         UNION ALL SELECT seq, continued_by FROM hereafter_continued),
     needed (origin, seq) AS (
         SELECT seq, continued_by FROM hereafter_continued
         UNION SELECT needed.origin, edge.input FROM needed JOIN edge ON edge.dependant = needed.seq)
     SELECT count(*) FROM needed WHERE seq = origin",
    // With the first of these it fails, and says why.
    "SELECT count(*) FROM hereafter_blocked AS b JOIN hereafter_job AS j USING (seq)
     LEFT JOIN hereafter_outcome AS o USING (seq)
     WHERE b.broken > 0 AND (o.state IS NOT 'failed' OR j.failure ->> '$.kind' IS NOT 'input')",
    "SELECT count(*) FROM hereafter_job AS j WHERE j.failure ->> '$.kind' = 'input'
       AND j.seq NOT IN (SELECT seq FROM hereafter_blocked WHERE broken > 0)",
    // Both ends of an edge are there: so an input is kept for what may read it.
    "SELECT count(*) FROM hereafter_input WHERE input NOT IN (SELECT seq FROM hereafter_job)
       OR dependant NOT IN (SELECT seq FROM hereafter_job)",
    // It is dropped with the end of what waited, unless that may be replayed.
    "SELECT count(*) FROM hereafter_input AS e JOIN hereafter_outcome AS o ON o.seq = e.dependant
     WHERE o.state != 'failed'",
    // What a worker may get has all that it needs.
    "SELECT count(*) FROM hereafter_input AS e LEFT JOIN hereafter_outcome AS o ON o.seq = e.input
     WHERE NOT e.tolerant AND o.state IS NOT 'done' AND e.dependant IN
         (SELECT seq FROM hereafter_ready UNION ALL SELECT seq FROM hereafter_scheduled
          UNION ALL SELECT seq FROM hereafter_running)",
    // What was never leased has no failure but of an input.
    "SELECT count(*) FROM hereafter_blocked AS b JOIN hereafter_job AS j USING (seq)
     WHERE b.broken = 0 AND j.failure IS NOT NULL
       AND b.seq NOT IN (SELECT seq FROM hereafter_continued)",
    // A stored id is not also a forgotten one.
    "SELECT count(*) FROM hereafter_tombstone WHERE id IN (SELECT id FROM hereafter_job)",
    // What ends by itself is in upkeep's list, unless another job may still read it.
    "SELECT count(*) FROM hereafter_outcome AS o JOIN hereafter_job AS j USING (seq)
     WHERE o.keep_until IS NOT NULL AND o.seq NOT IN (SELECT input FROM hereafter_input)
       AND o.seq NOT IN (SELECT continued_by FROM hereafter_continued)
       AND NOT EXISTS (SELECT 1 FROM hereafter_finished AS f
                       WHERE instr(hex(f.jobs), hex(j.id)) > 0 AND f.prune_at <= o.keep_until)",
    // A key until its job is final: held exactly as long.
    "SELECT count(*) FROM hereafter_unique AS u WHERE u.scope = 'unfinished' AND u.held !=
         (u.seq IN (SELECT seq FROM hereafter_job) AND u.seq NOT IN (SELECT seq FROM hereafter_outcome))",
    // A key while queued: no longer than its job waits.
    "SELECT count(*) FROM hereafter_unique WHERE scope = 'queued' AND held AND seq NOT IN
         (SELECT seq FROM hereafter_ready UNION ALL SELECT seq FROM hereafter_scheduled
          UNION ALL SELECT seq FROM hereafter_blocked WHERE broken = 0)",
    // Only a time that is not over outlives its job.
    "SELECT count(*) FROM hereafter_unique WHERE seq NOT IN (SELECT seq FROM hereafter_job)
       AND (scope != 'time' OR NOT held)",
    // A key is that of its job.
    "SELECT count(*) FROM hereafter_unique AS u JOIN hereafter_job AS j USING (seq)
     WHERE (u.id, u.task) IS NOT (j.id, j.task)",
    // What waits for its start and may expire is in upkeep's list, also after a claim.
    "SELECT count(*) FROM hereafter_job AS j
     WHERE j.expires_at IS NOT NULL AND j.failures = 0 AND j.losses = 0
       AND (j.seq IN (SELECT seq FROM hereafter_ready)
            OR j.seq IN (SELECT seq FROM hereafter_scheduled)
            OR j.seq IN (SELECT seq FROM hereafter_blocked WHERE broken = 0))
       AND (j.expires_at, j.seq) NOT IN (SELECT expires_at, seq FROM hereafter_expiry)",
    // What is told of a job goes with it.
    "SELECT count(*) FROM (SELECT seq FROM hereafter_attempt UNION ALL
         SELECT seq FROM hereafter_report UNION ALL SELECT seq FROM hereafter_log
         UNION ALL SELECT seq FROM hereafter_chunk)
     WHERE seq NOT IN (SELECT seq FROM hereafter_job)",
    // A log has as many lines as were counted, and a stream as many items, without a gap.
    "SELECT count(*) FROM hereafter_report AS p WHERE p.lines !=
         (SELECT count(*) FROM hereafter_log AS l WHERE l.seq = p.seq)
       OR p.items != (SELECT ifnull(sum(c.count), 0) FROM hereafter_chunk AS c WHERE c.seq = p.seq)",
    "SELECT count(*) FROM hereafter_chunk AS c WHERE c.first !=
         (SELECT ifnull(sum(b.count), 0) FROM hereafter_chunk AS b
          WHERE b.seq = c.seq AND b.first < c.first)",
    // A stream is of a run.
    "SELECT count(*) FROM hereafter_report WHERE (run = 0) != (token IS NULL)
       OR (run = 0 AND items > 0)",
    // Events are numbered without gaps.
    "SELECT count(*) FROM hereafter_event AS e JOIN hereafter_event AS p ON p.last =
         (SELECT max(last) FROM hereafter_event WHERE last < e.last)
     WHERE e.last != p.last + length(e.events) / 17",
    // The latest event of a job tells its state; a job that is purged is not told of.
    "WITH RECURSIVE place (last, n) AS (SELECT last, 0 FROM hereafter_event
         UNION ALL SELECT place.last, n + 1 FROM place JOIN hereafter_event USING (last)
         WHERE 17 * (n + 1) < length(events)),
     told (id, kind, number) AS (
         SELECT substr(events, 17 * n + 2, 16), hex(substr(events, 17 * n + 1, 1)),
             max(last - length(events) / 17 + 1 + n)
         FROM place JOIN hereafter_event USING (last) GROUP BY 1)
     SELECT count(*) FROM hereafter_job AS j LEFT JOIN told USING (id)
     LEFT JOIN hereafter_outcome AS o USING (seq) LEFT JOIN hereafter_running AS r USING (seq)
     WHERE CASE WHEN r.seq IS NOT NULL THEN '01' WHEN o.state = 'done' THEN '02'
                WHEN o.state = 'failed' THEN '04' WHEN o.state = 'cancelled' THEN '08'
                WHEN o.state = 'expired' THEN '09' END IS NOT
           CASE WHEN told.kind IN ('01', '02', '04', '08', '09') THEN told.kind END",
    // Sums count what is there, and what is gone.
    "SELECT count(*) FROM hereafter_task AS t WHERE t.stored <
         (SELECT count(*) FROM hereafter_job AS j WHERE j.task = t.name)
       OR t.cancelled < (SELECT count(*) FROM hereafter_outcome WHERE state = 'cancelled')
       OR t.done + t.failed + t.cancelled + t.expired <
         (SELECT count(*) FROM hereafter_outcome)",
];

#[tokio::test]
async fn whatever_happens_each_job_is_in_exactly_one_state() {
    for seed in 0..8 {
        let rig = Rig::new();
        let clock = Clock::system();
        let options = rig
            .options()
            .clock(clock.clone())
            .synchronous(taskbroker_database::sqlite::Synchronous::Off);
        let broker = SqliteBroker::open(options).await.unwrap();
        let rng = StdRng::seed_from_u64(seed);
        let mut world = World { rng, clock, broker, known: Vec::new(), leased: Vec::new() };
        let mut raw = rig.raw().await;
        for step in 0..120 {
            world.step().await;
            if step % 10 == 9 {
                for broken in BROKEN {
                    let count = number(&mut raw, broken).await;
                    assert_eq!(count, 0, "seed {seed}, step {step}: {broken}");
                }
            }
        }
        let records = world.broker.jobs(&JobFilter::default()).await.unwrap();
        assert!(!records.is_empty());
        let depth = &world.broker.depth(&[QueueName::DEFAULT]).await.unwrap()[0];
        let count = |state| records.iter().filter(|record| record.state == state).count() as u64;
        assert_eq!(depth.ready, Some(count(JobState::Ready)), "seed {seed}");
        assert_eq!(depth.blocked, Some(count(JobState::Blocked)), "seed {seed}");
        assert_eq!(depth.running, Some(count(JobState::Running)), "seed {seed}");
        assert_eq!(depth.failed, Some(count(JobState::Failed)), "seed {seed}");
    }
}
