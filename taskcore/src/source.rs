//! [`Source`]: where a job gets an argument from.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::broker::Lookup;
use crate::error::JobError;
use crate::follow::did_not_fail;
use crate::id::JobId;

/// Where a job gets an argument from, in its envelope.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Source {
    /// The result of this job.
    Job(JobId),
    /// The results of these jobs, in order: an array.
    Jobs(Vec<JobId>),
    /// These, in order: an array.
    List(Vec<Self>),
    /// These, by key: an object.
    Map(Vec<(String, Self)>),
    /// This as a `Result<T, JobError>`.
    Try(Box<Self>),
    /// The failure of this job; without one, there is nothing to run.
    Failure(JobId),
    /// This value, known when the job was made.
    Value(Box<RawValue>),
    /// Nothing: this was known when the job was made.
    Error(Box<JobError>),
}

impl Source {
    /// Those of the sources, joined; shorter where they are jobs alone.
    pub(crate) fn list(sources: Vec<Self>) -> Self {
        let jobs: Option<Vec<JobId>> = sources
            .iter()
            .map(|source| match source {
                Self::Job(job) => Some(*job),
                _ => None,
            })
            .collect();
        jobs.map_or(Self::List(sources), Self::Jobs)
    }

    /// The jobs that it names, in order, each as often as it is named.
    pub(crate) fn add_jobs(&self, jobs: &mut Vec<JobId>) {
        match self {
            Self::Job(job) | Self::Failure(job) => jobs.push(*job),
            Self::Jobs(several) => jobs.extend(several),
            Self::List(sources) => sources.iter().for_each(|source| source.add_jobs(jobs)),
            Self::Map(pairs) => pairs.iter().for_each(|(_, source)| source.add_jobs(jobs)),
            Self::Try(source) => source.add_jobs(jobs),
            Self::Value(_) | Self::Error(_) => {}
        }
    }

    /// Writes the argument.
    ///
    /// # Errors
    ///
    /// What keeps one of the jobs from having a result; then what was written is no JSON.
    pub(crate) fn write(
        &self,
        found: &HashMap<JobId, Lookup>,
        json: &mut Vec<u8>,
    ) -> Result<(), NoArgument> {
        match self {
            Self::Job(job) => Ok(write_result(*job, found.get(job), json)?),
            Self::Jobs(jobs) => {
                write_array(jobs, json, |job, json| Ok(write_result(*job, found.get(job), json)?))
            }
            Self::List(sources) => {
                write_array(sources, json, |source, json| source.write(found, json))
            }
            Self::Map(pairs) => {
                json.push(b'{');
                for (index, (key, source)) in pairs.iter().enumerate() {
                    if index > 0 {
                        json.push(b',');
                    }
                    write_plain(key, json);
                    json.push(b':');
                    source.write(found, json)?;
                }
                json.push(b'}');
                Ok(())
            }
            Self::Try(source) => {
                let start = json.len();
                json.extend_from_slice(br#"{"Ok":"#);
                if let Err(missing) = source.write(found, json) {
                    json.truncate(start);
                    json.extend_from_slice(br#"{"Err":"#);
                    write_plain(&missing.into_error(), json);
                }
                json.push(b'}');
                Ok(())
            }
            Self::Value(value) => {
                json.extend_from_slice(value.get().as_bytes());
                Ok(())
            }
            Self::Failure(job) => {
                let start = json.len();
                let Err(error) = write_result(*job, found.get(job), json) else {
                    json.truncate(start);
                    return Err(NoArgument::NoFailure(*job));
                };
                write_plain(&error, json);
                Ok(())
            }
            Self::Error(error) => Err(NoArgument::Failed((**error).clone())),
        }
    }
}

/// Why an argument cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoArgument {
    /// An input has no result.
    Failed(JobError),
    /// This job was to have failed, and did not: there is nothing to run.
    NoFailure(JobId),
}

impl NoArgument {
    fn into_error(self) -> JobError {
        match self {
            Self::Failed(error) => error,
            Self::NoFailure(job) => did_not_fail(job),
        }
    }
}

impl From<JobError> for NoArgument {
    fn from(error: JobError) -> Self {
        Self::Failed(error)
    }
}

fn write_result(job: JobId, found: Option<&Lookup>, json: &mut Vec<u8>) -> Result<(), JobError> {
    let outcome = match found {
        Some(Lookup::Final(outcome)) => outcome,
        Some(Lookup::Pending(state)) => {
            let reason = format!("it is {state}: it was replayed after it had ended");
            return Err(JobError::NotKept { job, reason });
        }
        Some(Lookup::Unknown) | None => return Err(JobError::unknown(job)),
    };
    if let Some(error) = outcome.error() {
        return Err(error);
    }
    // A task that returns `()` stores no result, and JSON's form of `()` is `null`.
    json.extend_from_slice(outcome.result.as_ref().map_or(b"null", |result| result.as_slice()));
    Ok(())
}

fn write_array<T>(
    items: &[T],
    json: &mut Vec<u8>,
    mut write: impl FnMut(&T, &mut Vec<u8>) -> Result<(), NoArgument>,
) -> Result<(), NoArgument> {
    json.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        write(item, json)?;
    }
    json.push(b']');
    Ok(())
}

