//! [`TaskDescriptor`]: what the attribute registers.

use std::any::TypeId;
use std::fmt;
use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::de::DeserializeOwned;

use crate::__private::Output;
use crate::args::Slots;
use crate::builtin;
use crate::context::Context;
use crate::continuation::{Continuation, Continue};
use crate::error::{DelayError, Failure, FailureKind, JobError, Permanent};
use crate::load::Loading;
use crate::options::TaskOptions;
use crate::outlet::{StreamOptions, StreamRun};
use crate::payload::{Codec, CodecError, Json, Payload};
use crate::schedule::Declaration;
use crate::scope;
use crate::state::{State, StateMap};

/// A registered task. The attribute makes these; [`registry`](crate::registry) finds them.
pub struct TaskDescriptor {
    /// The stable name that jobs carry.
    pub name: &'static str,
    /// Older names whose jobs it accepts.
    pub aliases: &'static [&'static str],
    /// The file of the function.
    pub file: &'static str,
    /// The line of the function.
    pub line: u32,
    /// The names of its arguments, in order.
    pub params: &'static [&'static str],
    /// The options that a call starts from.
    pub options: TaskOptions,
    /// When it runs by itself.
    pub schedule: Option<Declaration>,
    /// Set if it returns a stream.
    pub stream: Option<StreamOptions>,
    /// Whether it is async or plain.
    pub kind: TaskKind,
    /// The state it needs.
    pub states: &'static [StateNeed],
    /// The type of what its handle yields.
    pub output: fn() -> TypeId,
    /// Decodes arguments and makes a run of the task.
    pub prepare: fn(&[u8], Frame) -> Result<Run, CodecError>,
}

inventory::collect!(TaskDescriptor);

impl TaskDescriptor {
    /// Whether it returns a stream that is made for its readers.
    #[must_use]
    pub fn is_on_demand(&self) -> bool {
        self.stream.is_some_and(|stream| stream.on_demand.is_some())
    }
}

impl fmt::Debug for TaskDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskDescriptor")
            .field("name", &self.name)
            .field("file", &self.file)
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

/// Whether a task is an async or a plain function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKind {
    /// Runs on the runtime.
    Async,
    /// Runs on the blocking pool.
    Plain,
}

/// A `State<T>` parameter of a task.
#[derive(Clone, Copy)]
pub struct StateNeed {
    /// The id of `T`.
    pub type_id: fn() -> TypeId,
    /// The name of `T`.
    pub type_name: fn() -> &'static str,
}

impl StateNeed {
    /// The need for a `T`.
    #[must_use]
    pub const fn of<T: 'static>() -> Self {
        Self { type_id: TypeId::of::<T>, type_name: std::any::type_name::<T> }
    }
}

impl fmt::Debug for StateNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateNeed({})", (self.type_name)())
    }
}

/// A run of a task that has its arguments and waits to be started.
pub enum Run {
    /// To be polled.
    Async(BoxFuture<'static, Completion>),
    /// To be called on a thread that may block.
    Plain(Box<dyn FnOnce() -> Completion + Send>),
    /// To be given a place for its items, and polled.
    Stream(StreamRun),
    /// To be polled until its records are there, for one of the others.
    Loading(BoxFuture<'static, Result<Self, Raised>>),
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Async(_) => "Run::Async",
            Self::Plain(_) => "Run::Plain",
            Self::Stream(_) => "Run::Stream",
            Self::Loading(_) => "Run::Loading",
        })
    }
}

/// How a run ended.
pub type Completion = Result<Yielded, Raised>;

/// What a run that did not fail came to.
#[derive(Debug)]
pub enum Yielded {
    /// The encoded result; `None` for `()`.
    Result(Option<Payload>),
    /// The job goes on as this.
    Continued(Continuation),
    /// It waits this long for a better time.
    Snoozed(Duration),
}

/// An error that a task returned, in the form in which it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    /// Returned by the task, or met when its result was encoded.
    pub kind: FailureKind,
    /// The type of the error.
    pub error_type: &'static str,
    /// Its text.
    pub message: String,
    /// The texts of the errors behind it, nearest first.
    pub causes: Vec<String>,
    /// Whether it rules out a retry.
    pub permanent: bool,
}

