//! [`Speech`]: what one delivery has said, until the store has it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as Waker, Poll};
use std::time::{Duration, Instant};

use futures::task::AtomicWaker;
use taskcore::broker::{NewItems, NewLine, Progress, Receipt, Report};
use taskcore::{JobId, OnDemand, Outlet, Payload, Raised, Voice};
use tokio::sync::Notify;

use crate::reporter::Desk;

/// What one delivery has said, until the store has it.
pub(crate) struct Speech {
    pub(crate) job: JobId,
    pub(crate) receipt: Receipt,
    desk: Arc<Desk>,
    said: Mutex<Said>,
    /// Wakes the task when its next item is wanted.
    room: AtomicWaker,
    /// Rings when a report has been sent.
    sent: Notify,
}

#[derive(Default)]
struct Said {
    progress: Progress,
    has_progress: bool,
    lines: Vec<(Instant, String)>,
    lines_written: usize,
    lines_refused: usize,
    items: Vec<Payload>,
    item_bytes: usize,
    /// The index of the first of `items`.
    first: u64,
    /// The store does not know yet that a stream begins.
    opens: bool,
    has_stream: bool,
    demand: Option<Wanted>,
    listed: Option<Urgency>,
    /// A report is on its way.
    is_sending: bool,
    /// The delivery is no longer this worker's: nobody takes its reports.
    is_lost: bool,
    /// Its run has ended: what is said after that is not heard.
    is_over: bool,
}

/// What the readers of a stream want.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    options: OnDemand,
    /// The items below this index; 0 before the first reader.
    until: u64,
    /// The task waits for a reader.
    is_waiting: bool,
}

/// How long a report may wait for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// A few are written each second.
    Patient,
    /// Somebody waits for it.
    Urgent,
}

/// Lines that a delivery may write.
const LINES: usize = 1_000;

/// The longest line, and the longest message, in bytes.
const LINE_BYTES: usize = 4 * 1024;

/// Items that wait for the store; more than these, and the task waits.
const ITEMS: usize = 1_000;

/// Bytes of items that wait for the store.
const ITEM_BYTES: usize = 256 * 1024;

impl Speech {
    pub(crate) fn new(job: JobId, receipt: Receipt, desk: Arc<Desk>) -> Arc<Self> {
        let (room, sent) = (AtomicWaker::new(), Notify::new());
        Arc::new(Self { job, receipt, desk, said: Mutex::default(), room, sent })
    }

    /// Changes what is said, and lists it for the next report.
    fn say(self: &Arc<Self>, urgency: Urgency, change: impl FnOnce(&mut Said)) {
        let mut said = self.lock();
        if said.is_lost || said.is_over {
            return;
        }
        change(&mut said);
        self.list(said, urgency);
    }

    /// Lists what was said for the next report.
    fn list(self: &Arc<Self>, mut said: MutexGuard<'_, Said>, urgency: Urgency) {
        // While one report is on its way, what is said makes the next.
        let is_new = said.listed < Some(urgency);
        if is_new {
            said.listed = Some(urgency);
        }
        let is_sending = said.is_sending;
        drop(said);
        if is_new && !is_sending {
            self.desk.add(self.clone(), urgency);
        }
    }

    /// The next report; `None` if there is nothing to say.
    pub(crate) fn take(&self) -> Option<Report> {
        let mut said = self.lock();
        if said.is_sending {
            // What is listed meanwhile is listed again when this one is sent.
            return None;
        }
        said.listed = None;
        if !said.has_news() {
            return None;
        }
        said.is_sending = true;
        let now = Instant::now();
        let age = |at: Instant| now.saturating_duration_since(at);
        let lines = std::mem::take(&mut said.lines);
        let log = lines.into_iter().map(|(at, text)| NewLine { age: age(at), text }).collect();
        let progress = std::mem::take(&mut said.has_progress).then(|| said.progress.clone());
        let opens = std::mem::take(&mut said.opens);
        let items = std::mem::take(&mut said.items);
        said.item_bytes = 0;
        let first = said.first;
        said.first += items.len() as u64;
        let items = (opens || !items.is_empty()).then_some(NewItems { first, items });
        Some(Report { job: self.job, receipt: self.receipt.clone(), progress, log, items })
    }

    /// Notes that the store has the report, or will never take one.
    pub(crate) fn sent(self: &Arc<Self>, is_lost: bool) {
        let mut said = self.lock();
        said.is_sending = false;
        if is_lost {
            let Said { has_stream, demand, .. } = *said;
            *said = Said { is_lost: true, has_stream, demand, ..Said::default() };
        }
        let listed = said.listed;
        drop(said);
        if let Some(urgency) = listed {
            self.desk.add(self.clone(), urgency);
        }
        self.room.wake();
        self.sent.notify_waiters();
    }

    /// Waits until the store has all that was said so far; what is said from now on, by a function
    /// that goes on after its verdict, is not heard.
    pub(crate) async fn flush(self: &Arc<Self>) {
        loop {
            let sent = self.sent.notified();
            tokio::pin!(sent);
            sent.as_mut().enable();
            {
                let mut said = self.lock();
                said.is_over = true;
                if said.is_silent() {
                    return;
                }
                if said.lines_refused > 0 {
                    let text = format!("{} more lines were not kept", said.lines_refused);
                    said.lines_refused = 0;
                    said.lines.push((Instant::now(), text));
                }
                self.list(said, Urgency::Urgent);
            }
            sent.await;
        }
    }

