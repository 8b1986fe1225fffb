//! WORQ-42: a task that returns a job is continued by it.

use hereafter::prelude::*;
use tasksystem::on_each_broker;

#[register_task(name = "worq.number")]
fn number(n: u64) -> u64 {
    n
}

#[register_task(name = "worq.sum")]
fn sum(left: u64, right: u64) -> u64 {
    left + right
}

#[register_task(name = "worq.countdown")]
async fn countdown(n: u64) -> Call<u64> {
    match n {
        0 => number(0).erase(),
        _ => countdown(n - 1).erase(),
    }
}

#[register_task(name = "worq.fibonacci")]
fn fibonacci(n: u64) -> Call<u64> {
    match n {
        0 | 1 => number(n).erase(),
        _ => sum(fibonacci(n - 1), fibonacci(n - 2)).erase(),
    }
}

#[register_task(name = "worq.returns_a_handle")]
async fn returns_a_handle(n: u64) -> Result<Handle<u64>, DelayError> {
    number(n).delay().await
}

on_each_broker! {
    carried;

    async fn worq_42_a_task_that_returns_a_handle_ends_with_the_result_of_that_job(world: World) {
        let job = returns_a_handle(5).delay().await.unwrap();
        let running = world.start();
        assert_eq!(job.await, Ok(5));
        running.stop().await.unwrap();
    }

    async fn worq_42_a_countdown_goes_on_as_itself_until_it_is_over(world: World) {
        let job = countdown(200).delay().await.unwrap();
        let running = world.start();
        assert_eq!(job.await, Ok(0));
        running.stop().await.unwrap();
        assert_eq!(world.jobs().await.len(), 202);
    }

    async fn worq_42_a_recursion_that_branches_ends_with_its_value(world: World) {
        let job = fibonacci(8).delay().await.unwrap();
        let running = world.start();
        assert_eq!(job.await, Ok(21));
        running.stop().await.unwrap();
    }
}
