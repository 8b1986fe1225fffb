//! The process of a worker that another one of `run --processes` started: its side.

use std::ffi::OsString;
use std::io::{Read, stdin};
use std::thread;

use super::settings::WorkerSettings;
use crate::shutdown::Shutdown;

/// The variable that tells a process that it is one, and which: numbers from 1.
pub(super) const VARIABLE: &str = "HEREAFTER_PROCESS";

/// Which one this is; `None` if nobody replaces it when it ends.
pub(super) fn number() -> Option<u16> {
    std::env::var(VARIABLE).ok()?.parse().ok()
}

/// What is different in one of several processes: its name, and the port of its health.
pub(super) fn adapt(settings: &mut WorkerSettings, number: u16) {
    let WorkerSettings { config, health, processes, .. } = settings;
    config.ends_when_stuck = true;
    config.max_jobs = processes.max_jobs;
    if processes.is_named {
        config.name = format!("{}.{number}", config.name);
    }
    if let Some(address) = health
        && address.port() != 0
    {
        address.set_port(address.port().saturating_add(number - 1));
    }
}

/// Stops when the process is gone that started this one: it holds the other end of the input.
pub(super) fn end_with_parent(shutdown: Shutdown) -> std::io::Result<()> {
    let wait = move || {
        // An error is an end too.
        let _ = stdin().read_to_end(&mut Vec::new());
        tracing::warn!(target: "hereafter::worker", "the process that started this one is gone; stopping");
        shutdown.request();
    };
    thread::Builder::new().name("hereafter-parent".to_owned()).spawn(wait).map(drop)
}

/// The arguments of this program for another one like it, and as variables those that have passwords:
/// arguments are shown to all users of the machine.
pub(super) fn arguments(
    given: impl IntoIterator<Item = OsString>,
) -> (Vec<OsString>, Vec<(&'static str, OsString)>) {
    let (mut args, mut variables) = (Vec::new(), Vec::new());
    let mut given = given.into_iter();
    while let Some(arg) = given.next() {
        match arg.to_str().and_then(secret) {
            Some((variable, None)) => variables.extend(given.next().map(|url| (variable, url))),
            Some((variable, Some(url))) => variables.push((variable, url.into())),
            None => args.push(arg),
        }
    }
    (args, variables)
}

/// The variable that says the same as this argument, and the value if it is a part of it.
fn secret(arg: &str) -> Option<(&'static str, Option<&str>)> {
    let flags =
        [("--url", "HEREAFTER_URL"), ("-u", "HEREAFTER_URL"), ("--results", "HEREAFTER_RESULTS")];
    flags.into_iter().find_map(|(flag, variable)| {
        let rest = arg.strip_prefix(flag)?;
        let value = match rest.strip_prefix('=') {
            Some(value) => Some(value),
            None if rest.is_empty() => None,
            // A short flag needs no sign before its value.
            None if !flag.starts_with("--") => Some(rest),
            None => return None,
        };
        Some((variable, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_handed_over_as_variables_however_they_were_given() {
        let ways: [&[&str]; 4] = [
            &["run", "--url", "x://y", "--burst"],
            &["run", "--url=x://y", "--burst"],
            &["run", "-u", "x://y", "--burst"],
            &["run", "-ux://y", "--burst"],
        ];
        for way in ways {
            let (args, variables) = arguments(way.iter().map(OsString::from));
            assert_eq!(args, ["run", "--burst"]);
            assert_eq!(variables, [("HEREAFTER_URL", OsString::from("x://y"))]);
        }
        let (args, variables) = arguments(["--url=", "run"].map(OsString::from));
        assert_eq!((args, variables), (vec!["run".into()], vec![("HEREAFTER_URL", "".into())]));
        let (args, variables) = arguments(["--results=x://y", "--unrelated"].map(OsString::from));
        assert_eq!((args.len(), variables[0].0), (1, "HEREAFTER_RESULTS"));
    }
}
