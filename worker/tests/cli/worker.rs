//! A worker program as users write it, for the tests of the command line.

mod tasks;

use std::process::ExitCode;

/// Hangs where a test says so.
#[taskcore::on_start(crate = taskcore)]
async fn hang_if_told(_: &mut taskcore::Start) {
    let Ok(how) = std::env::var("HANG_AT_START") else { return };
    tracing::info!("hanging");
    match how.as_str() {
        "waiting" => std::future::pending().await,
        _ => loop {
            std::thread::park();
        },
    }
}

fn main() -> ExitCode {
    taskworker::main()
}
