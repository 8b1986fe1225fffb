//! Fuzz targets: all that reads what another program may have written.
//!
//! As tests they take the corpora beside this file, then random inputs for a while; `tests/fuzz` runs
//! them for long, led by what the inputs reach.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{Debug, Display};
use std::hash::{DefaultHasher, Hasher};
use std::str::FromStr;
use std::time::Duration;

use bolero::check;
use jiff::Timestamp;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::broker::millis::timestamp;
use crate::broker::{EventId, JobState, Lookup, Outcome};
use crate::schedule::Spec;
use crate::{
    Codec, Envelope, Failure, JobError, JobId, Json, Payload, Priority, QueueName, TraceParent,
};

/// How long a target runs as a test, after its corpus.
const AS_TEST: Duration = Duration::from_secs(2);

/// Whatever becomes of its inputs, a stored job is refused with a reason or has arguments that are JSON.
#[test]
fn envelope() {
    check!(name = "envelope").with_test_time(AS_TEST).for_each(|bytes: &[u8]| {
        let Ok(envelope) = Envelope::decode(bytes) else { return };
        let written = envelope.encode();
        let again = Envelope::decode(written.as_slice()).expect("what is written can be read");
        assert_eq!(again.encode(), written);
        let inputs = envelope.input_jobs();
        let found: HashMap<JobId, Lookup> =
            inputs.into_iter().map(|job| (job, some_outcome(job))).collect();
        if let Ok(args) = envelope.full_args(&found) {
            let args = serde_json::from_slice::<IgnoredAny>(args.as_slice());
            args.expect("arguments are JSON");
        }
        let policy = envelope.retry_policy();
        for failures in [0, 1, policy.retries, u32::MAX] {
            let wait = policy.next(failures, &mut StdRng::seed_from_u64(1));
            assert_eq!(wait.is_some(), failures <= policy.retries);
        }
        let _ = (envelope.timeout(), envelope.keep());
    });
}

/// One of all that may be known of a job.
fn some_outcome(job: JobId) -> Lookup {
    let (state, result) = match job.as_bytes()[0] % 6 {
        0 => (JobState::Done, Some(Payload::from(b"{\"a\":[1]}".to_vec()))),
        1 => (JobState::Done, None),
        2 => (JobState::Failed, None),
        3 => (JobState::Cancelled, None),
        4 => return Lookup::Pending(JobState::Running),
        _ => return Lookup::Unknown,
    };
    let task = "fuzz::input".to_owned();
    let finished_at = Timestamp::UNIX_EPOCH;
    Lookup::Final(Box::new(Outcome { job, task, state, result, failure: None, finished_at }))
}

/// A value that was read is written so that the same is read again.
#[test]
fn codec() {
    check!(name = "codec").with_test_time(AS_TEST).for_each(|bytes: &[u8]| {
        if let Ok(value) = Json::decode::<Value>(bytes) {
            let written = Json::encode(&value).expect("what was read can be written");
            assert_eq!(Json::decode::<Value>(written.as_slice()).unwrap(), value);
        }
        read::<Vec<f64>>(bytes);
        read::<BTreeMap<String, Option<i128>>>(bytes);
        read::<Result<(char, String), JobError>>(bytes);
        read::<Failure>(bytes);
        let payload = Payload::from(bytes.to_vec());
        if let Some((job, count)) = payload.stream() {
            let again = Payload::of_stream(job, count);
            assert_eq!(again.stream(), Some((job, count)));
        }
    });
}

fn read<T: DeserializeOwned + serde::Serialize>(bytes: &[u8]) {
    let Ok(value) = Json::decode::<T>(bytes) else { return };
    let written = Json::encode(&value).expect("what was read can be written");
    let again: T = Json::decode(written.as_slice()).expect("what is written can be read");
    assert_eq!(Json::encode(&again).unwrap(), written);
}

/// Names and numbers in headers, columns and on command lines.
#[test]
fn names() {
    check!(name = "names").with_test_time(AS_TEST).for_each(|bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        is_same_again::<JobId>(text);
        is_same_again::<QueueName>(text);
        is_same_again::<TraceParent>(text);
        is_same_again::<JobState>(text);
        is_same_again::<EventId>(text);
        if let Ok(priority) = text.parse() {
            let _ = Priority::new(priority);
        }
    });
}

fn is_same_again<T>(text: &str)
where
    T: FromStr<Err: Display> + Display + PartialEq + Debug,
{
    match text.parse::<T>() {
        Ok(value) => {
            let again = value.to_string().parse::<T>().ok();
            assert_eq!(again.as_ref(), Some(&value), "{text:?} became {value}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Ticks of any schedule that is stored only move on, whatever the time.
#[test]
fn schedule() {
    check!(name = "schedule").with_test_time(AS_TEST).for_each(|bytes: &[u8]| {
        let Some((time, text)) = bytes.split_first_chunk() else { return };
        let Ok(text) = std::str::from_utf8(text) else { return };
        if let Ok(spec) = Spec::decode(text) {
            assert_eq!(Spec::decode(&spec.encode()).unwrap().encode(), spec.encode());
            check_ticks(&spec, timestamp(i64::from_be_bytes(*time)));
        }
    });
}

/// As [`schedule`], with cron expressions alone: all are read, and the ticks of one in 64 are looked at.
#[test]
fn cron() {
    const ZONES: [Option<&str>; 5] =
        [None, Some("Europe/Berlin"), Some("Pacific/Apia"), Some("Australia/Lord_Howe"), Some("?")];
    check!(name = "cron").with_test_time(AS_TEST).for_each(|bytes: &[u8]| {
        let Some(([byte, seconds @ ..], text)) = bytes.split_first_chunk::<5>() else { return };
        let Ok(text) = std::str::from_utf8(text) else { return };
        let zone = ZONES[usize::from(*byte) % ZONES.len()];
        let ticks = crate::schedule::Ticks::Cron { expression: text, zone };
        let Ok(spec) = Spec::new(ticks, Default::default(), Default::default()) else { return };
        // To find a rare date takes croner many times as long as to read it. Which inputs are asked for theirs
        // is nothing that a fuzzer can learn, or it would come to take no others.
        let mut hash = DefaultHasher::new();
        hash.write(bytes);
        if hash.finish().is_multiple_of(64) {
            check_ticks(&spec, timestamp(1_000 * i64::from(u32::from_be_bytes(*seconds))));
        }
    });
}

fn check_ticks(spec: &Spec, now: Timestamp) {
    assert!(!spec.described().is_empty());
    let Some(first) = spec.first(now) else { return };
    assert!(first >= now, "{first} is before {now}");
    let Some(second) = spec.following(first) else { return };
    assert!(second > first, "{second} follows {first}");
    assert_eq!(spec.latest(first, first), first);
    let latest = spec.latest(first, second);
    assert!(latest == second, "{latest} is the latest of {first} and {second} at {second}");
    if let Some(after) = spec.after(first, second) {
        assert!(after > second, "{after} is after {second}");
    }
}
