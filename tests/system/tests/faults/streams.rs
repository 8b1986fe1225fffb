//! Streams whose worker dies midway.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use hereafter::JobError;
use tasksystem::on_each_store;
use tasksystem::tasks::{note_item, slow_numbers};

use crate::{LIMIT, PROGRAM, lines, until};

/// Items of the stream.
const COUNT: u64 = 300;

on_each_store! {
    async fn a_stream_whose_worker_is_killed_begins_anew_elsewhere_and_readers_are_told(
        store: Store,
    ) {
        let (client, ledger) = (store.client().await, store.file("ledger"));
        let first = store.start(PROGRAM, &["run", "--lease", "1s"]);
        let handle = slow_numbers(COUNT, 3).delay_on(&client).await.unwrap();
        let followed = handle.then_each(|item| note_item(ledger.clone(), item)).await.unwrap();
        let mut early = handle.stream();
        let of_the_first: Vec<_> = early.by_ref().take(20).try_collect().await.unwrap();
        let (first_id, numbers): (Vec<u32>, Vec<u64>) = of_the_first.into_iter().unzip();
        assert_eq!(numbers, (0..20).collect::<Vec<_>>());
        first.kill();
        let _second = store.start(PROGRAM, &["run", "--lease", "1s"]);
        let rest: Vec<_> = tokio::time::timeout(LIMIT, early.collect()).await.unwrap();
        // On a busy machine the second attempt may lose its short lease as well.
        let restart =
            rest.iter().rposition(|item| *item == Err(JobError::Restarted { job: handle.id() }));
        let restart = restart.expect("the reader is told");
        let whole: Vec<_> = rest[restart + 1..].iter().map(|item| item.clone().unwrap()).collect();
        let numbers: Vec<u64> = whole.iter().map(|(_, number)| *number).collect();
        assert_eq!(numbers, (0..COUNT).collect::<Vec<_>>(), "all of them, once");
        assert!(whole.iter().all(|(process, _)| *process != first_id[0]), "runs are not mixed");
        let late: Vec<_> = handle.stream().try_collect().await.unwrap();
        assert_eq!(late, whole);
        assert_eq!(followed.wait(Duration::from_secs(60)).await.unwrap(), COUNT);
        let second_id = whole[0].0;
        let of_the_second = || {
            lines(&ledger).into_iter().filter(|(line, _)| line.starts_with(&format!("{second_id} ")))
        };
        until("each item to be followed", || of_the_second().count() as u64 == COUNT).await;
        assert!(of_the_second().all(|(_, count)| count == 1), "each once");
    }
}
