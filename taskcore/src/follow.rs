//! Follow-ups: jobs that run after another one, whenever they are added.

use futures::future::{BoxFuture, FutureExt};
use serde::de::DeserializeOwned;

use crate::arg::{Arg, IntoArg, Later};
use crate::error::JobError;
use crate::handle::Handle;
use crate::id::JobId;
use crate::kind::{Awaited, Maybe};
use crate::payload::CodecError;
use crate::plan::Planned;

/// The failure of a job, as an argument: what takes it runs only if that job fails, is cancelled
/// or expires. From [`Handle::failure`].
pub struct FailureOf<T>(Handle<T>);

impl<T> FailureOf<T> {
    pub(crate) fn of(handle: Handle<T>) -> Self {
        Self(handle)
    }
}

impl<T> std::fmt::Debug for FailureOf<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FailureOf({:?})", self.0)
    }
}

impl<T: DeserializeOwned + Send + 'static> IntoArg<JobError> for FailureOf<T> {
    type Kind = (Maybe, Awaited);

    fn into_arg(self) -> Arg<JobError> {
        Arg::later(self)
    }
}

impl<T: DeserializeOwned + Send + 'static> Later<JobError> for FailureOf<T> {
    fn plan(&self) -> Result<Planned, CodecError> {
        Ok(Planned::Failure(self.0.id(), self.0.source()))
    }

    fn start(self: Box<Self>) -> BoxFuture<'static, Result<JobError, JobError>> {
        async move {
            let job = self.0.id();
            match self.0.await {
                Ok(_) => Err(did_not_fail(job)),
                Err(error) => Ok(error),
            }
        }
        .boxed()
    }

    fn run_in_place(self: Box<Self>) -> Result<JobError, JobError> {
        unreachable!("a handle is never `InPlace`")
    }
}

/// Why there is no failure to pass on.
pub(crate) fn did_not_fail(job: JobId) -> JobError {
    JobError::NotKept { job, reason: "it did not fail".to_owned() }
}
