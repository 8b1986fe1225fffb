//! The log: level, place, form.

use serde_json::Value;

use crate::support::{System, ends_with};
use crate::tasks::{add, explode, refuse};

/// The lines that a worker's log file has after it ran one good and one bad job.
fn log_of(args: &[&str]) -> Vec<String> {
    let system = System::new();
    system.client(async |client| {
        add(1, 2).delay_on(client).await.unwrap();
        refuse("no such address".to_owned()).delay_on(client).await.unwrap();
    });
    let file = system.path("worker.log");
    let mut command = system.worker();
    command.args(["run", "--burst", "-f"]).arg(&file).args(args);
    assert_eq!(ends_with(0, &mut command), "", "nothing goes to standard error");
    std::fs::read_to_string(file).unwrap().lines().map(ToOwned::to_owned).collect()
}

// ZTASK-21
#[test]
fn a_log_file_with_level_warning_holds_warnings_and_above_only() {
    let lines = log_of(&["-l", "warning"]);
    assert!(lines.iter().any(|line| line.contains("no such address")), "{lines:#?}");
    let is_loud = |line: &String| line.contains("WARN") || line.contains("ERROR");
    assert!(lines.iter().all(is_loud), "{lines:#?}");
}

#[test]
fn a_log_file_has_info_by_default_and_no_colour() {
    let lines = log_of(&["--color", "always"]);
    assert!(lines.iter().any(|line| line.contains("INFO") && line.contains("worker started")));
    assert!(lines.iter().all(|line| !line.contains('\u{1b}')), "{lines:#?}");
}

#[test]
fn a_log_file_is_appended_to() {
    let system = System::new();
    let file = system.path("worker.log");
    std::fs::write(&file, "from before\n").unwrap();
    ends_with(0, system.worker().args(["run", "--burst", "--log-file"]).arg(&file));
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.starts_with("from before\n") && text.contains("worker stopped"), "{text}");
}

#[test]
fn json_is_one_object_per_line_with_the_fields_of_the_event() {
    let lines = log_of(&["--log-format", "json", "-l", "debug"]);
    let events: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let event = |message: &str| events.iter().find(|event| event["message"] == message).unwrap();
    assert_eq!(event("job ended")["task"], "add");
    assert_eq!(event("job failed for good")["level"], "ERROR");
    assert_eq!(event("job failed for good")["error"], "no such address");
}

#[test]
fn a_panic_is_one_json_line_too() {
    let system = System::new();
    system.client(async |client| explode().delay_on(client).await.unwrap());
    let errors = ends_with(0, system.worker().args(["run", "--burst", "--log-format", "json"]));
    let events: Vec<Value> =
        errors.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let panic = events.iter().find(|event| event["target"] == "hereafter::panic").unwrap();
    assert!(panic["location"].as_str().unwrap().contains("tasks.rs"), "{panic}");
}

#[test]
fn a_log_file_that_cannot_be_opened_is_an_error_that_names_it() {
    let error = System::new().refused(3, &["queues", "list", "-f", "nowhere/worker.log"]);
    assert!(error.contains("nowhere/worker.log"), "{error}");
}

#[test]
fn a_misspelt_level_is_wrong_usage() {
    let error = System::new().refused(2, &["tasks", "--log-level", "inof"]);
    assert!(error.contains("`inof`") && error.contains("info"), "{error}");
}
