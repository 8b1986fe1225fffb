//! The testing kit, as a user's tests use it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt, stream};
use hereafter::JobId;
use hereafter::broker::JobState;
use hereafter::prelude::*;
use hereafter::scope_state;
use hereafter::testing::{advance, assert_delayed, drain, jobs, refute_delayed};

/// Counts the mails that would have been sent.
#[derive(Clone, Default)]
struct Post(Arc<AtomicU32>);

#[register_task]
async fn send(State(post): State<Post>, address: String) -> Result<u32, String> {
    if address.contains('@') {
        Ok(post.0.fetch_add(1, Ordering::SeqCst) + 1)
    } else {
        Err(format!("`{address}` is no address"))
    }
}

#[register_task(queue = "welcome")]
async fn welcome(name: String) -> Result<(), DelayError> {
    send(format!("{name}@example.org")).queue("bulk").call_after(Duration::from_secs(60)).await?;
    Ok(())
}

#[register_task]
async fn note(sent: u32) {
    let _ = sent;
}

#[register_task]
async fn alert(error: JobError) {
    let _ = error;
}

#[hereafter::test]
async fn a_delayed_call_is_there_and_has_not_run() {
    let job = send("ada@example.org").delay().await.unwrap();
    assert_delayed(&send("ada@example.org"));
    refute_delayed(&send("bob@example.org"));
    assert_eq!(job.state().await, Ok(Some(JobState::Ready)));
}

#[hereafter::test]
async fn a_call_is_found_whatever_follows_it_and_so_is_what_does() {
    let call = |address| send(address).then(note).then(|sent| alert(sent.failure()));
    let job = call("ada@example.org").delay().await.unwrap();
    assert_delayed(&call("ada@example.org"));
    assert_delayed(&send("ada@example.org"));
    refute_delayed(&call("bob@example.org"));
    assert_delayed(&note(job.clone()));
    assert_delayed(&alert(job.failure()));

    let other = send("bob@example.org").delay().await.unwrap();
    refute_delayed(&note(other.clone()));
    refute_delayed(&alert(other.failure()));
}

#[hereafter::test]
#[should_panic(expected = "with arguments {\"error\":failure of job 0")]
async fn a_missing_follow_up_says_whose_failure_it_takes() {
    let handle: Handle<u32> = Client::current().unwrap().handle(JobId::new());
    assert_delayed(&alert(handle.failure()));
}

#[hereafter::test]
async fn drain_runs_what_is_due_and_what_that_delays() {
    let post = Post::default();
    scope_state(post.clone(), async {
        welcome("ada").delay().await.unwrap();
        assert_eq!(drain().await.done, 1);
        assert_delayed(&send("ada@example.org"));
        assert_eq!(drain().await.done, 0, "it is due in a minute");
        advance(Duration::from_secs(61));
        assert_eq!(drain().await.done, 1);
    })
    .await;
    assert_eq!(post.0.load(Ordering::SeqCst), 1);
}

#[hereafter::test]
async fn a_failing_job_is_retried_as_the_clock_is_moved() {
    let job = send("nobody").retries(1).delay().await.unwrap();
    scope_state(Post::default(), async {
        let drained = drain().await;
        assert_eq!((drained.retried, drained.failed), (1, 0));
        advance(Duration::from_secs(10));
        let drained = drain().await;
        assert_eq!((drained.retried, drained.failed), (0, 1));
    })
    .await;
    let Err(JobError::Failed(failure)) = job.await else { panic!("it did not fail") };
    assert_eq!((failure.attempt, failure.message.as_str()), (2, "`nobody` is no address"));
}

/// The pages of a book.
#[register_task]
fn pages(cx: Context, count: u32) -> impl Stream<Item = u32> {
    stream::iter(1..=count).inspect(move |page| cx.progress(u64::from(*page), count.into()))
}

#[register_task]
fn render(book: String, page: u32) -> String {
    format!("{book} {page}")
}

#[hereafter::test]
async fn a_stream_and_what_follows_its_items_are_drained(client: Client) {
    let book = pages(3).then_each(|page| render("atlas", page)).delay().await.unwrap();
    assert_eq!(drain().await.done, 5, "the stream, its reader, and three pages");
    assert_eq!(book.stream().try_collect::<Vec<_>>().await.unwrap(), [1, 2, 3]);
    let progress = book.progress().try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(progress.last().unwrap().fraction(), Some(1.0));
    let rendered = jobs().into_iter().filter(|job| job.task == render("", 0).task().name);
    assert_eq!(rendered.count(), 3);
    let stats = client.stats().await.unwrap();
    assert_eq!(stats.iter().map(|task| task.done).sum::<u64>(), 5);
}

#[hereafter::test]
async fn state_that_no_scope_provides_is_named_with_the_remedy() {
    let job = send("ada@example.org").retries(0).delay().await.unwrap();
    drain().await;
    let error = job.await.unwrap_err().to_string();
    assert!(error.contains("Post") && error.contains("scope_state"), "{error}");
}

#[hereafter::test]
async fn each_test_has_a_broker_of_its_own(client: Client) {
    assert!(jobs().is_empty());
    send("ada@example.org").delay_on(&client).await.unwrap();
    assert_eq!(jobs().len(), 1);
}

#[hereafter::test]
#[should_panic(expected = "no job of task `testing::send` with arguments {\"address\":\"bob\"}")]
async fn a_missing_job_is_a_failure_that_shows_what_there_is() {
    send("ada").delay().await.unwrap();
    assert_delayed(&send("bob"));
}

#[test]
#[should_panic(expected = "use `#[hereafter::test]`")]
fn outside_of_a_test_client_the_kit_says_what_to_use() {
    refute_delayed(&send("ada"));
}
