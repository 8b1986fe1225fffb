//! [`Graph`]: the jobs of one expression, each after its inputs.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use serde_json::value::RawValue;

use super::unique::{Standing, Taken};
use super::{Client, Mode};
use crate::broker::{Due, Input, Lookup, NewJob};
use crate::builtin::GATHER_PARAM;
use crate::call::Call;
use crate::each::{EACH, NEEDS_ITEMS};
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
                Self::Plan(Box::new(call.caller().plan(args, || None)))
            }
        })
    }
}

/// The jobs of one expression, or of several, each after its inputs.
pub(super) struct Graph<'a> {
    client: &'a Client,
    /// `None` if it is never planned anew.
    standing: Option<&'a Standing>,
    taken: Taken,
    /// Jobs that stand in for calls to which others refer by the id that was meant for them.
    aliases: HashMap<JobId, JobId>,
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

impl Made {
    fn of(plan: &Plan, id: JobId) -> Self {
        let (task, descriptor) = (plan.task.name, plan.task);
        Self { id, task, descriptor, states: plan.states.clone() }
    }
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
    /// One whose jobs are planned once.
    pub(super) fn new(client: &'a Client) -> Self {
        Self {
            client,
            standing: None,
            taken: Taken::default(),
            aliases: HashMap::new(),
            made: Vec::new(),
            jobs: Vec::new(),
        }
    }

    /// One that is planned around the jobs that are known to stand in for calls.
    pub(super) fn around(client: &'a Client, standing: &'a Standing) -> Self {
        Self { standing: Some(standing), ..Self::new(client) }
    }

    /// Adds the jobs of an expression; answers the one at its root. All belong to one trace.
    pub(super) fn add(&mut self, plan: &Plan, due: Due) -> Result<Made, DelayError> {
        self.add_job(plan, due, self.client.trace(), Place::Root)
    }

    /// Whether it may have to be planned anew, around jobs that are there already.
    pub(super) fn may_reuse(&self) -> bool {
        self.taken.may_reuse
    }

    /// The jobs to store, all or none. Inputs need a store that keeps results.
    pub(super) fn into_jobs(mut self) -> Result<Vec<NewJob>, DelayError> {
        let holds_keys =
            self.client.connection().is_none_or(|open| open.broker.capabilities().unique);
        if let Some(job) = self.jobs.iter().find(|job| job.unique.is_some() && !holds_keys) {
            let (task, broker) = (job.task.to_string(), self.client.broker_name());
            return Err(DelayError::NoUnique { task, broker });
        }
        if let Some((_, all_but_last)) = self.jobs.split_last_mut() {
            all_but_last.iter_mut().for_each(|job| job.with_next = true);
        }
        let open = self.client.connection();
        let keeps =
            open.is_none_or(|open| open.results.is_some() && open.broker.capabilities().results);
        let keeps_items = open.is_none_or(|open| open.reports.is_some());
        let is_in_vain = |job: &&NewJob| {
            (!job.inputs.is_empty() && !keeps) || (job.task == EACH.name && !keeps_items)
        };
        match self.jobs.iter().find(is_in_vain) {
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
        trace: TraceParent,
        place: Place,
    ) -> Result<Made, DelayError> {
        let mut added = Added::default();
        let mut left = vec![Visit::Enter(root)];
        loop {
            let visit = left.pop().expect("the root is the last that is left");
            let (plan, input) = match visit {
                Visit::Enter(plan) => {
                    let Some(job) = self.standing_in(plan)? else {
                        left.push(Visit::Leave(plan));
                        left.extend(calls_inside(plan).into_iter().rev().map(Visit::Enter));
                        continue;
                    };
                    self.follow(&plan.options, trace)?;
                    (plan, Input { owned: false, ..made_for(job) })
                }
                Visit::Leave(plan) => {
                    let is_root = std::ptr::eq(plan, root);
                    let (due, place) =
                        if is_root { (due, place) } else { (Due::Now, Place::Input) };
                    (plan, made_for(self.add_one(plan, due, trace, place, &added)?))
                }
            };
            if std::ptr::eq(plan, root) {
                return Ok(Made::of(root, input.job));
            }
            added.insert(std::ptr::from_ref(plan), input);
        }
    }

    /// The job that is there in place of this call, if its unique key says so.
    fn standing_in(&mut self, plan: &Plan) -> Result<Option<JobId>, DelayError> {
        if self.client.mode() == Mode::Eager {
            return Ok(None);
        }
        let job = self.taken.job_or_take(plan, self.standing)?;
        if let (Some(job), Some(id)) = (job, plan.options.id) {
            self.aliases.insert(id, job);
        }
        Ok(job)
    }

    fn add_one(
        &mut self,
        plan: &Plan,
        due: Due,
        trace: TraceParent,
        place: Place,
        added: &Added,
    ) -> Result<JobId, DelayError> {
        if plan.task.name == EACH.name && self.client.mode() == Mode::Eager {
            let (task, reason) = (plan.task.name.to_owned(), NO_STREAMS.to_owned());
            return Err(DelayError::Option { task, reason });
        }
        let mut inputs = Inputs::default();
        let mut sources = BTreeMap::new();
        let jobs = Jobs { added, aliases: &self.aliases };
        for (name, planned) in &plan.args.inputs {
            let source = source(planned, false, &jobs, &mut inputs);
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
            unique: plan.unique.clone(),
            with_next: false,
            envelope,
        });
        self.taken.mark_added(plan, id);
        if self.client.mode() == Mode::Eager {
            self.made.push(Made::of(plan, id));
        }
        self.follow(options, trace)?;
        Ok(id)
    }

