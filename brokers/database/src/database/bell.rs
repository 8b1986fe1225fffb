//! [`Bell`]: tells those who wait that something was committed, in this process and in others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::wake::Wake;

/// Rings after commits.
///
/// Other processes are told at most once in [`QUIET`] by each connection that writes: what is
/// committed meanwhile is told together, at the end of it. They are told right after the commit and
/// in the same way there and back, but not in the same transaction: PostgreSQL lets transactions
/// that notify commit one at a time, each with its wait for the disk. Only a statement that is its own
/// transaction [tells them by itself](Notice), if nobody else does at that moment.
#[derive(Debug)]
pub(crate) struct Bell {
    pub(crate) wake: Arc<Wake>,
    /// `None` where others notice by themselves, or do not.
    telling: Option<Telling>,
}

/// How others are told.
#[derive(Debug)]
pub(crate) struct Telling {
    /// The statement that tells of all that anybody may wait for.
    news: Arc<str>,
    /// That of jobs that were stored, which is nothing to those who wait for ends.
    jobs: Arc<str>,
    /// That of what only readers of events and reports want to know.
    readers: Arc<str>,
    /// What a statement that stores jobs tells itself.
    notice: Notice,
    told_at: Option<Instant>,
    untold: Option<Untold>,
}

/// New jobs, told by the statement that stores them.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    pub(crate) channel: Arc<str>,
    pub(crate) text: Arc<str>,
}

impl Telling {
    #[cfg(feature = "postgres")]
    pub(crate) fn of(notify: impl Fn(&str) -> Arc<str>, kinds: Kinds, notice: Notice) -> Self {
        let [news, jobs, readers] = [kinds.news, kinds.jobs, kinds.readers].map(notify);
        Self { news, jobs, readers, notice, told_at: None, untold: None }
    }

    /// Whether nobody was told for a while.
    fn is_time(&self) -> bool {
        self.told_at.is_none_or(|told_at| told_at.elapsed() >= QUIET)
    }
}

/// The words for what is told.
#[cfg(feature = "postgres")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kinds {
    pub(crate) news: &'static str,
    pub(crate) jobs: &'static str,
    pub(crate) readers: &'static str,
}

/// What others were not told yet; each says what those before it say, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Untold {
    ForReaders,
    Jobs,
    News,
}

impl Bell {
    pub(crate) fn new(wake: Arc<Wake>, telling: Option<Telling>) -> Self {
        Self { wake, telling }
    }

    /// News were committed: tells this process, and others when it is time.
    pub(super) fn has_news(&mut self) {
        self.wake.ring();
        self.note(Untold::News);
    }

    /// The same of jobs that were stored, and of nothing else.
    pub(super) fn has_jobs(&mut self) {
        self.wake.ring_for_workers();
        self.note(Untold::Jobs);
    }

    /// What a statement that stores jobs is to tell others; `None` where they are told later, or not.
    pub(super) fn notice(&self) -> Option<Notice> {
        let telling = self.telling.as_ref().filter(|telling| telling.is_time())?;
        // More is to be told, together with that.
        if telling.untold > Some(Untold::Jobs) { None } else { Some(telling.notice.clone()) }
    }

    /// Jobs were stored, and the statement that did it has told others: tells this process.
    pub(super) fn has_told_jobs(&mut self) {
        self.wake.ring_for_workers();
        if let Some(telling) = &mut self.telling {
            telling.untold = None;
            telling.told_at = Some(Instant::now());
        }
    }

    /// What only readers want to know was committed: tells those of this process, and others when it
    /// is time.
    pub(super) fn has_reports(&mut self) {
        self.wake.ring_for_readers();
        self.note(Untold::ForReaders);
    }

    /// Others are to be told of this; `None` where nobody is told.
    fn note(&mut self, untold: Untold) -> Option<&mut Telling> {
        let telling = self.telling.as_mut()?;
        telling.untold = telling.untold.max(Some(untold));
        Some(telling)
    }

    /// How to commit news and tell others, or `None` for a plain commit.
    pub(super) fn commit_with_news(&mut self) -> Option<Arc<str>> {
        self.commit(Untold::News)
    }

    /// The same for what only readers want to know.
    pub(super) fn commit_for_readers(&mut self) -> Option<Arc<str>> {
        self.commit(Untold::ForReaders)
    }

    fn commit(&mut self, untold: Untold) -> Option<Arc<str>> {
        let telling = self.note(untold)?;
        if !telling.is_time() {
            return None;
        }
        self.take().map(|text| format!("COMMIT; {text}").into())
    }

    /// When it is time to tell others of what they were not told yet.
    pub(super) fn wants_to_ring_at(&self) -> Option<Instant> {
        let telling = self.telling.as_ref().filter(|telling| telling.untold.is_some())?;
        Some(telling.told_at.map_or_else(Instant::now, |told_at| told_at + QUIET))
    }

    /// What tells them; it counts as told.
    pub(super) fn take(&mut self) -> Option<Arc<str>> {
        let telling = self.telling.as_mut()?;
        let untold = telling.untold.take()?;
        telling.told_at = Some(Instant::now());
        Some(match untold {
            Untold::News => telling.news.clone(),
            Untold::Jobs => telling.jobs.clone(),
            Untold::ForReaders => telling.readers.clone(),
        })
    }
}

/// How long others are not told again: so much later a job may start at most in a busy system,
/// and an idle one is told at once.
const QUIET: Duration = Duration::from_millis(5);
