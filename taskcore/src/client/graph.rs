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
use crate::payload::Payload;
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
    Job(JobId, HandleSource, Box<CallOptions>),
}

/// Planning goes down a level of the stack for each call inside a call. Two thousand fit on a
/// thread of 2 MiB, Tokio's default, in a build without optimisation.
const MAX_NESTING: u32 = 1_000;

impl Root {
    /// The plan of this call: a gather is a job of its own here.
    pub(crate) fn of<T, R, P>(call: &Call<T, R, P>) -> Result<Self, DelayError> {
        let (task, levels) = (call.task().name, call.nesting());
        if levels > MAX_NESTING {
            return Err(DelayError::TooDeep { task: task.to_owned(), levels, limit: MAX_NESTING });
        }
        let encode = |source| DelayError::Encode { task: task.to_owned(), source };
        Ok(match call.planned().map_err(encode)? {
            Planned::Call(plan) => Self::Plan(plan),
            Planned::Job(job, source) => {
                Self::Job(job, source, Box::new(call.caller().options.clone()))
            }
            gathered => {
                let mut args = ArgsPlan::new();
                args.add_input(GATHER_PARAM, gathered);
                Self::Plan(Box::new(call.caller().plan(args)))
            }
        })
    }
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

    /// Adds the jobs of an expression, in a loop: a chain of calls may be longer than a stack.
    fn add_job(
        &mut self,
        root: &Plan,
        due: Due,
        trace: &str,
        place: Place,
    ) -> Result<Made, DelayError> {
        let mut added = Added::default();
        for plan in inner_calls(root) {
            let made = self.add_one(plan, Due::Now, trace, Place::Input, &added)?;
            added.insert(std::ptr::from_ref(plan), made.id);
        }
        self.add_one(root, due, trace, place, &added)
    }

    fn add_one(
        &mut self,
        plan: &Plan,
        due: Due,
        trace: &str,
        place: Place,
        added: &Added,
    ) -> Result<Made, DelayError> {
        let mut inputs = Inputs::default();
        let mut sources = BTreeMap::new();
        for (name, planned) in &plan.args.inputs {
            let source = source(planned, false, added, &mut inputs);
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
        let mut calls = Vec::new();
        options.follow_ups.iter().for_each(|follow_up| add_calls(follow_up, &mut calls));
        for call in calls {
            self.add_job(call, Due::Now, trace, Place::Input)?;
        }
        Ok(())
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

/// The jobs that calls of one expression became, by the address of their plan.
type Added = HashMap<*const Plan, JobId>;

/// All calls inside a call, each after those inside it, in the order of the arguments.
fn inner_calls(root: &Plan) -> impl Iterator<Item = &Plan> {
    let mut calls = Vec::new();
    let mut left = Vec::new();
    let mut next = Some(root);
    while let Some(plan) = next {
        plan.args.inputs.iter().for_each(|(_, planned)| add_calls(planned, &mut left));
        next = left.pop();
        calls.extend(next);
    }
    calls.into_iter().rev()
}

/// The calls that yield an argument; not those inside them.
fn add_calls<'a>(planned: &'a Planned, calls: &mut Vec<&'a Plan>) {
    match planned {
        Planned::Call(plan) => calls.push(plan),
        Planned::Job(..) | Planned::Failure(..) => {}
        Planned::Try(inner) => add_calls(inner, calls),
        Planned::List(list) => list.iter().for_each(|item| add_calls(item, calls)),
        Planned::Map(pairs) => pairs.iter().for_each(|(_, item)| add_calls(item, calls)),
    }
}

/// Where an argument comes from, once the jobs that it needs are added.
fn source(planned: &Planned, tolerant: bool, added: &Added, inputs: &mut Inputs) -> Source {
    match planned {
        Planned::Call(plan) => {
            let job = added[&std::ptr::from_ref::<Plan>(plan)];
            inputs.add(Input { job, tolerant, owned: true });
            Source::Job(job)
        }
        Planned::Job(job, handle) => known(*job, handle).unwrap_or_else(|| {
            inputs.add(Input { job: *job, tolerant, owned: false });
            Source::Job(*job)
        }),
        Planned::Failure(job, handle) => match known(*job, handle) {
            Some(Source::Error(error)) => Source::Value(raw(&error)),
            Some(_) => Source::Error(Box::new(did_not_fail(*job))),
            None => {
                inputs.add(Input { job: *job, tolerant: true, owned: false });
                Source::Failure(*job)
            }
        },
        Planned::Try(inner) => Source::Try(Box::new(source(inner, true, added, inputs))),
        Planned::List(list) => {
            let sources = list.iter().map(|item| source(item, tolerant, added, inputs));
            Source::list(sources.collect())
        }
        Planned::Map(pairs) => {
            let sources = pairs
                .iter()
                .map(|(key, item)| (key.clone(), source(item, tolerant, added, inputs)));
            Source::Map(sources.collect())
        }
    }
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