    /// Adds the calls that follow a job that was added, or is there already.
    pub(super) fn follow(
        &mut self,
        options: &CallOptions,
        trace: TraceParent,
    ) -> Result<(), DelayError> {
        let mut calls = Vec::new();
        options.follow_ups.iter().for_each(|follow_up| add_calls(follow_up, &mut calls));
        for call in calls {
            check_each(call, options)?;
            self.add_job(call, Due::Now, trace, Place::Input)?;
        }
        Ok(())
    }

    /// The stored form of a job, checked against the limits.
    fn envelope(
        &self,
        plan: &Plan,
        sources: BTreeMap<Cow<'_, str>, Source>,
        trace: TraceParent,
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
        match headers.get(TraceParent::HEADER).map(|given| given.parse::<TraceParent>()) {
            None => drop(headers.insert(TraceParent::HEADER.to_owned(), trace.into())),
            Some(given) => drop(given.map_err(|error| unusable(error.to_string()))?),
        }
        let mut envelope = Envelope::new(task, args, sources, options, headers);
        if place == Place::Input {
            // The call around it reads the result; it is kept as long as that needs it.
            envelope.keep_ms = envelope.keep_ms.max(1);
            envelope.all_items = plan.task.is_on_demand();
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

/// What follows each item needs items that are kept.
fn check_each(call: &Plan, followed: &CallOptions) -> Result<(), DelayError> {
    if call.task.name != EACH.name || !followed.ignore_result {
        return Ok(());
    }
    let reason = NEEDS_ITEMS;
    Err(DelayError::Option { task: call.task.name.to_owned(), reason: reason.to_owned() })
}

const NO_STREAMS: &str =
    "an eager client stores no stream whose items something could follow: use a memory broker";

/// Whether the caller gets a handle of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Input,
}

/// What the calls of one expression came to, by the address of their plan: inputs that are
/// needed.
type Added = HashMap<*const Plan, Input>;

fn made_for(job: JobId) -> Input {
    Input { job, tolerant: false, owned: true }
}

/// Where a call finds the jobs that it needs.
struct Jobs<'a> {
    added: &'a Added,
    aliases: &'a HashMap<JobId, JobId>,
}

impl Jobs<'_> {
    /// The job itself, or the one that stands in for it.
    fn real(&self, job: JobId) -> JobId {
        self.aliases.get(&job).copied().unwrap_or(job)
    }
}

/// A step through the calls of an expression: each is added after those inside it, in the order
/// of the arguments. Where another job stands in for a call, those inside it are passed over.
enum Visit<'p> {
    Enter(&'p Plan),
    Leave(&'p Plan),
}

/// The calls that yield the arguments of a call; not those inside them.
fn calls_inside(plan: &Plan) -> Vec<&Plan> {
    let mut calls = Vec::new();
    plan.args.inputs.iter().for_each(|(_, planned)| add_calls(planned, &mut calls));
    calls
}

/// The calls that yield an argument; not those inside them.
fn add_calls<'a>(planned: &'a Planned, calls: &mut Vec<&'a Plan>) {
    match planned {
        Planned::Call(plan) => calls.push(plan),
        Planned::Job(..) | Planned::Id(_) | Planned::Failure(..) => {}
        Planned::Try(inner) => add_calls(inner, calls),
        Planned::List(list) => list.iter().for_each(|item| add_calls(item, calls)),
        Planned::Map(pairs) => pairs.iter().for_each(|(_, item)| add_calls(item, calls)),
    }
}

/// Where an argument comes from, once the jobs that it needs are added.
fn source(planned: &Planned, tolerant: bool, jobs: &Jobs<'_>, inputs: &mut Inputs) -> Source {
    match planned {
        Planned::Call(plan) => {
            let input = jobs.added[&std::ptr::from_ref::<Plan>(plan)];
            inputs.add(Input { tolerant, ..input });
            Source::Job(input.job)
        }
        Planned::Job(job, handle) => known(*job, handle).unwrap_or_else(|| {
            let job = jobs.real(*job);
            inputs.add(Input { job, tolerant, owned: false });
            Source::Job(job)
        }),
        Planned::Id(job) => Source::Value(raw(&jobs.real(*job))),
        Planned::Failure(job, handle) => match known(*job, handle) {
            Some(Source::Error(error)) => Source::Value(raw(&error)),
            Some(_) => Source::Error(Box::new(did_not_fail(*job))),
            None => {
                let job = jobs.real(*job);
                inputs.add(Input { job, tolerant: true, owned: false });
                Source::Failure(job)
            }
        },
        Planned::Try(inner) => Source::Try(Box::new(source(inner, true, jobs, inputs))),
        Planned::List(list) => {
            let sources = list.iter().map(|item| source(item, tolerant, jobs, inputs));
            Source::list(sources.collect())
        }
        Planned::Map(pairs) => {
            let sources =
                pairs.iter().map(|(key, item)| (key.clone(), source(item, tolerant, jobs, inputs)));
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

fn raw(value: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("errors and ids are plain data")
}

fn value(result: Option<&Payload>) -> Source {
    let json = result.map_or(b"null".as_slice(), Payload::as_slice);
    let value = serde_json::from_slice(json).expect("a result of this process is JSON");
    Source::Value(value)
}
