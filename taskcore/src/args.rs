//! [`Slots`]: the arguments of a call, before they are all there.

use std::fmt;

use futures::future::BoxFuture;

use crate::arg::{Arg, Form};
use crate::error::JobError;
use crate::payload::CodecError;
use crate::plan::ArgsPlan;

/// One argument that a call was given, with the way to encode it.
pub struct Slot<T> {
    arg: Arg<T>,
    encode: fn(&T, &mut ArgsPlan) -> Result<(), CodecError>,
}

impl<T> Slot<T> {
    /// Joins an argument and its encoder, which generated code picks.
    pub fn new(arg: Arg<T>, encode: fn(&T, &mut ArgsPlan) -> Result<(), CodecError>) -> Self {
        Self { arg, encode }
    }
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.arg, f)
    }
}

/// All arguments of a call, in order: pairs of the first and the rest, up to `()`.
pub trait Slots: Send + 'static {
    /// The values, in the same form.
    type Values: Send + 'static;

    /// Adds each argument to the plan, under its name.
    #[doc(hidden)]
    fn plan(&self, names: &[&'static str], plan: &mut ArgsPlan) -> Result<(), CodecError>;

    /// How many calls lie in one another in the deepest argument.
    #[doc(hidden)]
    fn depth(&self) -> u32;

    /// Whether every value is here.
    #[doc(hidden)]
    fn are_here(&self) -> bool;

    /// The values. Calls among them run on this thread.
    #[doc(hidden)]
    fn take(self) -> Result<Self::Values, JobError>;

    /// The values. Calls among them run at the same time; the first that fails ends the rest.
    #[doc(hidden)]
    fn gather(self) -> BoxFuture<'static, Result<Self::Values, JobError>>;
}

impl Slots for () {
    type Values = ();

    fn plan(&self, _: &[&'static str], _: &mut ArgsPlan) -> Result<(), CodecError> {
        Ok(())
    }

    fn depth(&self) -> u32 {
        0
    }

    fn are_here(&self) -> bool {
        true
    }

    fn take(self) -> Result<(), JobError> {
        Ok(())
    }

    fn gather(self) -> BoxFuture<'static, Result<(), JobError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl<T: Send + 'static, Rest: Slots> Slots for (Slot<T>, Rest) {
    type Values = (T, Rest::Values);

    fn plan(&self, names: &[&'static str], plan: &mut ArgsPlan) -> Result<(), CodecError> {
        let (Slot { arg, encode }, rest) = self;
        let (name, names) = names.split_first().expect("the attribute names every argument");
        match &arg.form {
            Form::Value(value) => {
                plan.begin(name);
                encode(value, plan)?;
            }
            Form::Later(later) => plan.add_input(name, later.plan()?),
        }
        rest.plan(names, plan)
    }

    fn depth(&self) -> u32 {
        self.0.arg.depth().max(self.1.depth())
    }

    fn are_here(&self) -> bool {
        matches!(self.0.arg.form, Form::Value(_)) && self.1.are_here()
    }

    fn take(self) -> Result<Self::Values, JobError> {
        let (Slot { arg, .. }, rest) = self;
        let value = match arg.form {
            Form::Value(value) => value,
            Form::Later(later) => later.run_in_place()?,
        };
        Ok((value, rest.take()?))
    }

    fn gather(self) -> BoxFuture<'static, Result<Self::Values, JobError>> {
        let (Slot { arg, .. }, rest) = self;
        let rest = rest.gather();
        match arg.form {
            Form::Value(value) => Box::pin(async move { Ok((value, rest.await?)) }),
            Form::Later(later) => {
                let first = later.start();
                Box::pin(async move { futures::future::try_join(first, rest).await })
            }
        }
    }
}
