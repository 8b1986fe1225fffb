//! Tasks that every worker knows.

use std::any::TypeId;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::each::EACH;
use crate::options::TaskOptions;
use crate::payload::{CodecError, Payload};
use crate::task::{Frame, Run, TaskDescriptor, TaskKind, Yielded};

/// The task of a [`gather`](crate::gather()) that is delayed alone: yields its argument.
pub(crate) static GATHER: TaskDescriptor = TaskDescriptor {
    name: "hereafter::gather",
    aliases: &[],
    file: file!(),
    line: line!(),
    params: &[GATHER_PARAM],
    options: TaskOptions::DEFAULT,
    schedule: None,
    stream: None,
    kind: TaskKind::Async,
    states: &[],
    output: TypeId::of::<Gathered>,
    prepare: prepare_gather,
};

/// The argument of [`GATHER`].
pub(crate) const GATHER_PARAM: &str = "of";

/// Stands for whatever the inputs yield together.
struct Gathered;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Args<'a> {
    #[serde(borrow)]
    of: &'a RawValue,
}

fn prepare_gather(args: &[u8], _: Frame) -> Result<Run, CodecError> {
    let Args { of } = serde_json::from_slice(args).map_err(CodecError)?;
    let result = Payload::from(of.get().as_bytes().to_vec());
    Ok(Run::Async(Box::pin(std::future::ready(Ok(Yielded::Result(Some(result)))))))
}

/// The built-in task of this name.
pub(crate) fn find(name: &str) -> Option<&'static TaskDescriptor> {
    [&GATHER, &EACH].into_iter().find(|task| task.name == name)
}
