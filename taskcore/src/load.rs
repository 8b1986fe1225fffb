//! [`Loading`]: how the records of a run are had.

use std::any::type_name;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;

use futures::future::{BoxFuture, try_join};

use crate::error::FailureKind;
use crate::fetch::{Fetch, Given};
use crate::payload::CodecError;
use crate::plan::{ArgsPlan, encode_arg};
use crate::record::Record;
use crate::task::{Frame, Raised, StateNeed};

/// The error of the load of a parameter of this type.
type ErrorOf<P> = <<P as Fetch>::Record as Record>::Error;

/// What generated code does with the parameters of type `P`. [`Unfetched`] answers for what is no
/// [`Fetch`], so that the check of the parameter is the only error: an inherent function wins over
/// one of a trait where its bounds hold.
#[derive(Debug)]
pub struct FetchWire<P>(PhantomData<P>);

impl<P: Fetch> FetchWire<P> {
    /// The need for what the load takes.
    pub const NEED: StateNeed = StateNeed::of::<<P::Record as Record>::From>();

    /// Encodes the key.
    pub fn encode(given: &Given<P>, plan: &mut ArgsPlan) -> Result<(), CodecError> {
        encode_arg(given.key(), plan)
    }

    /// What was decoded.
    pub fn take(given: Given<P>) -> Given<P> {
        given
    }

    /// Gets the record; one that was given is not loaded again. `is_permanent` is what the type of
    /// an error tells of it beyond its chain.
    pub fn load(
        given: Given<P>,
        parameter: &'static str,
        frame: &Frame,
        is_permanent: fn(&ErrorOf<P>) -> bool,
    ) -> Loading<P> {
        let (key, record) = given.into_parts();
        if let Some(found) = record.and_then(|record| P::found(Some(record))) {
            return Loading::Here(found);
        }
        let frame = frame.clone();
        Loading::Later(Box::pin(async move {
            let Some(key) = P::wanted(key) else {
                return P::found(None).ok_or_else(|| Missing::of::<P>("null", parameter).raise());
            };
            // For errors: the load takes the key itself.
            let text = serde_json::to_string(&key).unwrap_or_else(|error| error.to_string());
            let from = frame.state::<<P::Record as Record>::From>().0;
            let record = P::Record::load(key, from).await.map_err(|error| {
                let permanent = is_permanent(&error);
                Unloaded::of::<P>(&text, parameter, error.into()).raise::<P>(permanent)
            })?;
            P::found(record).ok_or_else(|| Missing::of::<P>(&text, parameter).raise())
        }))
    }
}

/// The answer of [`FetchWire`] for types that were refused: it compiles and never runs.
pub trait Unfetched {
    /// The refused type.
    type Refused;

    /// Stands in for a need.
    const NEED: StateNeed = StateNeed::of::<()>();

    /// Stands in for the encoder.
    fn encode(_: &Given<Self::Refused>, _: &mut ArgsPlan) -> Result<(), CodecError> {
        refused()
    }

    /// Stands in for the value.
    fn take((): ()) -> Given<Self::Refused> {
        refused()
    }

    /// Stands in for the load.
    fn load(
        _: Given<Self::Refused>,
        _: &'static str,
        _: &Frame,
        _: fn(&()) -> bool,
    ) -> Loading<Self::Refused> {
        refused()
    }
}

impl<P> Unfetched for FetchWire<P> {
    type Refused = P;
}

fn refused() -> ! {
    unreachable!("a type that cannot be fetched was refused at compile time")
}

/// All that is to be had: pairs of the first and the rest, up to `()`.
pub trait LoadAll: Send + 'static {
    /// What the task receives, in the same form.
    type Loaded: Send + 'static;

    /// Gets all of them, at the same time; the first that fails ends the rest.
    fn at_once(self) -> Loading<Self::Loaded>;
}

impl LoadAll for () {
    type Loaded = ();

    fn at_once(self) -> Loading<()> {
        Loading::Here(())
    }
}

impl<T: Send + 'static, Rest: LoadAll> LoadAll for (Loading<T>, Rest) {
    type Loaded = (T, Rest::Loaded);

    fn at_once(self) -> Loading<Self::Loaded> {
        self.0.and(self.1.at_once())
    }
}

/// What is here, or is loaded.
pub enum Loading<T> {
    /// Nothing was to be loaded.
    Here(T),
    /// To be awaited.
    Later(BoxFuture<'static, Result<T, Raised>>),
}

impl<T: Send + 'static> Loading<T> {
    /// What is made of it.
    pub fn map<U>(self, make: impl FnOnce(T) -> U + Send + 'static) -> Loading<U> {
        match self {
            Self::Here(value) => Loading::Here(make(value)),
            Self::Later(value) => Loading::Later(Box::pin(async move { Ok(make(value.await?)) })),
        }
    }

    /// This and another one, at the same time.
    fn and<U: Send + 'static>(self, other: Loading<U>) -> Loading<(T, U)> {
        match (self, other) {
            (Self::Here(first), other) => other.map(|second| (first, second)),
            (first, Loading::Here(second)) => first.map(|first| (first, second)),
            (Self::Later(first), Loading::Later(second)) => {
                Loading::Later(Box::pin(try_join(first, second)))
            }
        }
    }

    /// Waits for it.
    pub(crate) async fn had(self) -> Result<T, Raised> {
        match self {
            Self::Here(value) => Ok(value),
            Self::Later(value) => value.await,
        }
    }
}

impl<T> fmt::Debug for Loading<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here(_) => "Loading::Here",
            Self::Later(_) => "Loading::Later",
        })
    }
}

/// A record that is no more.
#[derive(Debug, thiserror::Error)]
#[error(
    "no `{record}` has the key {key}, which parameter `{parameter}` names; take an `Option` where it may be gone"
)]
struct Missing {
    record: &'static str,
    key: String,
    parameter: &'static str,
}

impl Missing {
    fn of<P: Fetch>(key: &str, parameter: &'static str) -> Self {
        Self { record: type_name::<P::Record>(), key: key.to_owned(), parameter }
    }

    fn raise(self) -> Raised {
        Raised { kind: FailureKind::Arguments, ..Raised::new(self, true) }
    }
}

/// A record of which nobody knows whether it is there.
#[derive(Debug, thiserror::Error)]
#[error("cannot load the `{record}` with the key {key} for parameter `{parameter}`")]
struct Unloaded {
    record: &'static str,
    key: String,
    parameter: &'static str,
    source: Box<dyn Error + Send + Sync>,
}

impl Unloaded {
    fn of<P: Fetch>(
        key: &str,
        parameter: &'static str,
        source: Box<dyn Error + Send + Sync>,
    ) -> Self {
        Self { record: type_name::<P::Record>(), key: key.to_owned(), parameter, source }
    }

    /// The error's type is that of the load, which its reader knows.
    fn raise<P: Fetch>(self, permanent: bool) -> Raised {
        Raised { error_type: type_name::<ErrorOf<P>>(), ..Raised::new(self, permanent) }
    }
}
