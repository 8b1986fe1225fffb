//! Follow-ups of each item: a job that reads a stream, and stores a job for each item of it.

use std::any::TypeId;
use std::borrow::Cow;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::bound::{Bound, Caller};
use crate::broker::{Due, NewJob};
use crate::call::Call;
use crate::client::Client;
use crate::context::Context;
use crate::envelope::Envelope;
use crate::error::JobError;
use crate::id::JobId;
use crate::options::TaskOptions;
use crate::payload::{Codec, CodecError, Json, Payload};
use crate::plan::{ArgsPlan, Plan, Planned, encode_arg};
use crate::queue::{Priority, QueueName};
use crate::reader::{Batch, Reader, patiently};
use crate::source::Source;
use crate::task::{Completion, Frame, Raised, Run, TaskDescriptor, TaskKind, Yielded};
use crate::trace::TraceParent;

/// The task that stores a job for each item of a stream; yields how many.
pub(crate) static EACH: TaskDescriptor = TaskDescriptor {
    name: "hereafter::each",
    aliases: &[],
    file: file!(),
    line: line!(),
    params: &["of", "task", "follow"],
    options: TaskOptions::DEFAULT,
    schedule: None,
    stream: None,
    kind: TaskKind::Async,
    states: &[],
    output: TypeId::of::<u64>,
    prepare: prepare_each,
};

/// The call of [`EACH`] that follows the stream of this job.
///
/// # Errors
///
/// Why the call that is to follow each item cannot.
pub(crate) fn each(
    job: JobId,
    task: &str,
    item: JobId,
    follow: &Planned,
) -> Result<Call<u64>, String> {
    let follow = Follow::of(follow, item)?;
    let queue = follow.queue.clone();
    let bound = BoundEach { of: job, task: task.to_owned(), follow };
    // Whoever runs the one runs the other.
    Ok(Call::bind(&EACH, 1, Box::new(bound), |counted| counted).queue(queue))
}

/// The call that follows each item, as the job stores it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Follow {
    queue: QueueName,
    priority: Priority,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_in: Option<Duration>,
    /// The parameters that take the item.
    items: Vec<String>,
    /// The envelope of its jobs, without the item.
    envelope: Box<RawValue>,
}

/// Why a stream of which nothing is kept has no such follow-ups.
pub(crate) const NEEDS_ITEMS: &str = "what follows each item reads the stream, of which `ignore_result` keeps nothing: use `keep_result`";

const ONE_CALL: &str =
    "what follows each item is one call of values and the item: do the rest in its task";

impl Follow {
    fn of(planned: &Planned, item: JobId) -> Result<Self, String> {
        let Planned::Call(plan) = planned else { return Err(ONE_CALL.to_owned()) };
        let Plan { task, options, unique, args, .. } = &**plan;
        let is_item = |input: &Planned| matches!(input, Planned::Job(job, _) if *job == item);
        let is_simple = args.inputs.iter().all(|(_, input)| is_item(input));
        if !is_simple || !options.follow_ups.is_empty() {
            return Err(ONE_CALL.to_owned());
        }
        if unique.is_some() {
            return Err("what follows each item has no unique key: delay it in a task".to_owned());
        }
        if let Some(reason) = &options.invalid {
            return Err(reason.clone());
        }
        let given = args.given();
        let given: &RawValue =
            serde_json::from_slice(given.as_slice()).map_err(|error| error.to_string())?;
        let inputs = std::collections::BTreeMap::new();
        let envelope = Envelope::new(task.name, given, inputs, options, options.headers.clone());
        Ok(Self {
            queue: options.queue.clone(),
            priority: options.priority,
            expires_in: options.expires_in,
            items: args.inputs.iter().map(|(name, _)| (*name).to_owned()).collect(),
            envelope: serde_json::value::to_raw_value(&envelope)
                .map_err(|error| error.to_string())?,
        })
    }

    /// The job of one item.
    fn job(&self, id: JobId, item: &RawValue, context: &Context) -> Result<NewJob, CodecError> {
        let mut envelope: Envelope<'_> =
            serde_json::from_str(self.envelope.get()).map_err(CodecError)?;
        for name in &self.items {
            envelope.inputs.insert(Cow::Borrowed(name), Source::Value(item.to_owned()));
        }
        let trace = || context.trace().child().to_string();
        envelope.headers.entry(TraceParent::HEADER.to_owned()).or_insert_with(trace);
        let task = Cow::Owned(envelope.task.clone().into_owned());
        Ok(NewJob {
            id,
            queue: self.queue.clone(),
            task,
            priority: self.priority,
            due: Due::Now,
            expires_in: self.expires_in,
            inputs: Vec::new(),
            unique: None,
            with_next: false,
            envelope: envelope.encode(),
        })
    }
}

