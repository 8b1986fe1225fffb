//! Looking at queues and jobs, and changing them.

use std::time::Duration;

use serde_json::Value;
use taskcore::JobId;
use taskcore::broker::JobState;

use crate::support::{System, ends_with};
use crate::tasks::{add, refuse};

fn refused_jobs(system: &System, reasons: &[&str]) -> Vec<JobId> {
    let ids = system.client(async |client| {
        let mut ids = Vec::new();
        for reason in reasons {
            ids.push(refuse((*reason).to_owned()).delay_on(client).await.unwrap().id());
        }
        ids
    });
    system.drain();
    ids
}

#[test]
fn tasks_lists_what_is_linked_with_its_place() {
    let system = System::new();
    let output = system.worker().args(["tasks", "--json"]).output().unwrap();
    let tasks: Value = serde_json::from_slice(&output.stdout).unwrap();
    let add = tasks.as_array().unwrap().iter().find(|task| task["name"] == "add").unwrap();
    assert_eq!(add["aliases"], serde_json::json!(["plus"]));
    assert_eq!(add["kind"], "async");
    assert_eq!(add["queue"], "sums");
    assert_eq!(add["retries"], 5);
    assert_eq!(add["timeout_seconds"], 120.0);
    assert_eq!(add["params"], serde_json::json!(["left", "right"]));
    assert!(add["file"].as_str().unwrap().ends_with("tasks.rs"), "{add}");
    let output = system.worker().arg("tasks").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let hang = text.lines().find(|line| line.starts_with("hang ")).unwrap();
    assert!(hang.contains("plain") && hang.contains("tasks.rs:"), "{text}");
}

#[test]
fn a_command_leaves_one_file_behind() {
    let system = System::with_store();
    for args in [&["jobs", "list"][..], &["queues", "list"], &["doctor"]] {
        system.text(args);
        for other in ["tasks.db-wal", "tasks.db-shm"] {
            assert!(!system.path(other).exists(), "{args:?} left {other}");
        }
    }
}

