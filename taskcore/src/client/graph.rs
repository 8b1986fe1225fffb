//! [`Graph`]: the jobs of one expression, each after its inputs.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde_json::value::RawValue;

use super::{Client, Mode};
use crate::broker::{Due, Input, Lookup, NewJob};
use crate::builtin::GATHER_PARAM;
use crate::call::Call;
use crate::envelope::Envelope;
use crate::error::{DelayError, JobError};
use crate::follow::did_not_fail;
use crate::handle::HandleSource;
use crate::id::JobId;
use crate::options::CallOptions;
use crate::payload::{CodecError, Payload};
use crate::plan::{ArgsPlan, Plan, Planned};
use crate::source::Source;
use crate::state::StateMap;
use crate::task::TaskDescriptor;
use crate::trace::TraceParent;

/// A call at the root of an expression.
#[derive(Debug)]
pub(crate) enum Root {
    /// A job is to be made.
    Plan(Box<Plan>),
    /// It was made of the handle of this job. Its options hold what follows the job.
    Job(JobId, HandleSource, CallOptions),
}

impl Root {
    /// The plan of this call: a gather is a job of its own here.
    pub(crate) fn of<T, R, P>(call: &Call<T, R, P>) -> Result<Self, CodecError> {
        Ok(match call.planned()? {
            Planned::Call(plan) => Self::Plan(plan),
            Planned::Job(job, source) => Self::Job(job, source, call.caller().options.clone()),
            gathered => {
                let mut args = ArgsPlan::new();
                args.add_input(GATHER_PARAM, gathered);
                Self::Plan(Box::new(call.caller().plan(args)))
            }
        })
    }
}

/// [`Root::of`] a call that is to be delayed.
pub(super) fn root<T, R, P>(call: &Call<T, R, P>) -> Result<Root, DelayError> {
    let task = call.task().name;
    Root::of(call).map_err(|source| DelayError::Encode { task: task.to_owned(), source })
}

/// The jobs of one expression, or of several, each after its inputs.
pub(super) struct Graph<'a> {
    client: &'a Client,
    made: Vec<Made>,
    jobs: Vec<NewJob>,
}

/// What is known of a job beside what is stored.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) id: JobId,
    pub(super) task: &'static str,
    pub(super) descriptor: &'static TaskDescriptor,
    pub(super) states: StateMap,
}

/// The inputs of one job, each once.
#[derive(Default)]
struct Inputs {
    inputs: Vec<Input>,
    places: HashMap<JobId, usize>,
}

impl Inputs {
    fn add(&mut self, input: Input) {
        match self.places.get(&input.job) {
            // Needed in one place and tolerated in another is needed.
            Some(&place) => self.inputs[place].tolerant &= input.tolerant,
            None => {
                self.places.insert(input.job, self.inputs.len());
                self.inputs.push(input);
            }
        }
    }
}

impl<'a> Graph<'a> {
    pub(super) fn new(client: &'a Client) -> Self {
        Self { client, made: Vec::new(), jobs: Vec::new() }
    }

    /// Adds the jobs of an expression; answers the one at its root. All belong to one trace.
    pub(super) fn add(&mut self, plan: &Plan, due: Due) -> Result<Made, DelayError> {
        let trace = self.client.trace();
        self.add_job(plan, due, &trace, Place::Root)
    }

    /// The jobs to store. Inputs need a store that keeps results.
    pub(super) fn into_jobs(self) -> Result<Vec<NewJob>, DelayError> {
        let keeps = self.client.connection().is_none_or(|open| open.results.is_some());
        match self.jobs.iter().find(|job| !job.inputs.is_empty() && !keeps) {
            Some(job) => Err(DelayError::NoResults {
                task: job.task.to_string(),
                broker: self.client.broker_name(),
            }),
            None => Ok(self.jobs),
        }
    }

    /// The jobs to run here, in order.
    pub(super) fn into_runs(self) -> impl Iterator<Item = (Made, NewJob)> {
        self.made.into_iter().zip(self.jobs)
    }

    fn add_job(
        &mut self,
        plan: &Plan,
        due: Due,
        trace: &str,
        place: Place,
    ) -> Result<Made, DelayError> {
        let mut inputs = Inputs::default();
        let mut sources = BTreeMap::new();
        for (name, planned) in &plan.args.inputs {
            let source = self.source(planned, false, trace, &mut inputs)?;
            sources.insert(Cow::Borrowed(*name), source);
        }
        let envelope = self.envelope(plan, sources, trace, place)?;
        let (task, options) = (plan.task.name, &plan.options);
        let id = options.id.unwrap_or_else(JobId::new);
        self.jobs.push(NewJob {
            id,
            queue: options.queue.clone(),
            task: Cow::Borrowed(task),
            priority: options.priority,
            due,
            expires_in: options.expires_in,
            inputs: inputs.inputs,
            envelope,
        });
        let made = Made { id, task, descriptor: plan.task, states: plan.states.clone() };
        if self.client.mode() == Mode::Eager {
            self.made.push(made.clone());
        }
        self.follow(options, trace)?;
        Ok(made)
    }

