//! What Hereafter costs over the raw driver: `cargo run --release -p taskbench`.
//!
//! Every figure is measured beside a floor, a small program that does the same durable work with
//! the raw driver and nothing else; runs of ours and of the floor alternate, and the ratio of the
//! medians is what counts. Read it in this order: `subject` (what is measured on), `floor` (what
//! it is divided by), `ours`, and `measure`, a file for each `--only`.

mod broker;
mod callers;
mod chart;
mod figures;
mod floor;
mod json;
mod lab;
mod measure;
mod options;
mod ours;
mod percentiles;
mod process;
mod progress;
mod side;
mod subject;
mod table;

use std::process::ExitCode;

use clap::Parser;

use options::Options;
use side::Side;

fn main() -> ExitCode {
    let first = std::env::args().nth(1);
    let done = match first.as_deref() {
        // Started again as a worker, this program is the worker's command line.
        Some("run") => return hereafter::worker::main(),
        Some(side::COMMAND) => Side::parse_from(std::env::args_os().skip(1)).run(),
        _ => lab::measure(&Options::parse()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
