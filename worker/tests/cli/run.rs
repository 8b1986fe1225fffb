//! `run`: stopping, draining, waiting.

use std::time::Instant;

use taskcore::broker::JobState;

use crate::support::{Running, System, ends_with, until};
use crate::tasks::{add, hang, overrun, wait_for};

#[test]
fn burst_runs_what_is_due_and_ends_with_0() {
    let system = System::new();
    let ids = system.client(async |client| {
        let mut ids = Vec::new();
        for n in 0..20 {
            ids.push(add(n, 1).delay_on(client).await.unwrap().id());
        }
        ids
    });
    system.drain();
    let last = system.record(ids[19]);
    assert_eq!(last.state, JobState::Done);
    assert_eq!(last.result.unwrap().as_slice(), b"20");
    assert!(system.states().iter().all(|state| *state == JobState::Done));
}

#[test]
fn a_worker_without_work_ends_with_0_after_the_span_it_was_told() {
    let system = System::new();
    let worker = Running::start(system.worker().args(["run", "--idle-exit", "50ms"]));
    assert_eq!(worker.exit_code(), Some(0));
}

#[test]
fn a_worker_serves_only_the_queues_it_was_told() {
    let system = System::new();
    let id = system.client(async |client| add(1, 2).delay_on(client).await.unwrap().id());
    let worker = Running::start(system.worker().args(["run", "--burst", "--queue", "other"]));
    assert_eq!(worker.exit_code(), Some(0));
    assert_eq!(system.record(id).state, JobState::Ready);
}

#[cfg(unix)]
#[test]
fn one_signal_lets_running_jobs_finish_and_ends_with_0() {
    for signal in ["TERM", "INT"] {
        let system = System::new();
        let (begun, end) = (system.path("begun"), system.path("end"));
        let job = wait_for(begun.clone(), end.clone());
        let id = system.client(async |client| job.delay_on(client).await.unwrap().id());
        let worker = Running::start(system.worker().arg("run"));
        until(|| begun.exists());
        worker.signal(signal);
        worker.event("stopping; once more to drop what runs");
        std::fs::write(end, "").unwrap();
        assert_eq!(worker.exit_code(), Some(0), "SIG{signal}");
        assert_eq!(system.record(id).state, JobState::Done, "SIG{signal}");
    }
}

#[cfg(unix)]
#[test]
fn a_second_signal_gives_running_jobs_back_at_once() {
    let system = System::new();
    let begun = system.path("begun");
    let job = wait_for(begun.clone(), system.path("never"));
    let id = system.client(async |client| job.delay_on(client).await.unwrap().id());
    let worker = Running::start(system.worker().args(["run", "--grace", "1h"]));
    until(|| begun.exists());
    worker.signal("TERM");
    worker.event("stopping; once more to drop what runs");
    worker.signal("TERM");
    assert_eq!(worker.exit_code(), Some(0));
    let record = system.record(id);
    assert_eq!((record.state, record.failures), (JobState::Ready, 0));
}

#[cfg(unix)]
#[test]
fn the_end_of_the_process_never_waits_for_a_plain_function() {
    let system = System::new();
    let begun = system.path("begun");
    let job = hang(begun.clone());
    system.client(async |client| job.delay_on(client).await.unwrap());
    let worker = Running::start(system.worker().args(["run", "--grace", "0s", "-c", "2"]));
    until(|| begun.exists());
    let asked = Instant::now();
    worker.signal("TERM");
    worker.event("stopping; once more to drop what runs");
    worker.signal("TERM");
    assert_eq!(worker.exit_code(), Some(0));
    assert!(asked.elapsed().as_secs() < 30, "{:?}", asked.elapsed());
}

#[test]
fn a_worker_with_every_slot_stuck_ends_with_1_and_says_so() {
    let system = System::new();
    system.client(async |client| overrun().delay_on(client).await.unwrap());
    let mut command = system.worker();
    let error = ends_with(1, command.args(["run", "--concurrency", "1", "--grace", "0s"]));
    assert!(error.lines().last().unwrap().starts_with("error: all 1 slots are held"), "{error}");
}

#[cfg(unix)]
#[test]
fn one_signal_ends_a_worker_that_waits_in_its_start() {
    let system = System::new();
    let worker = Running::start(system.worker().arg("run").env("HANG_AT_START", "waiting"));
    worker.event("hanging");
    worker.signal("TERM");
    assert_eq!(worker.exit_code(), Some(0));
}

#[test]
fn a_third_signal_ends_a_worker_that_blocks_in_its_start() {
    let system = System::new();
    let worker = Running::start(system.worker().arg("run").env("HANG_AT_START", "blocking"));
    worker.event("hanging");
    worker.signal("TERM");
    worker.event("stopping; once more to drop what runs");
    worker.signal("TERM");
    worker.event("dropping what runs; once more to end at once");
    worker.signal("TERM");
    assert_eq!(worker.exit_code(), Some(1));
}
