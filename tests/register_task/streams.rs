//! Tasks that return streams, run here.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::stream::{self, BoxStream, Stream, StreamExt};
use hereafter::{OnDemand, StreamOptions};

use super::*;

#[register_task]
fn numbers(count: u64) -> impl Stream<Item = u64> {
    stream::iter(0..count)
}

#[register_task]
async fn numbers_async(count: u64) -> impl Stream<Item = u64> + Send {
    tokio::task::yield_now().await;
    stream::iter(0..count)
}

#[register_task]
fn boxed(count: u64) -> BoxStream<'static, u64> {
    stream::iter(0..count).boxed()
}

#[register_task]
fn pinned(count: u64) -> Pin<Box<dyn Stream<Item = u64> + Send>> {
    Box::pin(stream::iter(0..count))
}

/// Its stream borrows from its arguments and its state.
#[register_task]
fn words(State(store): State<Store>, text: &str) -> impl Stream<Item = String> {
    let head = store.0.to_owned();
    stream::iter(text.split(' ')).map(move |word| format!("{head}{word}"))
}

#[register_task]
fn parsed(texts: Vec<String>) -> impl Stream<Item = Result<i64, std::num::ParseIntError>> {
    stream::iter(texts).map(|text| text.parse())
}

#[register_task(on_demand, window = 3, patience = "30s")]
fn lazy() -> impl Stream<Item = u8> {
    stream::empty()
}

#[register_task(on_demand)]
fn lazy_by_default() -> impl Stream<Item = u8> {
    stream::empty()
}

static MADE: AtomicU64 = AtomicU64::new(0);

#[register_task]
fn endless() -> impl Stream<Item = u64> {
    stream::iter(0..).inspect(|_| {
        MADE.fetch_add(1, Ordering::SeqCst);
    })
}

#[register_task]
fn list() -> Vec<u8> {
    vec![3, 4]
}

#[register_task]
fn sum(numbers: Vec<u64>) -> u64 {
    numbers.iter().sum()
}

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Book {
    pages: u32,
}

#[register_task]
impl Book {
    #[task]
    fn pages(&self) -> impl Stream<Item = u32> {
        stream::iter(1..=self.pages)
    }
}

#[tokio::test]
async fn awaited_a_stream_is_the_list_of_its_items() {
    let expected: Vec<u64> = (0..4).collect();
    assert_eq!(numbers(4).await, expected);
    assert_eq!(numbers_async(4).await, expected);
    assert_eq!(boxed(4).await, expected);
    assert_eq!(pinned(4).await, expected);
    assert_eq!(words("a b").with(Store("-")).await, ["-a", "-b"]);
    assert_eq!(Book { pages: 2 }.pages().await, [1, 2]);
}

#[tokio::test]
async fn awaited_a_stream_of_results_is_a_result() {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    assert_eq!(parsed(texts(&["1", "2"])).await.unwrap(), [1, 2]);
    assert!(parsed(texts(&["1", "x", "2"])).await.is_err());
}

#[tokio::test]
async fn a_stream_is_an_argument_where_a_list_is_one() {
    assert_eq!(sum(numbers(5)).await.unwrap(), 10);
    let error = sum(numbers(5).erase()).await;
    assert_eq!(error.unwrap(), 10);
}

#[tokio::test]
async fn a_stream_runs_here_item_by_item() {
    let mut items = endless().stream();
    assert_eq!(items.next().await, Some(Ok(0)));
    assert_eq!(items.next().await, Some(Ok(1)));
    assert_eq!(MADE.load(Ordering::SeqCst), 2, "nothing is made before it is asked for");
    let erased: Vec<_> = numbers(3).erase().stream().collect().await;
    assert_eq!(erased, [Ok(0), Ok(1), Ok(2)]);
    let texts = ["1", "x", "2"].map(str::to_owned).to_vec();
    let read: Vec<_> = parsed(texts).stream().collect().await;
    assert_eq!((read.len(), &read[0]), (2, &Ok(1)));
    let error = read[1].as_ref().unwrap_err();
    assert_eq!(error.failure().unwrap().message, "invalid digit found in string");
    let listed: Vec<_> = list().stream().collect().await;
    assert_eq!(listed, [Ok(3), Ok(4)]);
}

#[tokio::test]
async fn eager_a_stream_is_all_there() {
    let client = Client::eager();
    client
        .scope(async {
            let handle = numbers(3).delay().await.unwrap();
            let read: Vec<_> = handle.stream().map(Result::unwrap).collect().await;
            assert_eq!(read, [0, 1, 2]);
            assert_eq!(sum(numbers(4)).delay().await.unwrap().await.unwrap(), 6);
        })
        .await;
}

#[test]
fn the_options_say_how_far_a_stream_goes_ahead() {
    assert_eq!(numbers(0).task().stream, Some(StreamOptions { on_demand: None }));
    assert_eq!(sum(vec![]).task().stream, None);
    let options = OnDemand { window: 3, patience: Duration::from_secs(30) };
    assert_eq!(lazy().task().stream, Some(StreamOptions { on_demand: Some(options) }));
    let options = StreamOptions { on_demand: Some(OnDemand::DEFAULT) };
    assert_eq!(lazy_by_default().task().stream, Some(options));
}