impl Raised {
    /// Records an error of a task. `permanent` is what the caller knows beyond the chain.
    pub fn new<E>(error: E, permanent: bool) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let error = error.into();
        let permanent = permanent || Permanent::is_in(&*error);
        let message = error.to_string();
        let causes = std::iter::successors(error.source(), |&error| error.source())
            .map(ToString::to_string)
            .collect();
        let error_type = std::any::type_name::<E>();
        Self { kind: FailureKind::Error, error_type, message, causes, permanent }
    }

    /// The error that it is for whoever waits for the job.
    pub(crate) fn into_error(self, context: &Context) -> JobError {
        JobError::from_failure(Failure::of_raised(context, self))
    }

    /// Of what the task yields, which the store cannot take; a retry would not help.
    #[must_use]
    pub fn of_result(message: String) -> Self {
        let (kind, error_type, causes) = (FailureKind::Result, "", Vec::new());
        Self { kind, error_type, message, causes, permanent: true }
    }

    /// Of a call that continues a job, and cannot be stored.
    pub(crate) fn undelayable(error: DelayError) -> Self {
        let message = format!("the call that the task returned cannot be stored: {error}");
        Self { kind: FailureKind::Result, message, ..Self::new(error, true) }
    }

    pub(crate) fn unencodable<T>(error: &CodecError) -> Self {
        Self {
            kind: FailureKind::Result,
            error_type: std::any::type_name::<CodecError>(),
            message: format!(
                "the result of type `{}` cannot be encoded",
                std::any::type_name::<T>()
            ),
            causes: vec![error.to_string()],
            permanent: true,
        }
    }
}

/// What a run gets beside its arguments.
#[derive(Debug, Clone)]
pub struct Frame {
    /// What the task knows of itself.
    pub context: Context,
    /// Values for its `State` parameters; the scope's serve where these have none.
    pub states: StateMap,
}

impl Frame {
    /// The value of a `State<T>` parameter.
    ///
    /// # Panics
    ///
    /// If neither the call nor the scope provides a `T`; the text names task, type and remedy.
    #[must_use]
    pub fn state<T: Clone + Send + Sync + 'static>(&self) -> State<T> {
        let found = self.states.value::<T>().or_else(|| scope::current().states.value::<T>());
        let Some(value) = found else {
            panic!(
                "task `{}` needs `{}`, which nothing provides here: pass it with `.with(value)`, run the call in \
                 `hereafter::scope_state(value, future)`, or provide it from a start hook of the worker",
                self.context.task(),
                std::any::type_name::<T>(),
            )
        };
        State(value)
    }
}

/// A task function, as the attribute describes it.
pub trait TaskFn: Send + 'static {
    /// The arguments as a caller gives them.
    type Slots: Slots;
    /// The arguments on the wire: one field for each parameter.
    type Args: DeserializeOwned;
    /// The arguments as the function takes them: the same, with records in the place of keys.
    type Ready: Send + 'static;
    /// What the function returns.
    type Return: Send + 'static;
    /// What a handle yields.
    type Output: Output + Send + 'static;

    /// The registered task.
    fn descriptor() -> &'static TaskDescriptor;

    /// Names the values.
    fn args(values: <Self::Slots as Slots>::Values) -> Self::Args;

    /// Gets the records that the arguments name.
    fn load(args: Self::Args, frame: &Frame) -> Loading<Self::Ready>;

    /// The unique key of a call with these arguments, of a task that has a function for it.
    fn unique_key(_: <Self::Slots as Slots>::Lent<'_>) -> Option<String> {
        None
    }

    /// Sorts what the function returned.
    fn judge(returned: Self::Return) -> Result<Self::Output, Raised>;
}

/// An async task function.
pub trait AsyncTaskFn: TaskFn {
    /// Runs it.
    fn run(args: Self::Ready, frame: Frame) -> impl Future<Output = Self::Return> + Send + 'static;
}

/// A plain task function.
pub trait PlainTaskFn: TaskFn {
    /// Runs it, on this thread.
    fn run(args: Self::Ready, frame: &Frame) -> Self::Return;
}

/// An async task that is continued by what it returns.
pub trait AsyncStepFn: TaskFn {
    /// What it returns.
    type Next: Continue<Output = Self::Output>;

    /// Runs it up to there.
    fn step(
        args: Self::Ready,
        frame: Frame,
    ) -> impl Future<Output = Result<Self::Next, Raised>> + Send + 'static;
}

