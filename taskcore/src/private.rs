//! Not public API. Used by generated code, and outside of every stability promise.

use std::error::Error;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Permanent;
use crate::payload::{Codec, Json};

pub use inventory;
pub use serde;

pub use crate::arg::IntoArg;
pub use crate::args::{Slot, Slots};
pub use crate::broker::{OnConflict, UniqueScope};
pub use crate::call::{Call, bind_async, bind_plain, bind_stream};
pub use crate::context::Context;
pub use crate::continuation::{
    Continue, follow_async, follow_plain, prepare_async_step, prepare_plain_step,
};
pub use crate::error::JobError;
pub use crate::fetch::{Fetch, Given, IntoRecord};
pub use crate::kind::{Awaited, Direct, PlaceOf};
pub use crate::load::{FetchWire, LoadAll, Loading, Unfetched};
pub use crate::options::TaskOptions;
pub use crate::outlet::{
    OnDemand, Outlet, StreamOptions, StreamTaskFn, collect, encode_item, pour, prepare_stream,
    room, try_collect,
};
pub use crate::payload::{CodecError, Payload};
pub use crate::plan::{ArgsPlan, encode_arg};
pub use crate::retry::Backoff;
pub use crate::schedule::{Declaration, DeclaredTicks, Missed};
pub use crate::state::State;
pub use crate::task::{
    AsyncStepFn, AsyncTaskFn, Frame, PlainStepFn, PlainTaskFn, Raised, Run, StateNeed,
    TaskDescriptor, TaskFn, TaskKind, prepare_async, prepare_plain,
};
pub use crate::unique::{TaskUnique, UniqueBy};

/// What a start hook's function returns, boxed.
pub type HookFuture<'a> = futures::future::BoxFuture<'a, Result<(), Box<dyn Error + Send + Sync>>>;

/// What can be an argument of a task. Generated code names each argument's type once as
/// [`Argument::Type`], and nowhere else in a way that needs these bounds: a type that lacks them is
/// one error, at the user's token.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored as an argument of a task",
    label = "needs `serde::Serialize`, `serde::Deserialize`, `Send` and `'static`",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it, or pass an id and load the value in the task"
)]
pub trait Storable {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Storable for T {}

/// Where generated code checks the type of an argument.
pub trait Argument {
    /// The type.
    type Type: Storable;
}

/// What a task can yield.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored as the result of a task",
    label = "needs `serde::Serialize`, `serde::Deserialize`, `Send` and `'static`",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it, or store it in the task and return its id",
    note = "a task is fallible if its return type is written as `Result<…>`; name an alias of it `Result`"
)]
pub trait Output: Sized {
    /// The stored form.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the value has none.
    fn encode(&self) -> Result<Payload, CodecError>;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + 'static> Output for T {
    fn encode(&self) -> Result<Payload, CodecError> {
        Json::encode(self)
    }
}

/// `Wire::<T>::lend` and `Wire::<T>::take` are the identity on a [`Storable`] type. On any other,
/// [`Unstorable`] answers with `()`, so that the check of [`Argument`] is the only error: an
/// inherent function wins over one of a trait where its bounds hold.
#[derive(Debug)]
pub struct Wire<T>(PhantomData<T>);

impl<T: Serialize + DeserializeOwned + Send + 'static> Wire<T> {
    /// What is encoded.
    pub const fn lend(value: &T) -> &T {
        value
    }

    /// What was decoded.
    pub fn take(value: T) -> T {
        value
    }
}

/// The answer of [`Wire`] and [`DefaultWire`] for types that were refused: it compiles and never runs.
pub trait Unstorable {
    /// The refused type.
    type Refused;

    /// Stands in for the value.
    fn lend(_: &Self::Refused) {}

    /// Stands in for the value.
    fn take((): ()) -> Self::Refused {
        unreachable!("a type that cannot be stored was refused at compile time")
    }
}

impl<T> Unstorable for Wire<T> {
    type Refused = T;
}

/// What can be left out of a job: `#[arg(default)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no default",
    label = "`#[arg(default)]` needs `Default`",
    note = "implement `Default` for it, or take an `Option`, which is `None` where a job does not name it"
)]
pub trait Defaulted {}

#[diagnostic::do_not_recommend]
impl<T: Default> Defaulted for T {}

/// [`Argument`], for `#[arg(default)]`.
pub trait DefaultArgument {
    /// The type.
    type Type: Storable + Defaulted;
}

/// [`Argument`], for `#[fetch]`.
pub trait FetchArgument {
    /// The type.
    type Type: Fetch;
}

/// [`Wire`], for `#[arg(default)]`.
#[derive(Debug)]
pub struct DefaultWire<T>(PhantomData<T>);

impl<T: Serialize + DeserializeOwned + Default + Send + 'static> DefaultWire<T> {
    /// What is encoded.
    pub const fn lend(value: &T) -> &T {
        value
    }

    /// What was decoded.
    pub fn take(value: T) -> T {
        value
    }
}

