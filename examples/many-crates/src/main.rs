//! The whole worker program. Try `cargo run -p many-crates -- tasks`.

// Without this line the linker leaves the library out, and the worker says that it has no task.
use many_crates_tasks as _;

fn main() -> std::process::ExitCode {
    hereafter::worker::main()
}