    /// Whether the store does not have all items of its stream.
    pub(crate) fn lacks_items(&self) -> bool {
        let said = self.lock();
        said.has_stream && (said.is_lost || !said.is_silent())
    }

    /// A place for the items of its stream, which begins now.
    pub(crate) fn outlet(
        self: &Arc<Self>,
        demand: Option<OnDemand>,
        item_limit: usize,
    ) -> Publisher {
        self.say(Urgency::Urgent, |said| {
            (said.opens, said.has_stream) = (true, true);
            said.demand = demand.map(|options| Wanted { options, until: 0, is_waiting: false });
        });
        Publisher { speech: self.clone(), item_limit }
    }

    /// Notes what readers want; answers whether its task has waited for one for too long.
    pub(crate) fn want(&self, until: u64, idle: Duration) -> bool {
        let mut said = self.lock();
        let Some(wanted) = &mut said.demand else { return false };
        if until > wanted.until {
            wanted.until = until;
            wanted.is_waiting = false;
            drop(said);
            self.room.wake();
            return false;
        }
        wanted.is_waiting && idle >= wanted.options.patience
    }

    /// What readers are known to want; `None` if it is not made on demand.
    pub(crate) fn wanted(&self) -> Option<(u64, OnDemand)> {
        self.lock().demand.map(|wanted| (wanted.until, wanted.options))
    }

    fn poll_room(&self, waker: &mut Waker<'_>) -> Poll<()> {
        // First, because a report may be sent in between.
        self.room.register(waker.waker());
        let mut said = self.lock();
        let is_full = said.items.len() >= ITEMS || said.item_bytes >= ITEM_BYTES;
        let next = said.first + said.items.len() as u64;
        if let Some(wanted) = &mut said.demand {
            let ahead = wanted.until.saturating_add(u64::from(wanted.options.window));
            wanted.is_waiting = wanted.until == 0 || next >= ahead;
            if wanted.is_waiting {
                return Poll::Pending;
            }
        }
        // Nobody takes items of a lost delivery, whose task is told to stop.
        if is_full || said.is_lost { Poll::Pending } else { Poll::Ready(()) }
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Said {
    /// Nothing is left to be sent.
    fn is_silent(&self) -> bool {
        self.is_lost || !(self.has_news() || self.is_sending || self.lines_refused > 0)
    }

    fn has_news(&self) -> bool {
        self.has_progress || self.opens || !self.lines.is_empty() || !self.items.is_empty()
    }
}

impl Voice for Speech {
    fn progress(self: Arc<Self>, done: u64, total: u64) {
        self.say(Urgency::Patient, |said| {
            (said.progress.done, said.progress.total) = (done, total);
            said.has_progress = true;
        });
    }

    fn message(self: Arc<Self>, text: String) {
        self.say(Urgency::Patient, |said| {
            said.progress.message = cut(text);
            said.has_progress = true;
        });
    }

    fn log(self: Arc<Self>, line: String) {
        self.say(Urgency::Patient, |said| {
            if said.lines_written == LINES {
                said.lines_refused += 1;
                return;
            }
            said.lines_written += 1;
            said.lines.push((Instant::now(), cut(line)));
        });
    }
}

impl fmt::Debug for Speech {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Speech({})", self.job)
    }
}

fn cut(mut text: String) -> String {
    if text.len() > LINE_BYTES {
        text.truncate(text.floor_char_boundary(LINE_BYTES));
        text.push('…');
    }
    text
}

/// Takes the items of a task's stream.
pub(crate) struct Publisher {
    speech: Arc<Speech>,
    /// The longest item, in bytes.
    item_limit: usize,
}

impl Outlet<Payload> for Publisher {
    fn poll_room(&mut self, waker: &mut Waker<'_>) -> Poll<()> {
        self.speech.poll_room(waker)
    }

    fn put(&mut self, item: Payload) -> Result<(), Raised> {
        let (size, limit) = (item.len(), self.item_limit);
        if size > limit {
            let message = format!(
                "an item of the stream has {size} bytes and the limit is {limit}: store it elsewhere and yield a reference"
            );
            return Err(Raised::of_result(message));
        }
        self.speech.say(Urgency::Urgent, |said| {
            said.item_bytes += size;
            said.items.push(item);
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn who_goes_on_talking_does_not_hold_up_the_verdict() {
        let receipt = Receipt::new(b"receipt".to_vec());
        let speech = Speech::new(JobId::new(), receipt, Arc::default());
        speech.clone().progress(1, 0);
        let mut flush = Box::pin(speech.flush());
        assert!(flush.as_mut().now_or_never().is_none(), "there is something to write");
        assert!(speech.take().is_some());
        speech.clone().progress(2, 0);
        speech.clone().log("late".to_owned());
        speech.sent(false);
        assert!(flush.as_mut().now_or_never().is_some(), "all that counts is written");
        assert!(speech.take().is_none(), "what came after the end is not heard");
    }
}
