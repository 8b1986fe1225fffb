//! Calls inside of calls: whether a stored job is the one that a call would make, and how both
//! read.

use std::borrow::Cow;
use std::collections::HashMap;

use taskcore::broker::{JobRecord, NewJob};
use taskcore::{Envelope, JobId, Payload, Source};

/// Jobs by id, with what they carry.
pub(super) struct Expressions<'a>(HashMap<JobId, &'a Payload>);

/// The most bytes of a text.
const TEXT: usize = 2_000;

/// The most calls inside of each other that a text shows.
const DEPTH: usize = 50;

impl<'a> Expressions<'a> {
    /// Those of a call that is not delayed.
    pub(super) fn planned(jobs: &'a [NewJob]) -> Self {
        Self(jobs.iter().map(|job| (job.id, &job.envelope)).collect())
    }

    /// Those that are.
    pub(super) fn stored(jobs: &'a [JobRecord]) -> Self {
        Self(jobs.iter().map(|job| (job.id, &job.envelope)).collect())
    }

    fn envelope(&self, job: JobId) -> Option<Envelope<'_>> {
        self.0.get(&job).and_then(|bytes| Envelope::decode(bytes.as_slice()).ok())
    }

    /// Whether the job `wanted` of this call is the job `found`: of one task, with the same
    /// values, and with inputs of which the same holds. A handle in the call means that job.
    pub(super) fn is_found(&self, wanted: JobId, stored: &Self, found: JobId) -> bool {
        let mut pairs = Pairs { open: Vec::new(), found: HashMap::new(), wanted: HashMap::new() };
        if !pairs.join(wanted, found) {
            return false;
        }
        while let Some((wanted, found)) = pairs.open.pop() {
            if !self.0.contains_key(&wanted) {
                // A handle, and so a job that is stored.
                if wanted == found {
                    continue;
                }
                return false;
            }
            let (Some(wanted), Some(found)) = (self.envelope(wanted), stored.envelope(found))
            else {
                return false;
            };
            let is_same = wanted.task == found.task
                && wanted.args.get() == found.args.get()
                && wanted.inputs.keys().eq(found.inputs.keys())
                && wanted.inputs.values().zip(found.inputs.values()).all(|(a, b)| pairs.fit(a, b));
            if !is_same {
                return false;
            }
        }
        true
    }

    /// The arguments of a job; those of planned ones may be handles of jobs among `others`.
    pub(super) fn args_text(&self, job: JobId, others: &Self) -> String {
        let mut text = Text {
            jobs: [self, others],
            text: String::new(),
            places: HashMap::new(),
            again: Vec::new(),
        };
        match text.envelope(job) {
            Some(envelope) => text.args(&envelope, DEPTH),
            None => "bytes that are no job of ours".clone_into(&mut text.text),
        }
        text.numbered()
    }
}

/// Jobs that must be the same: each one of a call is one that is stored, and the other way round.
struct Pairs {
    open: Vec<(JobId, JobId)>,
    found: HashMap<JobId, JobId>,
    wanted: HashMap<JobId, JobId>,
}

impl Pairs {
    /// False if one of them is another's already.
    fn join(&mut self, wanted: JobId, found: JobId) -> bool {
        let known = (self.found.insert(wanted, found), self.wanted.insert(found, wanted));
        match known {
            (None, None) => {
                self.open.push((wanted, found));
                true
            }
            known => known == (Some(found), Some(wanted)),
        }
    }

    fn fit(&mut self, wanted: &Source, found: &Source) -> bool {
        match (wanted, found) {
            (Source::Job(wanted), Source::Job(found))
            | (Source::Failure(wanted), Source::Failure(found)) => self.join(*wanted, *found),
            (Source::Jobs(wanted), Source::Jobs(found)) => {
                wanted.len() == found.len()
                    && wanted.iter().zip(found).all(|(wanted, found)| self.join(*wanted, *found))
            }
            (Source::List(wanted), Source::List(found)) => {
                wanted.len() == found.len()
                    && wanted.iter().zip(found).all(|(wanted, found)| self.fit(wanted, found))
            }
            // The order of the pairs of a map means nothing.
            (Source::Map(wanted), Source::Map(found)) => {
                let of_key = |key: &str| found.iter().find(|(found, _)| found == key);
                wanted.len() == found.len()
                    && wanted.iter().all(|(key, wanted)| {
                        of_key(key).is_some_and(|(_, found)| self.fit(wanted, found))
                    })
            }
            (Source::Try(wanted), Source::Try(found)) => self.fit(wanted, found),
            (Source::Value(wanted), Source::Value(found)) => wanted.get() == found.get(),
            (Source::Error(wanted), Source::Error(found)) => wanted == found,
            _ => false,
        }
    }
}