fn write_plain<T: Serialize>(value: &T, json: &mut Vec<u8>) {
    serde_json::to_writer(json, value).expect("texts and errors are plain data");
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::broker::{JobState, Outcome};
    use crate::payload::Payload;

    fn ended(state: JobState, result: Option<&str>) -> (JobId, Lookup) {
        let job = JobId::new();
        let outcome = Outcome {
            job,
            task: "app::count".to_owned(),
            state,
            result: result.map(|text| Payload::from(text.as_bytes().to_vec())),
            failure: None,
            finished_at: Timestamp::UNIX_EPOCH,
        };
        (job, Lookup::Final(Box::new(outcome)))
    }

    fn written(source: &Source, found: &HashMap<JobId, Lookup>) -> Result<String, NoArgument> {
        let mut json = Vec::new();
        source.write(found, &mut json).map(|()| String::from_utf8(json).unwrap())
    }

    #[test]
    fn results_are_written_where_the_source_names_their_jobs() {
        let (one, two) = (ended(JobState::Done, Some("1")), ended(JobState::Done, None));
        let (first, second) = (one.0, two.0);
        let found = HashMap::from([one, two]);
        assert_eq!(
            written(&Source::Jobs(vec![first, second, first]), &found).unwrap(),
            "[1,null,1]"
        );
        let nested = Source::list(vec![
            Source::list(vec![Source::Job(first)]),
            Source::Try(Box::new(Source::Job(second))),
        ]);
        assert_eq!(written(&nested, &found).unwrap(), r#"[[1],{"Ok":null}]"#);
        let map = Source::Map(vec![("a\"".to_owned(), Source::Job(first))]);
        assert_eq!(written(&map, &found).unwrap(), r#"{"a\"":1}"#);
    }

    #[test]
    fn a_failure_ends_the_argument_unless_it_is_tried() {
        let cancelled = ended(JobState::Cancelled, None);
        let done = ended(JobState::Done, Some("5"));
        let list = Source::list(vec![Source::Job(done.0), Source::Job(cancelled.0)]);
        let error = JobError::Cancelled { job: cancelled.0, task: "app::count".to_owned() };
        let found = HashMap::from([cancelled, done]);
        assert_eq!(written(&list, &found), Err(NoArgument::Failed(error.clone())));
        let tried = written(&Source::Try(Box::new(list)), &found).unwrap();
        let tried: Result<Vec<u8>, JobError> = serde_json::from_str(&tried).unwrap();
        assert_eq!(tried, Err(error));
    }

    #[test]
    fn a_failure_is_an_argument_only_where_there_is_one() {
        let (cancelled, done) =
            (ended(JobState::Cancelled, None), ended(JobState::Done, Some("5")));
        let jobs = (cancelled.0, done.0);
        let found = HashMap::from([cancelled, done]);
        let error = written(&Source::Failure(jobs.0), &found).unwrap();
        let error: JobError = serde_json::from_str(&error).unwrap();
        assert_eq!(error, JobError::Cancelled { job: jobs.0, task: "app::count".to_owned() });
        assert_eq!(written(&Source::Failure(jobs.1), &found), Err(NoArgument::NoFailure(jobs.1)));
    }

    #[test]
    fn a_job_of_which_nothing_is_kept_is_named() {
        let job = JobId::new();
        let missing = written(&Source::Job(job), &HashMap::new()).unwrap_err();
        assert_eq!(missing, NoArgument::Failed(JobError::unknown(job)));
    }
}