#[test]
fn queues_are_listed_paused_resumed_and_purged() {
    let system = System::with_store();
    assert_eq!(system.text(&["queues", "list"]), "no queue holds a job or is paused\n");
    assert_eq!(system.json(&["queues", "list"]), serde_json::json!([]));
    system.client(async |client| {
        for _ in 0..3 {
            add(1, 2).delay_on(client).await.unwrap();
        }
        client.scope(add(3, 4).call_after(Duration::from_secs(3_600))).await.unwrap();
        add(5, 6).queue("other").delay_on(client).await.unwrap();
    });
    assert_eq!(system.text(&["queues", "pause", "sums"]), "paused queue `sums`\n");
    let queues = system.json(&["queues", "list"]);
    let sums = queues.as_array().unwrap().iter().find(|queue| queue["queue"] == "sums").unwrap();
    assert_eq!((&sums["ready"], &sums["scheduled"]), (&3.into(), &1.into()));
    assert_eq!(sums["paused"], true);
    assert!(sums["oldest_ready"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    let text = system.text(&["queues", "list"]);
    assert!(text.lines().nth(2).unwrap().starts_with("sums"), "{text}");

    system.drain();
    assert_eq!(system.states().iter().filter(|state| **state == JobState::Ready).count(), 4);
    system.text(&["queues", "resume", "sums"]);
    let purged = system.json(&["queues", "purge", "sums", "--yes"]);
    assert_eq!(purged, serde_json::json!({ "queue": "sums", "purged": 4 }));
    assert_eq!(
        system.text(&["queues", "purge", "--all", "-y"]),
        "deleted 1 waiting job of every queue\n"
    );
    assert!(system.states().is_empty());
}

#[test]
fn a_purge_leaves_what_failed_or_is_done() {
    let system = System::new();
    refused_jobs(&system, &["no"]);
    let purged = system.json(&["queues", "purge", "default", "--yes"]);
    assert_eq!(purged["purged"], 0);
    assert_eq!(system.states(), [JobState::Failed]);
}

#[test]
fn jobs_are_listed_newest_first_and_filtered() {
    let system = System::new();
    let failed = refused_jobs(&system, &["first", "second"]);
    let ready = system.client(async |client| add(1, 2).delay_on(client).await.unwrap().id());
    let ids = |args: &[&str]| -> Vec<String> {
        let jobs = system.json(&[&["jobs", "list"], args].concat());
        let ids = jobs.as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned());
        ids.collect()
    };
    let (ready, failed): (String, Vec<String>) =
        (ready.to_string(), failed.iter().map(ToString::to_string).collect());
    assert_eq!(ids(&[]), [&ready, &failed[1], &failed[0]].map(Clone::clone));
    for one in [["--limit", "1"], ["--task", "add"], ["--queue", "sums"]] {
        assert_eq!(ids(&one), std::slice::from_ref(&ready), "{one:?}");
    }
    assert_eq!(ids(&["--state", "failed,done"]).len(), 2);
    assert_eq!(ids(&["--state", "ready", "--state", "running"]), [ready]);
    assert_eq!(ids(&["--since", "1h"]).len(), 3);
    assert_eq!(ids(&["--until", "1h"]).len(), 0);
    let text = system.text(&["jobs", "list", "--state", "failed"]);
    assert!(text.lines().nth(1).unwrap().ends_with("second"), "{text}");
}

#[test]
fn a_job_is_shown_with_its_arguments_result_failure_and_spans() {
    let system = System::new();
    let [failed] = refused_jobs(&system, &["no\u{1b}[2J such"])[..] else { panic!("one job") };
    let done = system.client(async |client| add(40, 2).delay_on(client).await.unwrap().id());
    system.drain();
    let shown = system.json(&["jobs", "show", &done.to_string()]);
    assert_eq!(shown["state"], "done");
    assert_eq!(shown["call"]["args"], serde_json::json!({ "left": 40, "right": 2 }));
    assert!(shown["call"]["headers"]["traceparent"].is_string());
    assert_eq!(shown["result"], 42);
    assert!(shown["run_seconds"].as_f64().unwrap() >= 0.0);
    assert!(shown["wait_seconds"].as_f64().unwrap() >= 0.0);
    let shown = system.json(&["jobs", "show", &failed.to_string()]);
    assert_eq!(shown["failure"]["message"], "no\u{1b}[2J such");
    assert_eq!(shown["failures"], 1);
    let text = system.text(&["jobs", "show", &failed.to_string()]);
    assert!(text.contains("error at attempt 1: no\\u{1b}[2J such"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn the_unique_key_of_a_job_is_shown() {
    let system = System::new();
    let id = system.client(async |client| {
        add(1, 2).unique("one and\ntwo").delay_on(client).await.unwrap().id()
    });
    assert_eq!(system.json(&["jobs", "show", &id.to_string()])["unique"], "one and\ntwo");
    let text = system.text(&["jobs", "show", &id.to_string()]);
    assert!(
        text.lines().any(|line| line.starts_with("unique") && line.ends_with("one and\\ntwo")),
        "{text}"
    );
}

#[test]
fn bytes_that_are_no_job_are_shown_as_they_are() {
    use taskcore::broker::{Due, NewJob};
    use taskcore::{Payload, Priority, QueueName};
    let system = System::new();
    let id = JobId::new();
    system.client(async |client| {
        let job = NewJob {
            id,
            queue: QueueName::DEFAULT,
            task: "foreign".into(),
            priority: Priority::default(),
            due: Due::Now,
            expires_in: None,
            inputs: Vec::new(),
            unique: None,
            with_next: false,
            envelope: Payload::new(&b"not\nours"[..]),
        };
        client.connection().unwrap().broker.enqueue(&[job]).await.unwrap();
    });
    system.drain();
    let shown = system.json(&["jobs", "show", &id.to_string()]);
    assert_eq!(shown["state"], "failed");
    assert_eq!(shown["unreadable"]["bytes"], "not\nours");
    let text = system.text(&["jobs", "show", &id.to_string()]);
    assert!(text.contains("not\\nours") && text.contains("not a Hereafter job"), "{text}");
}

#[test]
fn jobs_are_cancelled_by_id_and_what_could_not_be_is_said() {
    let system = System::new();
    let id = system.client(async |client| add(1, 2).delay_on(client).await.unwrap().id());
    let cancelled = system.json(&["jobs", "cancel", &id.to_string()]);
    assert_eq!(cancelled, serde_json::json!([{ "job": id.to_string(), "outcome": "prevented" }]));
    assert_eq!(system.record(id).state, JobState::Cancelled);
    let unknown = JobId::new().to_string();
    let mut again = system.hereafter();
    let error = ends_with(1, again.args(["jobs", "cancel", &id.to_string(), &unknown]));
    assert!(error.contains("2 of 2 jobs were not cancelled"), "{error}");
}

#[test]
fn jobs_are_cancelled_by_filter_and_others_stay() {
    let system = System::new();
    let kept = system.client(async |client| {
        for n in 0..5 {
            add(n, n).delay_on(client).await.unwrap();
        }
        client.scope(add(9, 9).call_after(Duration::from_secs(3_600))).await.unwrap();
        add(1, 1).queue("kept").delay_on(client).await.unwrap().id()
    });
    let text = system.text(&["jobs", "cancel", "--queue", "sums", "--yes"]);
    assert_eq!(text, "6 cancelled before they started\n");
    assert_eq!(system.record(kept).state, JobState::Ready);
    let text = system.text(&["jobs", "cancel", "--queue", "sums", "--yes"]);
    assert_eq!(text, "no job fits\n");
    assert_eq!(
        system.text(&["jobs", "cancel", "--all", "--yes"]),
        "1 cancelled before they started\n"
    );
}

#[test]
fn failed_jobs_are_retried_by_id_and_others_are_named() {
    let system = System::new();
    let failed = refused_jobs(&system, &["a", "b"]);
    let retried = system.json(&["jobs", "retry", &failed[0].to_string()]);
    assert_eq!(retried, serde_json::json!({ "replayed": 1, "jobs": [failed[0].to_string()] }));
    let record = system.record(failed[0]);
    assert_eq!((record.state, record.failures), (JobState::Ready, 0));
    assert_eq!(system.record(failed[1]).state, JobState::Failed);
    let error = system.refused(1, &["jobs", "retry", &failed[0].to_string()]);
    assert!(error.contains(&failed[0].to_string()), "{error}");
}

// ZTASK-17
#[test]
fn a_replay_runs_each_failed_job_once_in_order_of_creation() {
    let system = System::new();
    let failed = refused_jobs(&system, &["a", "b", "c"]);
    let other = system.json(&["replay", "--task", "add", "--yes"]);
    assert_eq!(other["replayed"], 0);
    let replayed = system.json(&["replay", "--all", "--yes"]);
    let ids: Vec<String> = failed.iter().map(ToString::to_string).collect();
    assert_eq!(replayed, serde_json::json!({ "replayed": 3, "jobs": ids }));
    assert_eq!(system.text(&["replay", "--queue", "default", "--yes"]), "0 jobs run again\n");
    system.drain();
    for id in failed {
        assert_eq!(system.record(id).failures, 1);
    }
}

#[test]
fn doctor_finds_a_paused_queue_that_holds_jobs() {
    let system = System::new();
    let is_warned = |system: &System| {
        let findings = system.json(&["doctor"])["findings"].clone();
        let findings = findings.as_array().unwrap().clone();
        for subject in ["broker", "clock", "mode", "tasks"] {
            assert!(findings.iter().any(|finding| finding["subject"] == subject), "{findings:#?}");
        }
        findings.iter().any(|finding| {
            finding["subject"] == "queue sums"
                && finding["level"] == "warning"
                && finding["detail"].as_str().unwrap().contains("queues resume sums")
        })
    };
    system.client(async |client| add(1, 2).delay_on(client).await.unwrap());
    assert!(!is_warned(&system));
    system.text(&["queues", "pause", "sums"]);
    assert!(is_warned(&system));
}

#[test]
fn doctor_fails_where_a_finding_is_an_error() {
    let system = System::with_store();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output =
        system.hereafter().args(["doctor", "--health", &free.to_string()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().any(|line| line.starts_with("error ")), "{text}");
}