/// Arguments as text: JSON, with the calls in it written as `task{arguments}`, which no JSON is.
struct Text<'a> {
    jobs: [&'a Expressions<'a>; 2],
    text: String,
    /// Where jobs are in the text.
    places: HashMap<JobId, usize>,
    /// Those that are needed again, which is written as `#1` for the first of these and so on.
    again: Vec<JobId>,
}

impl<'a> Text<'a> {
    fn envelope(&self, job: JobId) -> Option<Envelope<'a>> {
        self.jobs.iter().find_map(|jobs| jobs.envelope(job))
    }

    /// The text, with `#1=` before the job that `#1` means.
    fn numbered(self) -> String {
        let Self { mut text, places, again, .. } = self;
        let mut marks: Vec<_> = (1..).zip(&again).map(|(n, job)| (places[job], n)).collect();
        // From the end, so that the places before stay where they are.
        marks.sort_unstable();
        marks.iter().rev().for_each(|(place, n)| text.insert_str(*place, &format!("#{n}=")));
        text
    }

    fn args(&mut self, envelope: &Envelope<'_>, depth: usize) {
        let args = envelope.args.get().trim_end();
        let open = args.strip_suffix('}').filter(|_| !envelope.inputs.is_empty());
        let Some(open) = open else { return self.text.push_str(args) };
        self.text.push_str(open);
        let mut is_first = open.ends_with('{');
        for (name, source) in &envelope.inputs {
            self.text.push_str(if is_first { "" } else { "," });
            is_first = false;
            self.text += &format!("{name:?}:");
            self.source(source, depth);
        }
        self.text.push('}');
    }

    fn source(&mut self, source: &Source, depth: usize) {
        match source {
            Source::Job(job) => self.job(*job, depth),
            Source::Jobs(jobs) => self.list(jobs, |this, job| this.job(*job, depth)),
            Source::List(sources) => self.list(sources, |this, it| this.source(it, depth)),
            Source::Map(pairs) => self.list(pairs, |this, (key, source)| {
                this.text += &format!("{key:?}:");
                this.source(source, depth);
            }),
            Source::Try(source) => {
                self.text.push_str("try ");
                self.source(source, depth);
            }
            Source::Failure(job) => {
                self.text.push_str("failure of ");
                self.job(*job, depth);
            }
            Source::Value(value) => self.text.push_str(value.get()),
            Source::Error(error) => self.text += &format!("error {:?}", error.to_string()),
            _ => self.text.push('?'),
        }
    }

    fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.text.push('[');
        for (index, item) in items.iter().enumerate() {
            self.text.push_str(if index > 0 { "," } else { "" });
            if self.text.len() > TEXT {
                self.text += &format!("… {} more", items.len() - index);
                break;
            }
            write(self, item);
        }
        self.text.push(']');
    }

    fn job(&mut self, job: JobId, depth: usize) {
        if self.places.contains_key(&job) {
            let known = self.again.iter().position(|again| *again == job);
            let index = known.unwrap_or_else(|| {
                self.again.push(job);
                self.again.len() - 1
            });
            self.text += &format!("#{}", index + 1);
            return;
        }
        self.places.insert(job, self.text.len());
        match self.envelope(job) {
            None => self.text += &format!("job {job}"),
            Some(envelope) => {
                self.text.push_str(&name(&envelope.task));
                match depth {
                    0 => self.text.push_str("{…}"),
                    depth => self.args(&envelope, depth - 1),
                }
            }
        }
    }
}

/// A task's name, quoted if it could be read as anything else.
fn name(task: &str) -> Cow<'_, str> {
    let is_plain = |letter: char| letter.is_alphanumeric() || "_:.-".contains(letter);
    if task.chars().all(is_plain) { Cow::Borrowed(task) } else { Cow::Owned(format!("{task:?}")) }
}
