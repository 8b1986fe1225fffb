//! `jobs watch`.

use serde_json::{Value, json};
use taskcore::JobId;

use crate::support::{Printing, Running, System};
use crate::tasks::halve;

/// A job that goes on until the file `end` is there, with a worker for it.
fn halfway(system: &System) -> (JobId, Running) {
    let call = halve(system.path("end"));
    let id = system.client(async |client| call.delay_on(client).await.unwrap().id());
    (id, Running::start(system.worker().arg("run")))
}

/// Writes all of the text at once.
fn end(system: &System, text: &str) {
    std::fs::write(system.path("new"), text).unwrap();
    std::fs::rename(system.path("new"), system.path("end")).unwrap();
}

fn line_with(watching: &Printing, text: &str) -> String {
    loop {
        let line = watching.line();
        if line.contains(text) {
            return line;
        }
    }
}

#[test]
fn a_job_is_watched_until_it_is_done() {
    let system = System::with_store();
    let (id, _worker) = halfway(&system);
    let watching = Printing::start(system.hereafter().args(["jobs", "watch", &id.to_string()]));
    let line = line_with(&watching, "half");
    assert!(line.ends_with("  running    [##########----------] 50 % (1 of 2): half"), "{line}");
    end(&system, "");
    let (code, lines, errors) = watching.end();
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(lines.last().unwrap().contains("  done  "), "{lines:?}");
}

#[test]
fn a_watched_job_that_fails_ends_the_watch_with_1_and_its_error() {
    let system = System::with_store();
    let (id, _worker) = halfway(&system);
    let mut command = system.hereafter();
    let watching = Printing::start(command.args(["jobs", "watch", &id.to_string(), "--json"]));
    let running: Value = serde_json::from_str(&line_with(&watching, "half")).unwrap();
    assert_eq!((&running["job"], &running["state"]), (&json!(id), &json!("running")));
    assert_eq!(running["progress"], json!({ "done": 1, "total": 2, "message": "half" }));
    end(&system, "too\u{1b}[2J steep");
    let (code, lines, errors) = watching.end();
    assert_eq!(code, Some(1));
    assert!(errors.contains("too\\u{1b}[2J steep") && errors.contains("halve"), "{errors}");
    let failed: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!(failed["state"], "failed");
    assert_eq!(failed["failure"]["message"], "too\u{1b}[2J steep");
}

#[test]
fn a_watched_job_that_is_deleted_at_its_end_is_done_all_the_same() {
    let system = System::with_store();
    let call = halve(system.path("end")).ignore_result();
    let id = system.client(async |client| call.delay_on(client).await.unwrap().id());
    let _worker = Running::start(system.worker().arg("run"));
    let watching = Printing::start(system.hereafter().args(["jobs", "watch", &id.to_string()]));
    line_with(&watching, "half");
    end(&system, "");
    let (code, lines, errors) = watching.end();
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(lines.last().unwrap().contains("  done  "), "{lines:?}");
    system.refused(1, &["jobs", "show", &id.to_string()]);
}

#[test]
fn a_watched_job_that_somebody_deletes_is_said_to_be_gone() {
    let system = System::with_store();
    let call = halve(system.path("end"));
    let id = system.client(async |client| call.delay_on(client).await.unwrap().id());
    let watching = Printing::start(system.hereafter().args(["jobs", "watch", &id.to_string()]));
    line_with(&watching, "ready");
    system.text(&["queues", "purge", "--all", "--yes"]);
    let (code, _, errors) = watching.end();
    assert_eq!(code, Some(1));
    assert!(errors.contains("nothing is kept of it"), "{errors}");
}

#[cfg(unix)]
#[test]
fn who_stops_watching_is_told_that_the_job_goes_on() {
    let system = System::with_store();
    let (id, _worker) = halfway(&system);
    let watching = Printing::start(system.hereafter().args(["jobs", "watch", &id.to_string()]));
    line_with(&watching, "half");
    watching.signal("INT");
    let (code, _, errors) = watching.end();
    assert_eq!(code, Some(1));
    assert!(errors.contains("it goes on"), "{errors}");
    end(&system, "");
}

#[test]
fn a_job_that_ended_before_or_is_unknown_is_said_at_once() {
    let system = System::with_store();
    let id = system.client(async |client| {
        let handle = halve(system.path("end")).delay_on(client).await.unwrap();
        handle.cancel().await.unwrap();
        handle.id()
    });
    let error = system.refused(1, &["jobs", "watch", &id.to_string()]);
    assert!(error.contains("was cancelled"), "{error}");
    let unknown = JobId::new().to_string();
    let error = system.refused(1, &["jobs", "watch", &unknown]);
    assert!(error.contains("no job") && error.contains(&unknown), "{error}");
}
