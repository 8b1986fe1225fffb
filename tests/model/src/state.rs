//! [`State`]: what store, workers and wire have.

use std::collections::BTreeSet;

use crate::rules::Rules;

/// Everything at one time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The inputs, and then the job that waits for them.
    pub jobs: [Job; 3],
    /// What each worker has.
    pub hands: Vec<Option<Hand>>,
    /// What was sent and has not come.
    pub wire: BTreeSet<Message>,
    /// Of how many inputs the end is still to come, by the count of the store.
    pub open: u8,
    /// Whether a verdict has counted whose lease was taken back.
    pub has_counted_stale: bool,
    /// Whether the third job has run while a result of its inputs was missing.
    pub has_run_without_input: bool,
    /// Whether a verdict came too late and was told so.
    pub has_refused: bool,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Job {
    /// Where it is.
    pub place: Place,
    /// How often it was handed out: the number of its latest receipt.
    pub tokens: u8,
    /// The latest receipt that was taken back; 0 is none.
    pub taken_back: u8,
    /// How many verdicts have counted.
    pub verdicts: u8,
    /// Whether its result is there, or is to be written still.
    pub has_result: bool,
    /// Whether a result is to be written in a step of its own.
    pub owes_result: bool,
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// It waits for its inputs.
    Blocked,
    /// It waits for a worker.
    Ready,
    /// It belongs to whoever has this receipt.
    Running(u8, Term),
    /// It has ended.
    Done,
}

/// The time of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Term {
    /// It runs.
    Runs,
    /// It is over, and the job not taken back yet.
    IsOver,
}

/// What a worker has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hand {
    /// Which job.
    pub job: usize,
    /// Its receipt.
    pub token: u8,
    /// Whether it has run it.
    pub has_run: bool,
}

/// What a worker sends: a job and its receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// The job is done.
    Verdict(usize, u8),
    /// The worker is at it.
    Renewal(usize, u8),
}

/// The place of the job that waits for the others.
const DEPENDANT: usize = 2;

impl State {
    /// Nothing has happened yet.
    pub(crate) fn new(workers: usize) -> Self {
        let job = |place| Job {
            place,
            tokens: 0,
            taken_back: 0,
            verdicts: 0,
            has_result: false,
            owes_result: false,
        };
        Self {
            jobs: [job(Place::Ready), job(Place::Ready), job(Place::Blocked)],
            hands: vec![None; workers],
            wire: BTreeSet::new(),
            open: 2,
            has_counted_stale: false,
            has_run_without_input: false,
            has_refused: false,
        }
    }

    pub(crate) fn inputs(&self) -> impl Iterator<Item = &Job> {
        self.jobs[..DEPENDANT].iter()
    }

    pub(crate) fn is_dependant_blocked(&self) -> bool {
        self.jobs[DEPENDANT].place == Place::Blocked
    }

    /// Whether every job has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.jobs.iter().all(|job| job.place == Place::Done)
    }

    pub(crate) fn claim(&mut self, worker: usize, number: usize) {
        let job = &mut self.jobs[number];
        job.tokens += 1;
        job.place = Place::Running(job.tokens, Term::Runs);
        self.hands[worker] = Some(Hand { job: number, token: job.tokens, has_run: false });
    }

    pub(crate) fn run(&mut self, worker: usize) {
        let is_missing = self.inputs().any(|input| !input.has_result);
        let Some(hand) = &mut self.hands[worker] else { return };
        hand.has_run = true;
        self.has_run_without_input |= hand.job == DEPENDANT && is_missing;
    }

    pub(crate) fn reclaim(&mut self, number: usize) {
        let job = &mut self.jobs[number];
        if let Place::Running(token, Term::IsOver) = job.place {
            job.taken_back = token;
            job.place = Place::Ready;
        }
    }

    /// The store acts on what has come.
    pub(crate) fn receive(&mut self, message: Message, rules: Rules) {
        match message {
            Message::Verdict(job, token) => self.settle(job, token, rules),
            Message::Renewal(job, token) => self.renew(job, token, rules),
        }
    }

    fn settle(&mut self, number: usize, token: u8, rules: Rules) {
        let job = &mut self.jobs[number];
        let is_current = matches!(job.place, Place::Running(current, _) if current == token);
        let counts = is_current || rules == Rules::NoFence;
        if rules == Rules::DoubleRelease && number != DEPENDANT && job.taken_back < token {
            self.release();
        }
        let job = &mut self.jobs[number];
        if !counts {
            self.has_refused = true;
            return;
        }
        self.has_counted_stale |= token <= job.taken_back;
        job.place = Place::Done;
        // More than twice is no worse.
        job.verdicts = (job.verdicts + 1).min(2);
        if rules == Rules::ReleaseBeforeResult {
            job.owes_result = true;
        } else {
            job.has_result = true;
        }
        if number != DEPENDANT && rules != Rules::DoubleRelease {
            self.release();
        }
    }

    /// One input less is waited for.
    fn release(&mut self) {
        self.open = self.open.saturating_sub(1);
        let dependant = &mut self.jobs[DEPENDANT];
        if self.open == 0 && dependant.place == Place::Blocked {
            dependant.place = Place::Ready;
        }
    }

    fn renew(&mut self, number: usize, token: u8, rules: Rules) {
        let job = &mut self.jobs[number];
        let is_current = matches!(job.place, Place::Running(current, _) if current == token);
        let is_open = matches!(job.place, Place::Ready | Place::Running(..));
        if is_current || rules == Rules::RenewalAfterExpiry && is_open {
            job.place = Place::Running(token, Term::Runs);
        }
    }
}
