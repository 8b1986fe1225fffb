//! `stats`.

use serde_json::json;
use taskcore::broker::JobState;

use crate::support::{System, until};
use crate::tasks::{add, refuse, stumble};

#[test]
fn a_store_without_jobs_says_so() {
    let system = System::with_store();
    assert_eq!(system.text(&["stats"]), "no job was ever stored\n");
    let text = system.text(&["stats", "--task", "add"]);
    assert_eq!(text, "no job of task `add` was ever stored\n");
    assert_eq!(system.json(&["stats"]), json!([]));
}

#[test]
fn the_sums_of_each_task_are_shown_with_their_means() {
    let system = System::new();
    let stumbling = system.client(async |client| {
        add(1, 2).delay_on(client).await.unwrap();
        add(3, 4).delay_on(client).await.unwrap();
        refuse("no".to_owned()).delay_on(client).await.unwrap();
        stumble().delay_on(client).await.unwrap().id()
    });
    until(|| {
        system.drain();
        system.record(stumbling).state == JobState::Done
    });

    let stats = system.json(&["stats"]);
    let tasks: Vec<_> = stats.as_array().unwrap().iter().map(|line| &line["task"]).collect();
    assert_eq!(tasks, ["add", "refuse", "stumble"]);
    let counts = |line: &serde_json::Value| {
        ["stored", "done", "failed", "retried", "lost", "cancelled", "expired", "runs"]
            .map(|name| line[name].as_u64().unwrap())
    };
    assert_eq!(counts(&stats[0]), [2, 2, 0, 0, 0, 0, 0, 2]);
    assert_eq!(counts(&stats[1]), [1, 0, 1, 0, 0, 0, 0, 1]);
    assert_eq!(counts(&stats[2]), [1, 1, 0, 1, 0, 0, 0, 2]);
    for line in stats.as_array().unwrap() {
        for what in ["run", "wait"] {
            let number = |name: String| line[name].as_f64().unwrap();
            let sum = number(format!("{what}_seconds"));
            let mean = number(format!("mean_{what}_seconds"));
            let runs = line["runs"].as_f64().unwrap();
            assert!((mean * runs - sum).abs() < 1e-9, "{line}");
            assert!(number(format!("longest_{what}_seconds")) >= mean, "{line}");
        }
    }

    let text = system.text(&["stats", "--task", "stumble"]);
    let lines: Vec<Vec<_>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(lines[0][..3], ["TASK", "STORED", "DONE"]);
    assert_eq!(lines[1][..9], ["stumble", "1", "1", "0", "1", "0", "0", "0", "2"]);
}
