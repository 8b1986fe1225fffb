//! The binary `hereafter`: operates a task queue from the command line. It has no tasks linked.

use std::process::ExitCode;

fn main() -> ExitCode {
    taskworker::main()
}
