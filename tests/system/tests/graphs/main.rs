//! Random expressions, random failures and workers that die midway: what is delayed ends as what
//! is run here.
//!
//! Each broker gets 20 expressions, a server 5; `PROPTEST_CASES` is another number.

mod broker;
mod chaos;
mod expression;
mod graph;
mod task;

use std::future::Future;

use proptest::test_runner::{Config, TestError, TestRunner};
use tasksystem::World;

use chaos::{Store, Trouble};
use graph::Graph;

/// Expressions for a broker in this process, unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 20;

/// The same for a broker on a server, where each step is a round trip.
const CASES_OF_SERVER: u32 = 5;

#[test]
fn random_expressions_end_as_they_do_here_on_memory() {
    check(World::memory, CASES);
}

#[test]
fn random_expressions_end_as_they_do_here_on_sqlite() {
    check(World::sqlite, CASES);
}

#[test]
fn random_expressions_end_as_they_do_here_on_postgres() {
    check(World::postgres, CASES_OF_SERVER);
}

#[test]
fn random_expressions_end_as_they_do_here_on_mysql() {
    check(World::mysql, CASES_OF_SERVER);
}

fn check<W: Future<Output = World>>(world: fn(u32) -> W, cases: u32) {
    let mut config =
        Config { failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    let cases = (graph::graphs(), chaos::troubles());
    let checked = TestRunner::new(config).run(&cases, |(graph, trouble)| {
        tasksystem::run(|| world(World::EVENTS), |world| case(world, graph, trouble));
        Ok(())
    });
    match checked {
        Ok(()) => {}
        Err(TestError::Abort(reason)) => panic!("{reason}"),
        Err(TestError::Fail(reason, (graph, trouble))) => {
            panic!("{reason}\nwith {trouble:?} and\n{graph}")
        }
    }
}

/// Delays one expression, lives through what happens, and compares.
async fn case(world: World, graph: Graph, trouble: Trouble) {
    let expected = graph.ends();
    let here = expression::run_here(&graph).await;
    expected.last().expect("a graph has a root").assert_is(&here, "here");
    let store = Store::new(&world);
    store.spoil_enqueue(trouble.enqueue);
    let place = trouble.halfway % graph.nodes.len();
    let meanwhile = store.live_through(trouble.meanwhile);
    let delayed = expression::delay(&graph, store.client(), place, meanwhile).await;
    store.live_through(trouble.afterwards).await;
    store.run_to_the_end().await;
    for (place, handle) in delayed {
        expected[place].assert_is(&handle.await, &format!("node {place}"));
    }
    store.assert_settled_once(&graph, &expected);
    store.assert_late_verdicts_are_stale().await;
}