    /// Adds the calls that follow a job that was added, or is there already.
    pub(super) fn follow(&mut self, options: &CallOptions, trace: &str) -> Result<(), DelayError> {
        for follow_up in &options.follow_ups {
            // They are nobody's argument.
            self.source(follow_up, false, trace, &mut Inputs::default())?;
        }
        Ok(())
    }

    /// Where an argument comes from, once the jobs that it needs are added.
    fn source(
        &mut self,
        planned: &Planned,
        tolerant: bool,
        trace: &str,
        inputs: &mut Inputs,
    ) -> Result<Source, DelayError> {
        Ok(match planned {
            Planned::Call(plan) => {
                let job = self.add_job(plan, Due::Now, trace, Place::Input)?.id;
                inputs.add(Input { job, tolerant, owned: true });
                Source::Job(job)
            }
            Planned::Job(job, handle) => match known(*job, handle) {
                Some(source) => source,
                None => {
                    inputs.add(Input { job: *job, tolerant, owned: false });
                    Source::Job(*job)
                }
            },
            Planned::Failure(job, handle) => match known(*job, handle) {
                Some(Source::Error(error)) => Source::Value(raw(&error)),
                Some(_) => Source::Error(Box::new(did_not_fail(*job))),
                None => {
                    inputs.add(Input { job: *job, tolerant: true, owned: false });
                    Source::Failure(*job)
                }
            },
            Planned::Try(inner) => Source::Try(Box::new(self.source(inner, true, trace, inputs)?)),
            Planned::List(list) => {
                let sources = list.iter().map(|item| self.source(item, tolerant, trace, inputs));
                Source::list(sources.collect::<Result<_, _>>()?)
            }
            Planned::Map(pairs) => {
                let sources = pairs.iter().map(|(key, item)| {
                    Ok((key.clone(), self.source(item, tolerant, trace, inputs)?))
                });
                Source::Map(sources.collect::<Result<_, DelayError>>()?)
            }
        })
    }

    /// The stored form of a job, checked against the limits.
    fn envelope(
        &self,
        plan: &Plan,
        sources: BTreeMap<Cow<'_, str>, Source>,
        trace: &str,
        place: Place,
    ) -> Result<Payload, DelayError> {
        let (task, options) = (plan.task.name, &plan.options);
        let unusable = |reason| DelayError::Option { task: task.to_owned(), reason };
        if let Some(reason) = &options.invalid {
            return Err(unusable(reason.clone()));
        }
        let args = plan.args.given();
        let args: &RawValue = serde_json::from_slice(args.as_slice())
            .expect("what serde_json wrote, serde_json reads");
        let mut headers = options.headers.clone();
        let parent = headers.entry(TraceParent::HEADER.to_owned()).or_insert_with(|| trace.into());
        parent.parse::<TraceParent>().map_err(|error| unusable(error.to_string()))?;
        let mut envelope = Envelope::new(task, args, sources, options, headers);
        if place == Place::Input {
            // The call around it reads the result; it is kept as long as that needs it.
            envelope.keep_ms = envelope.keep_ms.max(1);
        }
        let envelope = envelope.encode();
        let limit = self.client.shared.payload_limit;
        if envelope.len() > limit {
            let (task, size) = (task.to_owned(), envelope.len());
            return Err(DelayError::TooLarge { task, size, limit });
        }
        Ok(envelope)
    }
}

/// Whether the caller gets a handle of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Input,
}

/// What a handle that reads no store yields; `None` for the others.
fn known(job: JobId, handle: &HandleSource) -> Option<Source> {
    let error = match handle {
        HandleSource::Store(_) | HandleSource::Unbound => return None,
        HandleSource::Known(lookup) => match &**lookup {
            Lookup::Final(outcome) => match outcome.error() {
                None => return Some(value(outcome.result.as_ref())),
                Some(error) => error,
            },
            _ => JobError::unknown(job),
        },
        HandleSource::Disabled => JobError::Disabled { task: job.to_string() },
        HandleSource::Ignored(_) => JobError::ignored(job),
    };
    Some(Source::Error(Box::new(error)))
}

fn raw(error: &JobError) -> Box<RawValue> {
    serde_json::value::to_raw_value(error).expect("errors are plain data")
}

fn value(result: Option<&Payload>) -> Source {
    let json = result.map_or(b"null".as_slice(), Payload::as_slice);
    let value = serde_json::from_slice(json).expect("a result of this process is JSON");
    Source::Value(value)
}
