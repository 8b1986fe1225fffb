//! Schedules in the testing kit.

use std::time::Duration;

use hereafter::scope_state;
use hereafter::testing::{advance, declare_schedules, drain, jobs};
use tasksystem::Journal;

use crate::{TEN, count};

#[hereafter::test]
async fn drain_runs_the_ticks_that_the_clock_was_moved_over() {
    let journal = Journal::new();
    scope_state(journal.clone(), async {
        let handle = count("tick").queue("elsewhere").every(TEN).save().await.unwrap();
        assert_eq!(drain().await.done, 0);
        advance(TEN);
        assert_eq!(drain().await.done, 1);
        advance(TEN * 5);
        assert_eq!(drain().await.done, 1, "one run for all that were missed");
        assert_eq!(handle.runs().await.unwrap().len(), 2);
    })
    .await;
    assert_eq!(journal.lines(), ["tick", "tick"]);
}

#[hereafter::test]
async fn declared_schedules_tick_in_tests_that_ask_for_them() {
    let journal = Journal::new();
    scope_state(journal.clone(), async {
        let ten_minutes = Duration::from_secs(600);
        drain().await;
        advance(ten_minutes);
        drain().await;
        assert!(jobs().is_empty());
        declare_schedules().await;
        advance(ten_minutes);
        drain().await;
        assert!(jobs().iter().any(|job| job.task == "often"));
    })
    .await;
    assert!(journal.lines().contains(&"often".to_owned()));
}