impl<T> Unstorable for DefaultWire<T> {
    type Refused = T;
}

/// The `self` of a task that takes `&self`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the `&self` of a task",
    label = "needs `Clone`",
    note = "derive `Clone` for it, or take `self` by value"
)]
pub trait Receiver: Sized {
    /// The copy that the job stores.
    fn copied(&self) -> Self;
}

#[diagnostic::do_not_recommend]
impl<T: Clone> Receiver for T {
    fn copied(&self) -> Self {
        self.clone()
    }
}

/// The error of a task.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a task",
    label = "needs `Into<Box<dyn std::error::Error + Send + Sync>>`",
    note = "implement `std::error::Error` for it, or return `String` or `anyhow::Error`"
)]
pub trait TaskError: Sized {
    /// The form in which it is stored.
    fn raise(self, permanent: bool) -> Raised;
}

#[diagnostic::do_not_recommend]
impl<E: Into<Box<dyn Error + Send + Sync>>> TaskError for E {
    fn raise(self, permanent: bool) -> Raised {
        Raised::new(self, permanent)
    }
}

/// What a function of `unique_by` returns.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a unique key",
    label = "the function of `unique_by` returns this; a key needs `std::fmt::Display`",
    note = "return a `String` or a number"
)]
pub trait KeyText {
    /// The key.
    fn key_text(&self) -> String;
}

#[diagnostic::do_not_recommend]
impl<T: std::fmt::Display> KeyText for T {
    fn key_text(&self) -> String {
        self.to_string()
    }
}

/// The state of a task.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the state of a task",
    label = "needs `Clone`, `Send`, `Sync` and `'static`",
    note = "wrap it in an `Arc`"
)]
pub trait Stateful: Sized {
    /// The value for this run.
    fn from_frame(frame: &Frame) -> State<Self>;
}

#[diagnostic::do_not_recommend]
impl<T: Clone + Send + Sync + 'static> Stateful for T {
    fn from_frame(frame: &Frame) -> State<Self> {
        frame.state()
    }
}

/// A parameter that is filled in where the task runs.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a parameter that is filled in where the task runs",
    label = "neither `hereafter::Context` nor `hereafter::State<T>`",
    note = "write `#[arg]` before the parameter to make it an ordinary argument"
)]
pub trait FromFrame {
    /// Takes it out of the frame.
    fn from_frame(frame: &Frame) -> Self;
}

impl FromFrame for Context {
    fn from_frame(frame: &Frame) -> Self {
        frame.context.clone()
    }
}

impl<T: Stateful> FromFrame for State<T> {
    fn from_frame(frame: &Frame) -> Self {
        T::from_frame(frame)
    }
}

/// Takes a `Result` apart, also through an alias.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is named `Result`, but is none",
    label = "expected `std::result::Result` or an alias of it",
    note = "a task whose return type is named `Result` is fallible; give this type another name"
)]
pub trait Fallible {
    /// What it yields.
    type Ok;
    /// Its error.
    type Error;

    /// The `Result` itself.
    fn into_result(self) -> Result<Self::Ok, Self::Error>;
}

impl<T, E> Fallible for Result<T, E> {
    type Ok = T;
    type Error = E;

    fn into_result(self) -> Self {
        self
    }
}

/// `ResultProbe::<T>::IS_RESULT` says whether `T` is a `Result`: an inherent constant wins over one of
/// a trait.
#[derive(Debug)]
pub struct ResultProbe<T>(PhantomData<T>);

impl<T, E> ResultProbe<Result<T, E>> {
    /// It is.
    pub const IS_RESULT: bool = true;
}

/// The answer for every other type.
pub trait NotResult {
    /// It is not.
    const IS_RESULT: bool = false;
}

impl<T> NotResult for ResultProbe<T> {}

/// `(&&PermanentProbe(&error)).is_permanent()` looks for a [`Permanent`] in the chain of whatever
/// error a task has: method look-up prefers the impl that needs fewer borrows.
#[derive(Debug)]
pub struct PermanentProbe<'a, E>(pub &'a E);

/// For errors, and for what derefs to one, such as `anyhow::Error`.
pub trait ProbeError {
    /// Whether a [`Permanent`] is in the chain.
    fn is_permanent(&self) -> bool;
}

impl<E: AsRef<dyn Error + Send + Sync + 'static>> ProbeError for &PermanentProbe<'_, E> {
    fn is_permanent(&self) -> bool {
        Permanent::is_in(self.0.as_ref())
    }
}

/// For everything else: what is not boxed yet keeps its chain when it is boxed.
pub trait ProbeOther {
    /// Left to the chain of the boxed error.
    fn is_permanent(&self) -> bool;
}

impl<E> ProbeOther for PermanentProbe<'_, E> {
    fn is_permanent(&self) -> bool {
        false
    }
}
