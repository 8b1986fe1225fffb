//! [`Part`]: several messages on their way, waited for with few wakes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};

use futures::future::{MaybeDone, maybe_done};

/// A part of a batch. Its sends are under way together, and are waited for from the last to the first:
/// the server confirms in order, as a rule, so that who waits is woken for the last one alone.
///
/// The client library wakes who waits twice for each message, when it is written and when it is
/// confirmed. From another thread each of these is as dear as sending the message (measured with lapin
/// 4.12: two of five context switches of a process that stores jobs).
pub(crate) struct Part<F: Future> {
    sends: Vec<Pin<Box<MaybeDone<F>>>>,
}

impl<F: Future> Part<F> {
    /// Begins all of them, in order.
    pub(crate) fn begin(sends: impl Iterator<Item = F>) -> Self {
        let mut context = Context::from_waker(Waker::noop());
        let begun = sends.map(|send| {
            let mut send = Box::pin(maybe_done(send));
            // What it comes to is asked in `end`, which waits with a waker.
            let _ = send.as_mut().poll(&mut context);
            send
        });
        Self { sends: begun.collect() }
    }

    /// Waits for all of them; what they came to, in order.
    pub(crate) async fn end(mut self) -> impl Iterator<Item = F::Output> {
        for send in self.sends.iter_mut().rev() {
            send.as_mut().await;
        }
        self.sends.into_iter().filter_map(|mut send| send.as_mut().take_output())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use futures::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn all_are_begun_in_order_and_answer_in_order_whichever_is_done_first() {
        let begun = RefCell::new(Vec::new());
        let (answers, answered): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel()).unzip();
        let send = |(place, answered): (usize, oneshot::Receiver<&'static str>)| {
            let begun = &begun;
            async move {
                begun.borrow_mut().push(place);
                answered.await
            }
        };
        let part = Part::begin(answered.into_iter().enumerate().map(send));
        assert_eq!(*begun.borrow(), [0, 1, 2]);
        let answers: [_; 3] = answers.try_into().unwrap();
        let [first, second, third] = answers;
        second.send("second").unwrap();
        let ends = Cell::new(false);
        let mut end = Box::pin(part.end().inspect(|_| ends.set(true)));
        assert!((&mut end).now_or_never().is_none() && !ends.get());
        third.send("third").unwrap();
        assert!((&mut end).now_or_never().is_none(), "the first is open");
        first.send("first").unwrap();
        let answers = (&mut end).now_or_never().expect("all are done");
        assert_eq!(answers.map(Result::unwrap).collect::<Vec<_>>(), ["first", "second", "third"]);
    }

    #[test]
    fn who_waits_is_woken_by_the_last_and_not_by_the_others() {
        struct Wakes(AtomicU32);
        impl Wake for Wakes {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let wakes = Arc::new(Wakes(AtomicU32::new(0)));
        let waker = Waker::from(wakes.clone());
        let (answers, answered): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel()).unzip();
        let mut end = Box::pin(Part::begin(answered.into_iter()).end());
        let mut context = Context::from_waker(&waker);
        assert!(end.as_mut().poll(&mut context).is_pending());
        let mut seen = Vec::new();
        for answer in answers {
            answer.send(()).unwrap();
            seen.push(wakes.0.load(Ordering::Relaxed));
        }
        assert_eq!(seen, [0, 0, 1]);
        assert!(end.as_mut().poll(&mut context).is_ready());
    }
}
