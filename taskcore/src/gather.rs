//! [`gather`]: one call of many calls.

use std::collections::HashMap;
use std::hash::Hash;

use futures::future::{BoxFuture, FutureExt, TryFutureExt, try_join_all};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::arg::{Arg, Form, IntoArg};
use crate::bound::{Bound, Caller};
use crate::builtin::GATHER;
use crate::call::Call;
use crate::error::JobError;
use crate::handle::Handle;
use crate::kind::{Awaited, Maybe, Place};
use crate::payload::CodecError;
use crate::plan::Planned;
use crate::task::Frame;

/// What yields a value, here or in a job: a [`Call`] or a [`Handle`].
pub trait Yield:
    IntoArg<Self::Output, Kind = (Maybe, Self::Place)> + IntoArg<Result<Self::Output, JobError>>
{
    /// What it yields.
    type Output: Send + 'static;
    /// Where it can be had.
    type Place: Place;
}

impl<T, R, P> Yield for Call<T, R, P>
where
    T: Send + 'static,
    R: Send + 'static,
    P: Place,
{
    type Output = T;
    type Place = P;
}

impl<T: DeserializeOwned + Send + 'static> Yield for Handle<T> {
    type Output = T;
    type Place = Awaited;
}

/// A call of many calls, which may fail: run here it yields a `Result`.
pub type Gathered<T, P> = Call<T, Result<T, JobError>, P>;

/// What became of many calls, in order.
pub type Results<T> = Vec<Result<T, JobError>>;

/// One call of many: it yields what they yield, in order.
///
/// As an argument of another call it is no job of its own: its calls are inputs of the job
/// around it. Delayed alone, it is one. Awaited, the calls run here at the same time. The first
/// failure is the failure of the whole; [`gather_results`] goes on. To mix calls and handles,
/// make calls of the handles: `Call::from(handle)`.
///
/// Options set on it matter only when it is delayed alone.
///
/// ```
/// # use taskcore as hereafter;
/// use hereafter::{gather, register_task};
///
/// #[register_task(crate = hereafter)]
/// fn count(text: String) -> u64 {
///     text.split_whitespace().count() as u64
/// }
///
/// #[register_task(crate = hereafter)]
/// fn sum(parts: Vec<u64>) -> u64 {
///     parts.iter().sum()
/// }
///
/// let total = sum(gather(["a b", "c"].map(count))).call();
/// assert_eq!(total, Ok(3));
/// ```
pub fn gather<C: Yield>(calls: impl IntoIterator<Item = C>) -> Gathered<Vec<C::Output>, C::Place> {
    let list = List(calls.into_iter().map(IntoArg::<C::Output>::into_arg).collect());
    Call::bind(&GATHER, list.nesting(), Box::new(list), |gathered| gathered)
}

/// One call of many: it yields in order what became of each, and does not fail.
///
/// Otherwise as [`gather`].
pub fn gather_results<C: Yield>(
    calls: impl IntoIterator<Item = C>,
) -> Call<Results<C::Output>, Results<C::Output>, C::Place> {
    let into_arg = IntoArg::<Result<C::Output, JobError>>::into_arg;
    let list = Tolerated(List(calls.into_iter().map(into_arg).collect()));
    Call::bind(&GATHER, list.0.nesting(), Box::new(list), Ok)
}

/// One call of many, each under a key: it yields what they yield, by key.
///
/// Keys are texts in JSON, as for any map; of two equal ones the later counts. Otherwise as
/// [`gather`].
pub fn gather_map<K, C>(
    pairs: impl IntoIterator<Item = (K, C)>,
) -> Gathered<HashMap<K, C::Output>, C::Place>
where
    K: Serialize + Eq + Hash + Send + 'static,
    C: Yield,
{
    let pairs = pairs.into_iter().map(|(key, call)| (key, IntoArg::<C::Output>::into_arg(call)));
    let (keys, args) = pairs.unzip();
    let list = List(args);
    Call::bind(&GATHER, list.nesting(), Box::new(Keyed { keys, list }), |gathered| gathered)
}

struct List<T>(Vec<Arg<T>>);

struct Tolerated<T>(List<Result<T, JobError>>);

struct Keyed<K, T> {
    keys: Vec<K>,
    list: List<T>,
}

impl<T> List<T> {
    fn nesting(&self) -> u32 {
        self.0.iter().map(Arg::depth).max().unwrap_or(0) + 1
    }
}

