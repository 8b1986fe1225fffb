//! [`IntoArg`]: what may be written where a task takes a `T`.

use std::fmt;
use std::path::{Path, PathBuf};

use futures::future::BoxFuture;

use crate::call::Call;
use crate::error::JobError;
use crate::handle::Handle;
use crate::kind::{ArgKind, Awaited, InPlace, Maybe, Place, Sure};
use crate::payload::CodecError;
use crate::plan::Planned;

/// What may be written where a task takes a `T`: a `T`, a borrowed form of it, or a [`Call`] or
/// [`Handle`] that yields one.
///
/// Where a task takes a `Result<T, JobError>`, a call or a handle that yields a `T` fits as
/// well: its failure is then the argument, and not the end of the call around it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be passed where the task takes `{T}`",
    label = "expected `{T}`, or a call or handle that yields one"
)]
pub trait IntoArg<T> {
    /// Whether it can fail, and where it can be had.
    type Kind: ArgKind;

    /// Takes the argument in.
    fn into_arg(self) -> Arg<T>;
}

/// An argument that a call was given. Opaque: its forms grow.
pub struct Arg<T> {
    pub(crate) form: Form<T>,
}

pub(crate) enum Form<T> {
    /// It is here.
    Value(T),
    /// Another call or job yields it.
    Later(Box<dyn Later<T>>),
}

/// What yields an argument.
pub(crate) trait Later<T>: Send {
    /// How many calls lie in one another, this one counted.
    fn depth(&self) -> u32 {
        0
    }

    /// How a job gets it.
    fn plan(&self) -> Result<Planned, CodecError>;

    /// Gets it here.
    fn start(self: Box<Self>) -> BoxFuture<'static, Result<T, JobError>>;

    /// Gets it on this thread. Called only where the types say that it can.
    fn run_in_place(self: Box<Self>) -> Result<T, JobError>;
}

impl<T> Arg<T> {
    /// How many calls lie in one another there.
    pub(crate) fn depth(&self) -> u32 {
        match &self.form {
            Form::Value(_) => 0,
            Form::Later(later) => later.depth(),
        }
    }

    fn value(value: T) -> Self {
        Self { form: Form::Value(value) }
    }

    pub(crate) fn later(later: impl Later<T> + 'static) -> Self {
        Self { form: Form::Later(Box::new(later)) }
    }
}

impl<T> fmt::Debug for Arg<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.form {
            Form::Value(_) => "Arg(value)",
            Form::Later(_) => "Arg(later)",
        })
    }
}

impl<T> IntoArg<T> for T {
    type Kind = (Sure, InPlace);

    fn into_arg(self) -> Arg<T> {
        Arg::value(self)
    }
}

/// Borrowed forms are stored as the owned one.
macro_rules! borrowed {
    ($([$($generics:tt)*] $from:ty => $to:ty, $convert:expr;)+) => {$(
        impl<$($generics)*> IntoArg<$to> for $from {
            type Kind = (Sure, InPlace);

            fn into_arg(self) -> Arg<$to> {
                Arg::value($convert(self))
            }
        }
    )+};
}

borrowed! {
    [] &str => String, str::to_owned;
    [] &String => String, String::clone;
    [] &Path => PathBuf, Path::to_path_buf;
    [] &PathBuf => PathBuf, PathBuf::clone;
    [] &str => PathBuf, PathBuf::from;
    [T: Clone] &[T] => Vec<T>, <[T]>::to_vec;
    [T: Clone] &Vec<T> => Vec<T>, Vec::clone;
    [T: Clone, const N: usize] &[T; N] => Vec<T>, |array: &[T; N]| array.to_vec();
    [T, const N: usize] [T; N] => Vec<T>, Vec::from;
}

impl<T, R, P> IntoArg<T> for Call<T, R, P>
where
    T: Send + 'static,
    R: Send + 'static,
    P: Place,
{
    type Kind = (Maybe, P);

    fn into_arg(self) -> Arg<T> {
        Arg::later(self)
    }
}

impl<T, R, P> IntoArg<Result<T, JobError>> for Call<T, R, P>
where
    T: Send + 'static,
    R: Send + 'static,
    P: Place,
{
    type Kind = (Sure, P);

    fn into_arg(self) -> Arg<Result<T, JobError>> {
        Arg::later(Tolerant(self))
    }
}

impl<T: serde::de::DeserializeOwned + Send + 'static> IntoArg<T> for Handle<T> {
    type Kind = (Maybe, Awaited);

    fn into_arg(self) -> Arg<T> {
        Arg::later(Call::from(self))
    }
}

impl<T: serde::de::DeserializeOwned + Send + 'static> IntoArg<Result<T, JobError>> for Handle<T> {
    type Kind = (Sure, Awaited);

    fn into_arg(self) -> Arg<Result<T, JobError>> {
        Arg::later(Tolerant(Call::from(self)))
    }
}

impl<T, R, P> Later<T> for Call<T, R, P>
where
    T: Send + 'static,
    R: Send + 'static,
    P: Place,
{
    fn depth(&self) -> u32 {
        self.nesting()
    }

    fn plan(&self) -> Result<Planned, CodecError> {
        self.planned()
    }

    fn start(self: Box<Self>) -> BoxFuture<'static, Result<T, JobError>> {
        Box::pin((*self).judged())
    }

    fn run_in_place(self: Box<Self>) -> Result<T, JobError> {
        (*self).judged_in_place()
    }
}

/// A call whose failure is a value.
pub(crate) struct Tolerant<C>(pub(crate) C);

impl<T: Send + 'static, C: Later<T> + 'static> Later<Result<T, JobError>> for Tolerant<C> {
    fn depth(&self) -> u32 {
        self.0.depth()
    }

    fn plan(&self) -> Result<Planned, CodecError> {
        Ok(Planned::Try(Box::new(self.0.plan()?)))
    }

    fn start(self: Box<Self>) -> BoxFuture<'static, Result<Result<T, JobError>, JobError>> {
        let inner = Box::new(self.0).start();
        Box::pin(async move { Ok(inner.await) })
    }

    fn run_in_place(self: Box<Self>) -> Result<Result<T, JobError>, JobError> {
        Ok(Box::new(self.0).run_in_place())
    }
}
