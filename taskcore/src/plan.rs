//! [`Plan`]: a call as it would be stored, with the calls inside it.

use serde::Serialize;

use crate::broker::Unique;
use crate::handle::HandleSource;
use crate::id::JobId;
use crate::json;
use crate::options::CallOptions;
use crate::payload::{CodecError, Payload};
use crate::state::StateMap;
use crate::task::TaskDescriptor;

/// A call as it would be stored, with the calls inside it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) task: &'static TaskDescriptor,
    pub(crate) options: CallOptions,
    pub(crate) unique: Option<Unique>,
    /// For a run here, by an eager client.
    pub(crate) states: StateMap,
    pub(crate) args: ArgsPlan,
}

/// Where a job gets an argument from, before any job has an id.
#[derive(Debug)]
pub(crate) enum Planned {
    /// A job that is made with this one.
    Call(Box<Plan>),
    /// A job that is there.
    Job(JobId, HandleSource),
    /// The id of a job, or of the one that stands in for it.
    Id(JobId),
    /// What this gives, as a `Result` that says why if it is not there.
    Try(Box<Self>),
    /// The failure of a job that is there.
    Failure(JobId, HandleSource),
    /// All of these, in order.
    List(Vec<Self>),
    /// All of these, by the text of their keys.
    Map(Vec<(String, Self)>),
}

/// The arguments of a call: those that are here, encoded, and where the others come from.
#[derive(Debug)]
pub struct ArgsPlan {
    /// A JSON object that is not closed yet.
    object: Vec<u8>,
    pub(crate) inputs: Vec<(&'static str, Planned)>,
}

impl ArgsPlan {
    pub(crate) fn new() -> Self {
        let mut object = Vec::with_capacity(128);
        object.push(b'{');
        Self { object, inputs: Vec::new() }
    }

    /// Begins the value of this name.
    pub(crate) fn begin(&mut self, name: &str) {
        if self.object.len() > 1 {
            self.object.push(b',');
        }
        serde_json::to_writer(&mut self.object, name).expect("a text always encodes");
        self.object.push(b':');
    }

    pub(crate) fn add_input(&mut self, name: &'static str, input: Planned) {
        self.inputs.push((name, input));
    }

    /// The arguments that are here: one JSON object.
    pub(crate) fn given(&self) -> Payload {
        let mut object = Vec::with_capacity(self.object.len() + 1);
        object.extend_from_slice(&self.object);
        object.push(b'}');
        object.into()
    }
}

/// Encodes the value of an argument; for generated code.
pub fn encode_arg<T: Serialize>(value: T, plan: &mut ArgsPlan) -> Result<(), CodecError> {
    // One level is the object around it.
    json::append(&mut plan.object, &value, 1).map_err(CodecError)
}
