//! Types, traits, registry and client of the Hereafter task queue.
//!
//! Applications use the facade `hereafter`, which re-exports all of this; a broker crate
//! depends on this crate alone and implements [`broker::Broker`].
//!
//! No I/O happens here: no database, network or command line crate is a dependency.

pub mod broker;
pub mod schedule;
pub mod scope;

mod arg;
mod args;
mod bound;
mod builtin;
mod call;
mod client;
mod clock;
mod completing;
mod context;
mod continuation;
mod each;
mod envelope;
mod error;
mod fetch;
mod follow;
#[cfg(test)]
mod fuzz;
mod gather;
mod handle;
mod hook;
mod id;
mod json;
mod kind;
mod lazy;
mod ledger;
mod load;
mod options;
mod outlet;
mod panic;
mod payload;
mod plan;
mod queue;
mod reader;
mod record;
mod retry;
mod source;
mod state;
mod task;
mod trace;
mod unique;
mod voice;
mod wait;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

pub use arg::{Arg, IntoArg};
pub use broker::{OnConflict, UniqueScope};
pub use call::Call;
pub use client::{
    Client, ClientBuilder, Continued, EventStream, Followed, InvalidMode, Mode, Switch, connect,
    set_default,
};
pub use clock::Clock;
pub use completing::Completing;
pub use context::{Context, ContextParts};
pub use continuation::{Continuation, Continue};
pub use envelope::{Envelope, EnvelopeError};
pub use error::{DelayError, Failure, FailureKind, JobError, Permanent, error_chain};
pub use fetch::{ByKey, ByOption, ByRecord, ByReference, Fetch, Given, IntoRecord, KeyOf};
pub use follow::FailureOf;
pub use gather::{Gathered, Results, Yield, gather, gather_map, gather_results};
pub use handle::Handle;
pub use hook::{Start, StartHook};
pub use id::{InvalidJobId, JobId};
pub use kind::{ArgKind, ArgKinds, Awaited, Direct, Failing, InPlace, Maybe, Place, PlaceOf, Sure};
pub use ledger::Ledger;
pub use options::TaskOptions;
pub use outlet::{OnDemand, Outlet, StreamOptions, StreamRun};
pub use panic::panic_message;
pub use payload::{Codec, CodecError, Json, Payload};
pub use queue::{InvalidPriority, InvalidQueueName, Priority, QueueName};
pub use reader::{ItemStream, ProgressStream};
pub use record::Record;
pub use retry::{Backoff, RetryPolicy};
pub use schedule::{Missed, Schedule, ScheduleHandle};
pub use source::{NoArgument, Source};
pub use state::{State, StateMap, scope_state};
pub use task::{
    Completion, DuplicateTask, Frame, Raised, Registry, Run, StateNeed, TaskDescriptor, TaskKind,
    Yielded, registry,
};
pub use trace::{InvalidTraceParent, TraceParent};
pub use unique::{TaskUnique, UniqueBy};
pub use voice::Voice;
pub use wait::{as_completed, map, map_within};

pub use taskmacro::{on_start, register_task, task, test};
