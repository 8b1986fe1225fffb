//! `#[register_task]` at run time: what it registers, and what its calls do here.

mod attributes;
mod calls;
mod continued;
mod errors;
mod filled_in;
mod methods;
mod nested;
mod options;
mod parameters;
mod records;
mod streams;

use hereafter::prelude::*;
use hereafter::{
    CodecError, Completion, ContextParts, Frame, JobId, Payload, Raised, Run, StateMap,
    TaskDescriptor, TraceParent, Yielded,
};

/// A state type.
#[derive(Debug, Clone, PartialEq)]
struct Store(&'static str);

fn frame(task: &TaskDescriptor, states: StateMap) -> Frame {
    let context = Context::new(ContextParts {
        job: JobId::new(),
        task: task.name.to_owned(),
        attempt: 1,
        deadline: None,
        trace: TraceParent::root(),
        client: None,
        cancelled: Default::default(),
        voice: None,
        completing: None,
    });
    Frame { context, states }
}

fn prepare(task: &TaskDescriptor, args: &str, states: StateMap) -> Result<Run, CodecError> {
    (task.prepare)(args.as_bytes(), frame(task, states))
}

fn run(task: &TaskDescriptor, args: &str) -> Run {
    prepare(task, args, StateMap::default()).expect("the arguments fit")
}

/// Runs a plain task as a worker does.
fn complete(task: &TaskDescriptor, args: &str) -> Result<Option<Payload>, Raised> {
    match run(task, args) {
        Run::Plain(run) => result(run()),
        other => panic!("`{}` is no plain function: {other:?}", task.name),
    }
}

/// The encoded result of a task that is not continued.
fn result(completion: Completion) -> Result<Option<Payload>, Raised> {
    match completion? {
        Yielded::Result(result) => Ok(result),
        other => panic!("it did not end: {other:?}"),
    }
}

fn output(task: &TaskDescriptor, args: &str) -> String {
    let output = complete(task, args).unwrap().expect("it yields a value");
    String::from_utf8(output.as_slice().to_vec()).unwrap()
}

fn raised(task: &TaskDescriptor, args: &str) -> Raised {
    complete(task, args).unwrap_err()
}

fn refusal(task: &TaskDescriptor, args: &str) -> String {
    prepare(task, args, StateMap::default()).unwrap_err().to_string()
}

fn moved_to_line_one(task: &TaskDescriptor) -> &'static TaskDescriptor {
    let &TaskDescriptor {
        name,
        aliases,
        file,
        params,
        options,
        schedule,
        stream,
        kind,
        states,
        output,
        prepare,
        ..
    } = task;
    let line = 1;
    let moved = TaskDescriptor {
        name,
        aliases,
        file,
        line,
        params,
        options,
        schedule,
        stream,
        kind,
        states,
        output,
        prepare,
    };
    Box::leak(Box::new(moved))
}
