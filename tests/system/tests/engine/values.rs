//! Values that JSON does not carry.

use hereafter::prelude::*;
use hereafter::worker::Worker;
use hereafter::{FailureKind, error_chain};
use serde::{Deserialize, Serialize};
use tasksystem::on_each_broker;

#[register_task(name = "values::root")]
async fn root(of: f64, or: Option<f64>) -> f64 {
    let root = of.sqrt();
    or.filter(|_| root.is_nan()).unwrap_or(root)
}

#[derive(Default, Serialize, Deserialize)]
struct Nest(Vec<Self>);

#[register_task(name = "values::depth")]
async fn depth(nest: Nest) -> u32 {
    let mut depth = 0;
    let mut inner = &nest;
    while let Some(next) = inner.0.first() {
        (depth, inner) = (depth + 1, next);
    }
    depth
}

fn nest(depth: u32) -> Nest {
    (0..depth).fold(Nest::default(), |inner, _| Nest(vec![inner]))
}

on_each_broker! {
    async fn an_argument_that_is_no_number_is_refused(world: World) {
        for call in [root(f64::NAN, None), root(1.0, Some(f64::INFINITY))] {
            let error = call.delay().await.unwrap_err();
            assert!(matches!(error, DelayError::Encode { .. }), "{error:?}");
            let text = error_chain(&error);
            assert!(text.contains("NaN and infinities have no JSON form"), "{text}");
        }
        assert!(world.jobs().await.is_empty());
    }

    async fn a_result_that_is_no_number_fails_the_job(world: World) {
        let calls = [root(-1.0, None), root(-1.0, Some(2.0))];
        let [fails, works] = world.client.delay_all(calls).await.unwrap().try_into().unwrap();
        let worker = Worker::builder(world.client.clone()).without_hooks();
        world.drain_with(worker.tasks([root(0.0, None).task()])).await;
        assert_eq!(works.await, Ok(2.0));
        let Err(JobError::Failed(failure)) = fails.await else { panic!("it is no number") };
        assert_eq!(failure.kind, FailureKind::Result);
        assert!(failure.to_string().contains("NaN and infinities have no JSON form"), "{failure}");
    }

    async fn what_is_too_deep_to_be_read_is_refused_and_what_is_not_runs(world: World) {
        let error = depth(nest(126)).delay().await.unwrap_err();
        assert!(error_chain(&error).contains("nested deeper than 127 levels"), "{error:?}");
        let deepest = depth(nest(125)).delay().await.unwrap();
        let worker = Worker::builder(world.client.clone()).without_hooks();
        world.drain_with(worker.tasks([depth(nest(0)).task()])).await;
        assert_eq!(deepest.await, Ok(125));
    }
}
