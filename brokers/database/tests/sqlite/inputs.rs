//! Workflows that are too odd for the suite.

use taskbroker_database::sqlite::SqliteBroker;
use taskcore::broker::{
    Broker, CancelScope, Input, JobFilter, JobState, Lookup, NewJob, Operate, ResultStore,
    Settlement, Verdict,
};
use taskcore::{Failure, JobId};

use crate::rig::{Rig, done, job, number, store, take};

fn waiting<const COUNT: usize>(inputs: [Input; COUNT]) -> NewJob {
    NewJob { inputs: inputs.to_vec(), ..job() }
}

fn owns(job: &NewJob) -> Input {
    Input { job: job.id, tolerant: false, owned: true }
}

fn shares(job: &NewJob) -> Input {
    Input { job: job.id, tolerant: false, owned: false }
}

fn ids(jobs: &[NewJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

async fn states(broker: &SqliteBroker, ids: &[JobId]) -> Vec<JobState> {
    let state = |lookup| match lookup {
        Lookup::Unknown => panic!("a job is gone"),
        Lookup::Pending(state) => state,
        Lookup::Final(outcome) => outcome.state,
    };
    broker.outcomes(ids).await.unwrap().into_iter().map(state).collect()
}

/// Runs all that can run.
async fn finish_all(broker: &SqliteBroker) {
    let taken = take(broker, 100).await;
    broker.settle(&taken.iter().map(done).collect::<Vec<_>>()).await.unwrap();
}

/// Fails all that can run.
async fn fail_all(broker: &SqliteBroker) {
    let failed = |delivery: taskcore::broker::Delivery| {
        let failure = Failure::lost(delivery.job, delivery.task, 1, 0);
        let verdict = Verdict::Failed { failure };
        Settlement { job: delivery.job, receipt: delivery.receipt, verdict }
    };
    let batch: Vec<_> = take(broker, 100).await.into_iter().map(failed).collect();
    broker.settle(&batch).await.unwrap();
}

#[tokio::test]
async fn an_input_that_is_named_twice_is_waited_for_once() {
    let rig = Rig::new();
    let broker = rig.open().await;
    let input = job();
    let jobs = [input.clone(), waiting([owns(&input), owns(&input)])];
    store(&broker, &jobs).await;
    finish_all(&broker).await;
    assert_eq!(states(&broker, &ids(&jobs)).await, [JobState::Done, JobState::Ready]);
}

#[tokio::test]
async fn jobs_that_name_themselves_or_each_other_fail_instead_of_waiting_for_ever() {
    let rig = Rig::new();
    let broker = rig.open().await;
    let (mut first, mut second, mut own) = (job(), job(), job());
    first.inputs = vec![shares(&second)];
    second.inputs = vec![shares(&first)];
    own.inputs = vec![shares(&own)];
    let jobs = [first, second, own];
    store(&broker, &jobs).await;
    assert_eq!(states(&broker, &ids(&jobs)).await, [JobState::Failed; 3]);
}

/// The last of those that share it is itself shared, and so goes a round later.
#[tokio::test]
async fn an_input_is_cancelled_with_the_last_that_waits_for_it_however_far_down_it_is() {
    let rig = Rig::new();
    let broker = rig.open().await;
    let shared = job();
    let owner = waiting([owns(&shared)]);
    let deep = waiting([shares(&shared)]);
    let (left, right) = (waiting([owns(&deep)]), waiting([owns(&deep)]));
    let root = waiting([owns(&owner), owns(&left), owns(&right)]);
    let jobs = [shared, owner, deep, left, right, root];
    store(&broker, &jobs).await;
    broker.cancel(&[jobs[5].id], CancelScope::WithInputs).await.unwrap();
    assert_eq!(states(&broker, &ids(&jobs)).await, [JobState::Cancelled; 6]);
    let edges = "SELECT count(*) FROM hereafter_input";
    assert_eq!(number(&mut rig.raw().await, edges).await, 0);
}

#[tokio::test]
async fn a_job_that_fails_because_of_a_cancel_wants_no_other_input_either() {
    let rig = Rig::new();
    let broker = rig.open().await;
    let shared = job();
    let owner = waiting([owns(&shared)]);
    let other = waiting([shares(&shared), shares(&owner)]);
    let jobs = [shared, owner, other];
    store(&broker, &jobs).await;
    broker.cancel(&[jobs[1].id], CancelScope::WithInputs).await.unwrap();
    let expected = [JobState::Cancelled, JobState::Cancelled, JobState::Failed];
    assert_eq!(states(&broker, &ids(&jobs)).await, expected);
}

/// What two roots had broken together is mended by both, on ways of different lengths.
#[tokio::test]
async fn a_job_is_revived_when_the_last_of_its_inputs_is() {
    let rig = Rig::new();
    let broker = rig.open().await;
    let roots = [job(), job()];
    let between = waiting([owns(&roots[1])]);
    let sink = waiting([owns(&roots[0]), owns(&between), owns(&roots[1])]);
    let last = waiting([owns(&sink)]);
    let [first, second] = roots;
    let jobs = [first, second, between, sink, last];
    store(&broker, &jobs).await;
    fail_all(&broker).await;
    assert_eq!(states(&broker, &ids(&jobs)).await, [JobState::Failed; 5]);
    let one = JobFilter { ids: Some(vec![jobs[1].id]), ..JobFilter::default() };
    broker.replay(&one).await.unwrap();
    let (ready, blocked, failed) = (JobState::Ready, JobState::Blocked, JobState::Failed);
    assert_eq!(states(&broker, &ids(&jobs)).await, [failed, ready, blocked, failed, failed]);
    broker.replay(&JobFilter::default()).await.unwrap();
    assert_eq!(states(&broker, &ids(&jobs)).await, [ready, ready, blocked, blocked, blocked]);
    for _ in 0..4 {
        finish_all(&broker).await;
    }
    assert_eq!(states(&broker, &ids(&jobs)).await, [JobState::Done; 5]);
}
