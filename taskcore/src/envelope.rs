//! [`Envelope`]: the stored form of a job.
//!
//! One JSON object, version 1:
//!
//! ```json
//! {"hereafter":1,"task":"app::thumbnail","args":{"path":"cat.jpg","width":200}}
//! ```
//!
//! `inputs` says where the arguments come from that other jobs yield:
//!
//! ```json
//! {"hereafter":1,"task":"app::sum","args":{},"inputs":{"parts":{"jobs":["019…","019…"]}}}
//! ```
//!
//! Fields at their default are left out, and unknown ones are passed over, so that a field can
//! be added; whatever would change what runs needs a higher version, and a worker that meets
//! one parks the job and says so. What is written here is read for ever: `tests/envelope.rs`
//! holds the bytes of every version.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::broker::{Keep, Lookup};
use crate::id::JobId;
use crate::options::{CallOptions, TaskOptions};
use crate::payload::Payload;
use crate::retry::{Backoff, RetryPolicy};
use crate::source::{NoArgument, Source};

/// The stored form of a job, less what the broker needs to know itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Envelope<'a> {
    /// The version of this form: 1.
    #[serde(rename = "hereafter")]
    pub version: u32,
    /// The task's name.
    #[serde(borrow)]
    pub task: Cow<'a, str>,
    /// The arguments: one JSON object, keyed by parameter name.
    #[serde(borrow)]
    pub args: &'a RawValue,
    /// Where the arguments come from that other jobs yield, by parameter name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<Cow<'a, str>, Source>,
    /// Attempts after the first one.
    #[serde(default = "default_retries", skip_serializing_if = "is_default_retries")]
    pub retries: u32,
    /// The wait between attempts.
    #[serde(default, skip_serializing_if = "is_default_backoff")]
    pub backoff: Backoff,
    /// How long one attempt may run, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How long the outcome is kept, in milliseconds; 0 is not at all.
    #[serde(default = "default_keep", skip_serializing_if = "is_default_keep")]
    pub keep_ms: u64,
    /// Whether a stream that is made on demand makes all its items, because a job takes the list.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_items: bool,
    /// Free text for middleware and tracing, such as `traceparent`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

impl<'a> Envelope<'a> {
    /// The version that this program writes, and the highest that it reads.
    pub const VERSION: u32 = 1;

    /// Reads stored bytes.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError`] if the bytes are no envelope, or one of a higher version.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        let decoded = serde_json::from_slice::<Self>(bytes);
        let found = match &decoded {
            Ok(envelope) => Some(envelope.version),
            // A later version may have changed anything but its number.
            Err(_) => serde_json::from_slice(bytes).ok().map(|Version { hereafter }| hereafter),
        };
        match found {
            Some(found) if found != Self::VERSION => {
                Err(EnvelopeError::Version { found, supported: Self::VERSION })
            }
            _ => decoded.map_err(|source| EnvelopeError::Foreign { source }),
        }
    }

    /// The bytes to store.
    ///
    /// # Panics
    ///
    /// Never: every field has a JSON form.
    #[must_use]
    pub fn encode(&self) -> Payload {
        let mut bytes = Vec::with_capacity(ROOM + self.args.get().len());
        serde_json::to_writer(&mut bytes, self).expect("texts, numbers and raw JSON always encode");
        bytes.into()
    }

    pub(crate) fn new(
        task: &'a str,
        args: &'a RawValue,
        inputs: BTreeMap<Cow<'a, str>, Source>,
        options: &CallOptions,
        headers: BTreeMap<String, String>,
    ) -> Self {
        Self {
            version: Self::VERSION,
            task: Cow::Borrowed(task),
            args,
            inputs,
            retries: options.retries,
            backoff: options.backoff,
            timeout_ms: options.timeout.map(millis),
            keep_ms: if options.ignore_result { 0 } else { millis(options.keep_result).max(1) },
            all_items: false,
            headers,
        }
    }

    /// The jobs that arguments come from, each once.
    #[must_use]
    pub fn input_jobs(&self) -> Vec<JobId> {
        let mut jobs = Vec::new();
        self.inputs.values().for_each(|source| source.add_jobs(&mut jobs));
        let mut seen = HashSet::with_capacity(jobs.len());
        jobs.retain(|job| seen.insert(*job));
        jobs
    }

    /// All arguments: those that it holds, and those that come from these jobs.
    ///
    /// # Errors
    ///
    /// What keeps an argument from being there.
    pub fn full_args(&self, found: &HashMap<JobId, Lookup>) -> Result<Payload, NoArgument> {
        let mut json = self.args.get().trim_end().as_bytes().to_vec();
        // Generated code writes an object; anything else fits no task, and is refused as it is.
        if json.pop() != Some(b'}') {
            return Ok(self.args.get().as_bytes().to_vec().into());
        }
        // Other programs may write spaces.
        json.truncate(json.trim_ascii_end().len());
        for (name, source) in &self.inputs {
            if json.last() != Some(&b'{') {
                json.push(b',');
            }
            json.extend_from_slice(serde_json::Value::from(&**name).to_string().as_bytes());
            json.push(b':');
            source.write(found, &mut json)?;
        }
        json.push(b'}');
        Ok(json.into())
    }

    /// How often the job is tried.
    #[must_use]
    pub fn retry_policy(&self) -> RetryPolicy {
        RetryPolicy { retries: self.retries, backoff: self.backoff }
    }

    /// How long one attempt may run.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout_ms.map(Duration::from_millis)
    }

    /// What is kept once it is done.
    #[must_use]
    pub fn keep(&self) -> Keep {
        match self.keep_ms {
            0 => Keep::Nothing,
            ms => Keep::For(Duration::from_millis(ms)),
        }
    }
}

/// Bytes that a call with a `traceparent` and else the default options takes beside its
/// arguments, a task's name of 60 bytes counted; more only cost a second allocation.
const ROOM: usize = 192;

/// Bytes in a queue that are not a job of ours.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Some other program wrote them, or they are broken.
    #[error("the stored bytes are not a Hereafter job")]
    Foreign {
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// A newer Hereafter wrote them.
    #[error(
        "the job has envelope version {found} and this worker reads up to {supported}: upgrade the worker, then replay"
    )]
    Version {
        /// The version found.
        found: u32,
        /// The highest that this program reads.
        supported: u32,
    },
}

#[derive(Deserialize)]
struct Version {
    hereafter: u32,
}

fn default_retries() -> u32 {
    RetryPolicy::DEFAULT_RETRIES
}

fn default_keep() -> u64 {
    millis(TaskOptions::KEEP_RESULT)
}

fn is_default_retries(retries: &u32) -> bool {
    *retries == default_retries()
}

fn is_default_backoff(backoff: &Backoff) -> bool {
    *backoff == Backoff::DEFAULT
}

fn is_default_keep(keep: &u64) -> bool {
    *keep == default_keep()
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