impl<T: Send + 'static> List<T> {
    fn planned(&self) -> Result<Vec<Planned>, CodecError> {
        let plan = |arg: &Arg<T>| match &arg.form {
            Form::Later(later) => later.plan(),
            Form::Value(_) => unreachable!("a call and a handle are no values"),
        };
        self.0.iter().map(plan).collect()
    }

    fn at_once(self) -> BoxFuture<'static, Result<Vec<T>, JobError>> {
        let started = self.0.into_iter().map(|arg| match arg.form {
            Form::Later(later) => later.start(),
            Form::Value(value) => std::future::ready(Ok(value)).boxed(),
        });
        try_join_all(started).boxed()
    }

    fn one_by_one(self) -> Result<Vec<T>, JobError> {
        let run = |arg: Arg<T>| match arg.form {
            Form::Later(later) => later.run_in_place(),
            Form::Value(value) => Ok(value),
        };
        self.0.into_iter().map(run).collect()
    }
}

impl<T: Send + 'static> Bound<Result<Vec<T>, JobError>> for List<T> {
    fn plan(&self, _: &Caller<'_>) -> Result<Planned, CodecError> {
        self.planned().map(Planned::List)
    }

    fn start(self: Box<Self>, _: Frame) -> BoxFuture<'static, Result<Vec<T>, JobError>> {
        self.at_once()
    }

    fn run_in_place(self: Box<Self>, _: &Frame) -> Result<Vec<T>, JobError> {
        self.one_by_one()
    }
}

impl<T: Send + 'static> Bound<Vec<Result<T, JobError>>> for Tolerated<T> {
    fn plan(&self, _: &Caller<'_>) -> Result<Planned, CodecError> {
        self.0.planned().map(Planned::List)
    }

    fn start(self: Box<Self>, _: Frame) -> BoxFuture<'static, Vec<Result<T, JobError>>> {
        self.0.at_once().unwrap_or_else(|_| tolerated()).boxed()
    }

    fn run_in_place(self: Box<Self>, _: &Frame) -> Vec<Result<T, JobError>> {
        self.0.one_by_one().unwrap_or_else(|_| tolerated())
    }
}

fn tolerated<T>() -> T {
    unreachable!("a failure of a tolerated input is its value")
}

impl<K, T> Bound<Result<HashMap<K, T>, JobError>> for Keyed<K, T>
where
    K: Serialize + Eq + Hash + Send + 'static,
    T: Send + 'static,
{
    fn plan(&self, _: &Caller<'_>) -> Result<Planned, CodecError> {
        let keys = self.keys.iter().map(key_text).collect::<Result<Vec<_>, _>>()?;
        Ok(Planned::Map(keys.into_iter().zip(self.list.planned()?).collect()))
    }

    fn start(self: Box<Self>, _: Frame) -> BoxFuture<'static, Result<HashMap<K, T>, JobError>> {
        let Self { keys, list } = *self;
        list.at_once().map_ok(|values| keys.into_iter().zip(values).collect()).boxed()
    }

    fn run_in_place(self: Box<Self>, _: &Frame) -> Result<HashMap<K, T>, JobError> {
        let values = self.list.one_by_one()?;
        Ok(self.keys.into_iter().zip(values).collect())
    }
}

/// A key as JSON writes it in an object.
fn key_text<K: Serialize + Eq + Hash>(key: &K) -> Result<String, CodecError> {
    let object = serde_json::to_value(HashMap::from([(key, ())])).map_err(CodecError)?;
    match object {
        serde_json::Value::Object(object) if !object.is_empty() => {
            Ok(object.into_iter().next().map(|(key, _)| key).unwrap_or_default())
        }
        _ => unreachable!("a map of one pair is an object with one key"),
    }
}

impl<T: DeserializeOwned + Send + 'static> From<Handle<T>>
    for Call<T, Result<T, JobError>, Awaited>
{
    /// A call that yields what the job does. Delayed, it is the job that is there already.
    fn from(handle: Handle<T>) -> Self {
        let job = handle.id();
        Self::bind(&GATHER, 0, Box::new(handle), |answer| answer).of_job(job)
    }
}

impl<T: DeserializeOwned + Send + 'static> Bound<Result<T, JobError>> for Handle<T> {
    fn plan(&self, _: &Caller<'_>) -> Result<Planned, CodecError> {
        Ok(Planned::Job(self.id(), self.source()))
    }

    fn start(self: Box<Self>, _: Frame) -> BoxFuture<'static, Result<T, JobError>> {
        self.boxed()
    }

    fn run_in_place(self: Box<Self>, _: &Frame) -> Result<T, JobError> {
        unreachable!("a handle is never `InPlace`")
    }
}
