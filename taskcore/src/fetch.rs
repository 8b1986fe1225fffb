//! [`IntoRecord`]: what may be written where a task fetches a record.

use std::any::{Any, type_name};
use std::fmt;
use std::marker::PhantomData;

use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::arg::{Arg, Form, IntoArg, Later};
use crate::error::JobError;
use crate::kind::{ArgKind, Awaited, InPlace, Maybe, Sure};
use crate::payload::CodecError;
use crate::plan::Planned;
use crate::record::Record;

/// The type of a parameter marked `#[fetch]`: a [`Record`], or an `Option` of one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be fetched",
    label = "needs `hereafter::Record`",
    note = "implement `hereafter::Record` for it, which says what its key is and how to load it, or remove `#[fetch]` to store the value itself"
)]
pub trait Fetch: Sized + Send + 'static {
    /// The record.
    type Record: Record;

    /// What a job stores.
    type Key: Serialize + DeserializeOwned + Send + 'static;

    /// The stored form of a key.
    #[doc(hidden)]
    fn stored(key: KeyOf<Self>) -> Self::Key;

    /// The key to load, if there is anything to load.
    #[doc(hidden)]
    fn wanted(key: Self::Key) -> Option<KeyOf<Self>>;

    /// What the task receives; `None` if it needs a record, and there is none.
    #[doc(hidden)]
    fn found(record: Option<Self::Record>) -> Option<Self>;
}

/// The key of the record that a parameter of this type takes.
pub type KeyOf<P> = <<P as Fetch>::Record as Record>::Key;

#[diagnostic::do_not_recommend]
impl<R: Record> Fetch for R {
    type Record = R;
    type Key = R::Key;

    fn stored(key: R::Key) -> R::Key {
        key
    }

    fn wanted(key: R::Key) -> Option<R::Key> {
        Some(key)
    }

    fn found(record: Option<R>) -> Option<R> {
        record
    }
}

impl<R: Record> Fetch for Option<R> {
    type Record = R;
    type Key = Option<R::Key>;

    fn stored(key: R::Key) -> Option<R::Key> {
        Some(key)
    }

    fn wanted(key: Option<R::Key>) -> Option<R::Key> {
        key
    }

    fn found(record: Self) -> Option<Self> {
        Some(record)
    }
}

/// What may be written where a task fetches a `P`: the record, a reference to it, its key, or a
/// call or handle that yields its key. For an `Option`, an `Option` of a key as well.
///
/// `By` tells these apart, and is always inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be passed where the task fetches `{P}`",
    label = "expected the record, a reference to it, its key, or a call or handle that yields its key"
)]
pub trait IntoRecord<P, By> {
    /// Whether it can fail, and where it can be had: a key is loaded.
    type Kind: ArgKind;

    /// Takes the argument in.
    fn into_arg(self) -> Arg<Given<P>>;
}

/// Marks an argument that is the record itself.
#[derive(Debug, Clone, Copy)]
pub enum ByRecord {}

/// Marks an argument that is a reference to the record, of which the call keeps a clone.
#[derive(Debug, Clone, Copy)]
pub enum ByReference {}

/// Marks an argument that is a key, or yields one.
#[derive(Debug, Clone, Copy)]
pub enum ByKey {}

/// Marks an argument that is an `Option` of a key, or yields one.
#[derive(Debug, Clone, Copy)]
pub enum ByOption {}

#[diagnostic::do_not_recommend]
impl<P: Fetch<Record = R>, R: Record> IntoRecord<P, ByRecord> for R {
    type Kind = (Sure, InPlace);

    fn into_arg(self) -> Arg<Given<P>> {
        IntoArg::into_arg(Given::new(Held { key: P::stored(self.key()), record: Some(self) }))
    }
}

#[diagnostic::do_not_recommend]
impl<P: Fetch<Record = R>, R: Record + Clone> IntoRecord<P, ByReference> for &R {
    type Kind = (Sure, InPlace);

    fn into_arg(self) -> Arg<Given<P>> {
        IntoRecord::into_arg(self.clone())
    }
}

#[diagnostic::do_not_recommend]
impl<P: Fetch, A: IntoArg<KeyOf<P>>> IntoRecord<P, ByKey> for A {
    type Kind = (Maybe, Awaited);

    fn into_arg(self) -> Arg<Given<P>> {
        by_key(self.into_arg(), P::stored)
    }
}

#[diagnostic::do_not_recommend]
impl<R: Record, A: IntoArg<Option<R::Key>>> IntoRecord<Option<R>, ByOption> for A {
    type Kind = (Maybe, Awaited);

    fn into_arg(self) -> Arg<Given<Option<R>>> {
        by_key(self.into_arg(), |key| key)
    }
}

fn by_key<P: Fetch, K: Send + 'static>(key: Arg<K>, stored: fn(K) -> P::Key) -> Arg<Given<P>> {
    match key.form {
        Form::Value(key) => IntoArg::into_arg(Given::of_key(stored(key))),
        Form::Later(key) => Arg::later(Keyed { key, stored }),
    }
}

/// A call or handle that yields a key.
struct Keyed<P: Fetch, K> {
    key: Box<dyn Later<K>>,
    stored: fn(K) -> P::Key,
}

impl<P: Fetch, K: Send + 'static> Later<Given<P>> for Keyed<P, K> {
    fn depth(&self) -> u32 {
        self.key.depth()
    }

    fn plan(&self) -> Result<Planned, CodecError> {
        self.key.plan()
    }

    fn start(self: Box<Self>) -> BoxFuture<'static, Result<Given<P>, JobError>> {
        let Self { key, stored } = *self;
        let key = key.start();
        Box::pin(async move { Ok(Given::of_key(stored(key.await?))) })
    }

    fn run_in_place(self: Box<Self>) -> Result<Given<P>, JobError> {
        unreachable!("what loads a record is never `InPlace`")
    }
}

/// What a call was given for a parameter of type `P`: the record, or its key.
pub struct Given<P> {
    /// A [`Held<P>`], out of sight of the compiler: the only place that needs a `P` to be a
    /// [`Fetch`] is then the check of the parameter, and what is none is one error.
    held: Box<dyn Any + Send>,
    marker: PhantomData<fn() -> P>,
}

struct Held<P: Fetch> {
    key: P::Key,
    /// Set if it is the record that was given.
    record: Option<P::Record>,
}

impl<P: Fetch> Given<P> {
    fn new(held: Held<P>) -> Self {
        Self { held: Box::new(held), marker: PhantomData }
    }

    fn of_key(key: P::Key) -> Self {
        Self::new(Held { key, record: None })
    }

    /// The stored form of the key.
    pub fn key(&self) -> &P::Key {
        &self.held.downcast_ref::<Held<P>>().expect(SAME_TYPE).key
    }

    /// The key, and the record if it is that which was given.
    pub(crate) fn into_parts(self) -> (P::Key, Option<P::Record>) {
        let Held { key, record } = *self.held.downcast::<Held<P>>().expect(SAME_TYPE);
        (key, record)
    }
}

const SAME_TYPE: &str = "a `Given<P>` is only made of a `Held<P>`";

impl<P> fmt::Debug for Given<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Given({})", type_name::<P>())
    }
}

/// A job has nothing but the key.
impl<'de, P: Fetch> Deserialize<'de> for Given<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        P::Key::deserialize(deserializer).map(Self::of_key)
    }
}