/// A plain task that is continued by what it returns.
pub trait PlainStepFn: TaskFn {
    /// What it returns.
    type Next: Continue<Output = Self::Output>;

    /// Runs it up to there, on this thread.
    fn step(args: Self::Ready, frame: &Frame) -> Result<Self::Next, Raised>;
}

/// [`TaskDescriptor::prepare`] of an async task.
pub fn prepare_async<F: AsyncTaskFn>(args: &[u8], frame: Frame) -> Result<Run, CodecError> {
    prepare::<F>(args, frame, |args, frame| {
        Run::Async(Box::pin(async move { complete::<F>(F::run(args, frame).await) }))
    })
}

/// [`TaskDescriptor::prepare`] of a plain task.
pub fn prepare_plain<F: PlainTaskFn>(args: &[u8], frame: Frame) -> Result<Run, CodecError> {
    prepare::<F>(args, frame, |args, frame| {
        Run::Plain(Box::new(move || complete::<F>(F::run(args, &frame))))
    })
}

/// Decodes arguments, and makes a run of them once their records are there.
pub(crate) fn prepare<F: TaskFn>(
    args: &[u8],
    frame: Frame,
    run: fn(F::Ready, Frame) -> Run,
) -> Result<Run, CodecError> {
    let args: F::Args = Json::decode(args)?;
    Ok(match F::load(args, &frame) {
        Loading::Here(args) => run(args, frame),
        Loading::Later(args) => Run::Loading(Box::pin(async move { Ok(run(args.await?, frame)) })),
    })
}

fn complete<F: TaskFn>(returned: F::Return) -> Completion {
    let output = F::judge(returned)?;
    if TypeId::of::<F::Output>() == TypeId::of::<()>() {
        return Ok(Yielded::Result(None));
    }
    let result = output.encode().map(|result| Yielded::Result(Some(result)));
    result.map_err(|error| Raised::unencodable::<F::Output>(&error))
}

/// Every linked task, by name and alias.
#[derive(Debug)]
pub struct Registry {
    tasks: Vec<&'static TaskDescriptor>,
    by_name: std::collections::HashMap<&'static str, &'static TaskDescriptor>,
    duplicates: Vec<DuplicateTask>,
}

/// Two tasks of one name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "two tasks are named `{name}`: {first} and {second}; give one of them another `name = \"…\"`"
)]
pub struct DuplicateTask {
    /// The name, or alias, of both.
    pub name: String,
    /// File and line of one.
    pub first: String,
    /// File and line of the other.
    pub second: String,
}

impl Registry {
    /// Sorts the given tasks.
    #[must_use]
    pub fn new(tasks: impl IntoIterator<Item = &'static TaskDescriptor>) -> Self {
        let mut registry = Self {
            tasks: tasks.into_iter().collect(),
            by_name: std::collections::HashMap::new(),
            duplicates: Vec::new(),
        };
        registry.tasks.sort_by_key(|task| (task.name, task.file, task.line));
        for task in &registry.tasks {
            for name in std::iter::once(&task.name).chain(task.aliases) {
                if let Some(other) = registry.by_name.insert(name, task) {
                    registry.duplicates.push(DuplicateTask {
                        name: (*name).to_owned(),
                        first: format!("{}:{}", other.file, other.line),
                        second: format!("{}:{}", task.file, task.line),
                    });
                }
            }
        }
        registry
    }

    /// All tasks, by name.
    pub fn tasks(&self) -> impl Iterator<Item = &'static TaskDescriptor> + '_ {
        self.tasks.iter().copied()
    }

    /// The task of this name or alias.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'static TaskDescriptor> {
        self.by_name.get(name).copied()
    }

    /// The task of this name or alias, or the built-in one, which every worker knows.
    #[must_use]
    pub fn find_any(&self, name: &str) -> Option<&'static TaskDescriptor> {
        self.find(name).or_else(|| builtin::find(name))
    }

    /// Names that more than one task claims; a worker refuses to start with any.
    #[must_use]
    pub fn duplicates(&self) -> &[DuplicateTask] {
        &self.duplicates
    }
}

/// The tasks linked into this program.
///
/// The linker drops a crate that nobody names: `use my_tasks as _;` keeps one in.
pub fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| Registry::new(inventory::iter::<TaskDescriptor>))
}
