//! From arguments to an exit code.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, CommandFactory, FromArgMatches};
use taskcore::error_chain;
use tokio::runtime::Handle;

use super::args::{Command, CommandLine, CompletionsArgs};
use super::error::CliError;
use super::output::{Format, Output, shown};
use super::settings::Settings;
use super::{doctor, events, jobs, migrate, queues, run, schedules, stats, tasks};
use crate::logging::{self, LogFilter};

/// The command line of a worker program, with the arguments of this process.
///
/// ```no_run
/// // use my_tasks as _;
/// fn main() -> std::process::ExitCode {
///     taskworker::main()
/// }
/// ```
///
/// Exit codes: 0 done, or stopped cleanly; 1 failed while running; 2 wrong usage; 3 refused to
/// start.
#[must_use]
pub fn main() -> ExitCode {
    main_from(std::env::args_os())
}

/// The command line with these arguments, of which the first is the program's name.
///
/// It builds a runtime of its own, also where it is called inside of one, whose thread it then
/// blocks. A `tracing` subscriber that is installed already stays, and the `--log-…` options
/// then have no effect.
#[must_use]
pub fn main_from(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let program = program(args.first());
    let parsed = command().try_get_matches_from(args).and_then(|matches| {
        CommandLine::from_arg_matches(&matches).map_err(|error| error.format(&mut command()))
    });
    let line = match parsed {
        Ok(line) => line,
        Err(error) => {
            let error = naming_variable(error);
            // Nothing is left to tell it to if the standard streams are closed.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match beside_any_runtime(|| dispatch(line, &program)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(used_up @ CliError::UsedUp) => used_up.exit_code(),
        // Whoever reads has seen enough, as `head` does.
        Err(CliError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {}", shown(&error_chain(&error)));
            error.exit_code()
        }
    }
}

/// A runtime cannot be driven from inside of another, as `#[tokio::main]` would have it.
fn beside_any_runtime<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if Handle::try_current().is_err() {
        return work();
    }
    let ended = thread::scope(|scope| scope.spawn(work).join());
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn dispatch(line: CommandLine, program: &str) -> Result<(), CliError> {
    let CommandLine { global, command } = line;
    // Asked for by start files of shells, wherever they start.
    if let Command::Completions(args) = &command {
        return completions(args, program);
    }
    let settings = Settings::load(&global)?;
    if let Command::Run(args) = &command {
        return run::run(&settings, args);
    }
    logging::install(&settings.log(LogFilter::warn()))?;
    let format = if global.json { Format::Json } else { Format::Text };
    let output = Output { format, color: settings.color };
    match &command {
        Command::Run(_) | Command::Completions(_) => Ok(()),
        Command::Tasks => tasks::list(output),
        Command::Queues(command) => queues::run(&settings, output, command),
        Command::Jobs(command) => jobs::run(&settings, output, command),
        Command::Schedules(command) => schedules::run(&settings, output, command),
        Command::Events(args) => events::run(&settings, output, args),
        Command::Stats(args) => stats::show(&settings, output, args),
        Command::Replay(args) => jobs::replay(&settings, output, args),
        Command::Doctor(args) => doctor::run(&settings, output, args),
        Command::Migrate(args) => migrate::run(&settings, output, args),
    }
}

fn completions(args: &CompletionsArgs, program: &str) -> Result<(), CliError> {
    // Into memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), program, &mut script);
    io::stdout().write_all(&script).map_err(CliError::Output)
}

/// Says which variable a refused value came from: clap names the flag only.
fn naming_variable(mut error: clap::Error) -> clap::Error {
    let text = |kind| error.get(kind).map(ToString::to_string);
    let (arg, value) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue));
    let (Some(arg), Some(value)) = (arg, value) else { return error };
    let mut command = command();
    // Arguments can be shown only once they are built.
    command.build();
    let Some(variable) = variable_of(&command, &arg) else { return error };
    let set = std::env::var(&variable).unwrap_or_default();
    if set.split(',').any(|part| part == value) || set == value {
        let tip = format!("the value is that of the variable {variable}");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// The variable of the argument that clap shows as `shown`, here or in a subcommand.
fn variable_of(command: &clap::Command, shown: &str) -> Option<String> {
    let found = command.get_arguments().find(|arg| arg.to_string() == shown);
    match found.and_then(Arg::get_env) {
        Some(variable) => Some(variable.to_string_lossy().into_owned()),
        None => command.get_subcommands().find_map(|command| variable_of(command, shown)),
    }
}

/// What the program is called by, without its folder.
fn program(first: Option<&OsString>) -> String {
    let name = first.map(Path::new).and_then(Path::file_stem);
    name.map_or_else(|| "hereafter".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The command, with variables that are set to nothing left out: an empty
/// `HEREAFTER_CONCURRENCY` in a container's environment means that there is none.
fn command() -> clap::Command {
    without_empty_variables(CommandLine::command())
}

fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &Arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        value.is_some_and(|value| value.is_empty())
    };
    command
        .mut_args(|arg| {
            let arg = if is_empty(&arg) { arg.env(Resettable::Reset) } else { arg };
            // Help that shows values would show passwords, and differ from machine to machine.
            arg.hide_env_values(true)
        })
        .mut_subcommands(without_empty_variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_consistent() {
        command().debug_assert();
    }
    #[cfg(feature = "memory")]
    #[tokio::test]
    async fn a_program_may_call_it_inside_a_runtime() {
        let args = ["worker", "queues", "list", "--url", "memory://"].map(OsString::from);
        assert_eq!(main_from(args), ExitCode::SUCCESS);
    }
}