/// [`EACH`] with its arguments.
struct BoundEach {
    of: JobId,
    task: String,
    follow: Follow,
}

impl Bound<Result<u64, JobError>> for BoundEach {
    fn plan(&self, caller: &Caller<'_>) -> Result<Planned, CodecError> {
        let mut args = ArgsPlan::new();
        args.add_input("of", Planned::Id(self.of));
        args.begin("task");
        encode_arg(&self.task, &mut args)?;
        args.begin("follow");
        encode_arg(&self.follow, &mut args)?;
        Ok(Planned::Call(Box::new(caller.plan(args, || None))))
    }

    fn start(self: Box<Self>, _: Frame) -> BoxFuture<'static, Result<u64, JobError>> {
        unreachable!("this call is only ever delayed")
    }

    fn run_in_place(self: Box<Self>, _: &Frame) -> Result<u64, JobError> {
        unreachable!("this call is only ever delayed")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    of: JobId,
    task: String,
    follow: Follow,
}

fn prepare_each(args: &[u8], frame: Frame) -> Result<Run, CodecError> {
    let args: Args = Json::decode(args)?;
    Ok(Run::Async(Box::pin(run(args, frame.context))))
}

/// How long it waits for news, and how long it then makes room for others: for the stream itself,
/// perhaps, or for what follows its items.
const REST: Duration = Duration::from_secs(1);

/// Reads the stream to its end. Where it was is its own progress. That may be behind after an
/// interruption; a repetition stores nothing twice, since ids say which item they are of.
async fn run(args: Args, context: Context) -> Completion {
    let Args { of, task, follow } = args;
    let unreachable = |reason: String| JobError::Unreachable { job: of, reason };
    let raised = |error: JobError| Raised::new(error, false);
    let client = context.client().cloned().ok_or_else(|| unreachable("no client".to_owned()));
    let client = client.map_err(raised)?;
    let reports = client.reports("items").cloned();
    let reports = reports.map_err(|error| raised(unreachable(error.to_string())))?;
    let own =
        patiently(context.id(), || reports.progress(context.id(), None, Duration::ZERO)).await;
    let own = own.map_err(raised)?.progress.unwrap_or_default();
    let mut stored = own.done;
    let mut reader = Reader::new(client.clone(), reports, of, task);
    if let Ok(run) = own.message.parse() {
        reader = reader.going_on(run, stored);
    }
    loop {
        match reader.batch(REST).await {
            Ok(Batch::Items { run, first, items }) => {
                stored = first + items.len() as u64;
                store(&client, &follow, &context, run, first, &items).await?;
                context.progress(stored, 0);
                context.message(run.to_string());
            }
            Ok(Batch::Restarted) => stored = 0,
            Ok(Batch::Nothing) => return Ok(Yielded::Snoozed(REST)),
            // How that one ended is not the business of what follows its items.
            Ok(Batch::End) => return Ok(Yielded::Result(Some(count(stored)))),
            Err(error @ JobError::Unreachable { .. }) => return Err(raised(error)),
            // Nobody knows which items it had.
            Err(error @ (JobError::NotKept { .. } | JobError::Unreadable { .. })) => {
                return Err(Raised::new(error, true));
            }
            Err(_) => return Ok(Yielded::Result(Some(count(stored)))),
        }
    }
}

fn count(stored: u64) -> Payload {
    Payload::from(stored.to_string().into_bytes())
}

async fn store(
    client: &Client,
    follow: &Follow,
    context: &Context,
    run: u64,
    first: u64,
    items: &[Payload],
) -> Result<(), Raised> {
    let jobs = items.iter().zip(first..).map(|(item, index)| {
        let item: &RawValue = serde_json::from_slice(item.as_slice()).map_err(CodecError)?;
        follow.job(JobId::of_item(context.id(), run, index), item, context)
    });
    let jobs = jobs.collect::<Result<Vec<_>, CodecError>>();
    let jobs = jobs.map_err(|error| Raised::new(error, true))?;
    client.store_again(&jobs).await.map_err(|error| Raised::new(error, false))
}
