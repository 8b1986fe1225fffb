//! `schedules list|pause|resume|run|delete`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{System, errors};
use crate::tasks::add;

const HOUR: Duration = Duration::from_secs(3_600);

/// A store with the schedule `sum`, every hour.
fn with_schedule() -> System {
    let system = System::with_store();
    system.client(async |client| {
        add(1, 2).every(HOUR).named("sum").save_on(client).await.unwrap();
    });
    system
}

fn listed(system: &System, name: &str) -> Value {
    let list = system.json(&["schedules", "list"]);
    let found = list.as_array().unwrap().iter().find(|line| line["schedule"] == name);
    found.unwrap_or_else(|| panic!("{name} is not in {list}")).clone()
}

#[test]
fn schedules_are_listed_with_their_next_tick() {
    let system = System::with_store();
    assert_eq!(system.text(&["schedules", "list"]), "no schedule is stored\n");
    assert_eq!(system.json(&["schedules", "list"]), json!([]));

    let system = with_schedule();
    let listed = listed(&system, "sum");
    assert_eq!((&listed["when"], &listed["missed"]), (&json!("every 1h"), &json!("one")));
    assert_eq!((&listed["task"], &listed["queue"]), (&json!("add"), &json!("sums")));
    assert_eq!((&listed["origin"], &listed["paused"]), (&json!("called"), &json!(false)));
    assert_eq!((&listed["last"], &listed["note"]), (&Value::Null, &Value::Null));
    assert!(listed["next"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    let text = system.text(&["schedules", "list"]);
    let line = text.lines().nth(1).unwrap();
    assert!(line.starts_with("sum ") && line.contains("every 1h") && line.contains("in 59m"));
}

#[test]
fn a_schedule_is_paused_and_resumed() {
    let system = with_schedule();
    assert_eq!(system.text(&["schedules", "pause", "sum"]), "paused schedule `sum`\n");
    assert_eq!(listed(&system, "sum")["paused"], true);
    assert!(system.text(&["schedules", "list"]).contains("paused"));
    let resumed = system.json(&["schedules", "resume", "sum"]);
    assert_eq!(resumed, json!([{ "schedule": "sum", "paused": false }]));
    assert_eq!(listed(&system, "sum")["paused"], false);
}

#[test]
fn a_schedule_is_run_by_hand_and_deleted() {
    let system = with_schedule();
    let run = system.json(&["schedules", "run", "sum"]);
    let job = run[0]["job"].as_str().unwrap().to_owned();
    system.drain();
    assert_eq!(system.json(&["jobs", "show", &job])["state"], "done");
    assert_eq!(listed(&system, "sum")["jobs"], json!([job]));
    assert_eq!(listed(&system, "sum")["last"], Value::Null, "it was no tick");

    assert_eq!(system.text(&["schedules", "delete", "sum"]), "deleted schedule `sum`\n");
    assert!(!system.text(&["schedules", "list"]).contains("sum "));
    assert_eq!(system.json(&["jobs", "show", &job])["state"], "done");
}

#[test]
fn a_name_that_nobody_knows_is_an_error_and_the_others_are_done() {
    for verb in ["pause", "resume", "run", "delete"] {
        let system = with_schedule();
        let output = system.hereafter().args(["schedules", verb, "sum", "no"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{verb}");
        assert!(errors(&output).contains("no such schedule: `no`"), "{}", errors(&output));
        let done = String::from_utf8(output.stdout).unwrap();
        assert!(done.contains("schedule `sum`"), "{verb}: {done}");
    }
}

#[test]
fn a_schedule_that_a_worker_declares_is_told_from_one_that_it_declares_no_more() {
    let system = System::new();
    system.drain();
    let declared = listed(&system, "tidy");
    assert_eq!(declared["origin"], "declared");
    assert_eq!(declared["when"], "0 5 * * * Europe/Berlin");
    // A worker of another version, whose `add` was declared.
    system.client(async |client| {
        let schedules = client.connection().unwrap().schedules.clone().unwrap();
        let template = schedules.list(&Default::default()).await.unwrap().remove(0).template;
        let left_over = taskcore::broker::NewSchedule {
            name: "add".to_owned(),
            spec: r#"{"every_ms":3600000}"#.to_owned(),
            origin: taskcore::broker::Origin::Declared,
            next: Some(jiff::Timestamp::MAX),
            template: taskcore::broker::Template { task: "add".into(), ..template },
        };
        schedules.put(&[left_over]).await.unwrap();
    });
    let output = system.worker().args(["schedules", "list", "--json"]).output().unwrap();
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let notes: Vec<_> = listed.as_array().unwrap().iter().map(|line| &line["note"]).collect();
    assert_eq!(notes, [&json!("not declared any more"), &Value::Null]);
    let output = system.worker().args(["run", "--burst"]).output().unwrap();
    let log = errors(&output);
    assert!(log.contains("not declared by its task any more") && log.contains("add"), "{log}");
}
