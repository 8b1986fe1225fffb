//! The worker program of the whole-system tests.

use tasksystem as _;

fn main() -> std::process::ExitCode {
    hereafter::worker::main()
}
