//! A model of what a broker promises of leases, verdicts and jobs that wait for others, small enough
//! that all of its states are looked at.
//!
//! Two jobs are the inputs of a third. Two workers claim jobs, run them, renew their leases and send
//! verdicts; what they send may come late, in any order and more than once. Leases end at any time, and
//! workers crash. The [`Rules`] of the store are those of every broker, or lack one of them: then a
//! [property](LeaseModel#method.properties) must be violated, or the model would prove nothing.

mod rules;
mod state;

use stateright::{Model, Property};

pub use rules::Rules;
pub use state::{Hand, Job, Message, Place, State, Term};

/// The model.
#[derive(Debug, Clone)]
pub struct LeaseModel {
    /// What the store does.
    pub rules: Rules,
    /// How many workers there are.
    pub workers: usize,
    /// How often each job is handed out at most; the last lease of a job does not end.
    pub leases: u8,
}

/// What may happen next. Workers and jobs are numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A worker is handed a job that is ready.
    Claim(usize, usize),
    /// A worker runs the job that it has.
    Run(usize),
    /// It sends the verdict, and goes on.
    Finish(usize),
    /// It sends a renewal of its lease.
    Renew(usize),
    /// It is gone, with what it had.
    Crash(usize),
    /// What was sent comes to the store.
    Deliver(Message),
    /// It comes, and will come once more: its sender has no answer.
    DeliverAgain(Message),
    /// The time of a lease is over.
    Expire(usize),
    /// Upkeep makes a job ready again whose lease is over.
    Reclaim(usize),
    /// The second part of a settlement that is no atomic step.
    WriteResult(usize),
}

impl Model for LeaseModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self.workers)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (worker, hand) in state.hands.iter().enumerate() {
            let Some(hand) = hand else {
                let is_ready = |job: &Job| job.place == Place::Ready && job.tokens < self.leases;
                let ready = state.jobs.iter().enumerate().filter(|(_, job)| is_ready(job));
                actions.extend(ready.map(|(job, _)| Action::Claim(worker, job)));
                continue;
            };
            actions.push(if hand.has_run { Action::Finish(worker) } else { Action::Run(worker) });
            actions.push(Action::Renew(worker));
            // Somebody must be left to do it.
            if hand.token < self.leases {
                actions.push(Action::Crash(worker));
            }
        }
        for message in &state.wire {
            actions.extend([Action::Deliver(*message), Action::DeliverAgain(*message)]);
        }
        for (number, job) in state.jobs.iter().enumerate() {
            match job.place {
                Place::Running(token, Term::Runs) if token < self.leases => {
                    actions.push(Action::Expire(number));
                }
                Place::Running(_, Term::IsOver) => actions.push(Action::Reclaim(number)),
                _ => {}
            }
            if job.owes_result {
                actions.push(Action::WriteResult(number));
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Claim(worker, job) => next.claim(worker, job),
            Action::Run(worker) => next.run(worker),
            Action::Finish(worker) => {
                let hand = next.hands[worker].take()?;
                next.wire.insert(Message::Verdict(hand.job, hand.token));
            }
            Action::Renew(worker) => {
                let hand = next.hands[worker].as_ref()?;
                next.wire.insert(Message::Renewal(hand.job, hand.token));
            }
            Action::Crash(worker) => next.hands[worker] = None,
            Action::Deliver(message) => {
                next.wire.remove(&message);
                next.receive(message, self.rules);
            }
            Action::DeliverAgain(message) => next.receive(message, self.rules),
            Action::Expire(job) => {
                let Place::Running(token, _) = next.jobs[job].place else { return None };
                next.jobs[job].place = Place::Running(token, Term::IsOver);
            }
            Action::Reclaim(job) => next.reclaim(job),
            Action::WriteResult(job) => {
                next.jobs[job].owes_result = false;
                next.jobs[job].has_result = true;
            }
        }
        // What changes nothing leads nowhere.
        (next != *state).then_some(next)
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.wire.len() <= ON_THE_WIRE
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a job ends once", |_, state: &State| {
                state.jobs.iter().all(|job| job.verdicts <= 1)
            }),
            Property::always(
                "a lease that was taken back never counts again",
                |_, state: &State| !state.has_counted_stale,
            ),
            Property::always(
                "a job runs when the results of its inputs are there",
                |_, state: &State| !state.has_run_without_input,
            ),
            Property::always(
                "a job waits until each of its inputs has ended",
                |_, state: &State| {
                    state.is_dependant_blocked() || state.inputs().all(|input| input.verdicts > 0)
                },
            ),
            Property::always("a job that has not ended goes on", |model: &Self, state: &State| {
                state.is_over() || model.can_move(state)
            }),
            Property::sometimes("all jobs end", |_, state: &State| state.is_over()),
            Property::sometimes("a verdict is refused", |_, state: &State| state.has_refused),
            Property::sometimes("a job is handed out again", |_, state: &State| {
                state.jobs.iter().any(|job| job.tokens > 1)
            }),
        ]
    }
}

/// The most that is on its way at the same time.
const ON_THE_WIRE: usize = 3;

impl LeaseModel {
    /// Whether anything can happen still.
    fn can_move(&self, state: &State) -> bool {
        let mut actions = Vec::new();
        self.actions(state, &mut actions);
        !actions.is_empty()
    }
}
