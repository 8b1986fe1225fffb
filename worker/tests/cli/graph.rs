//! Jobs that wait for others: what the commands show of them, and how far a cancel goes.

use serde_json::Value;
use taskcore::broker::JobState;
use taskcore::{JobId, gather};

use crate::support::{System, http, until};
use crate::tasks::{add, judge, refuse, sum};

/// `judge(add(add(1, 2), 3), refuse("no"))`, delayed.
fn judgement(system: &System) -> JobId {
    let call = judge(add(add(1, 2), 3), refuse("no"));
    system.client(async |client| call.delay_on(client).await.unwrap().id())
}

/// The ids of the jobs of a task, by the JSON of a graph.
fn of_task<'a>(graph: &'a Value, task: &str) -> Vec<&'a Value> {
    let nodes = graph["nodes"].as_array().unwrap().iter();
    nodes.filter(|node| node["task"] == task).map(|node| &node["id"]).collect()
}

fn edges(graph: &Value, from: &Value, to: &Value) -> Vec<Value> {
    let edges = graph["edges"].as_array().unwrap().iter();
    edges.filter(|edge| edge["from"] == *from && edge["to"] == *to).cloned().collect()
}

#[test]
fn a_blocked_job_is_shown_with_what_it_waits_for() {
    let system = System::new();
    let id = judgement(&system).to_string();
    let graph = system.json(&["jobs", "show", &id, "--graph"]);
    let refusing = of_task(&graph, "refuse")[0].as_str().unwrap().to_owned();
    let text = system.text(&["jobs", "show", &id]);
    assert!(text.contains("state      blocked\n"), "{text}");
    assert!(text.contains("waits for  2 of 2 inputs\n"), "{text}");
    assert!(text.contains("input      needed from 1 job: "), "{text}");
    assert!(text.contains(&format!("input      tried from 1 job: {refusing}\n")), "{text}");
    let shown = system.json(&["jobs", "show", &id]);
    assert_eq!(shown["waits_for"], 2);
    assert_eq!(shown["call"]["inputs"]["tried"], serde_json::json!({ "try": { "job": refusing } }));
    let text = system.text(&["jobs", "list", "--state", "blocked"]);
    assert!(text.contains("waits for 2 inputs") && text.contains("waits for 1 input\n"), "{text}");
}

#[test]
fn a_job_with_many_inputs_names_the_first_and_counts_the_rest() {
    let system = System::new();
    let calls = (0..25).map(|n| add(n, n));
    let id = system.client(async |client| sum(gather(calls)).delay_on(client).await.unwrap().id());
    let text = system.text(&["jobs", "show", &id.to_string()]);
    let line = text.lines().find(|line| line.starts_with("input ")).unwrap();
    assert!(line.starts_with("input      parts from 25 jobs: "), "{line}");
    assert!(line.ends_with(" and 5 more"), "{line}");
    assert_eq!(line.matches(", ").count(), 19, "{line}");
    let drawn = system.text(&["jobs", "show", &id.to_string(), "--graph"]);
    assert!(drawn.contains("25 × add<br/>ready"), "{drawn}");
    assert_eq!(drawn.matches(" --> ").count(), 1, "{drawn}");
    let graph = system.json(&["jobs", "show", &id.to_string(), "--graph"]);
    assert_eq!(of_task(&graph, "add").len(), 25);
}

#[test]
fn a_graph_has_every_job_upstream_before_and_after_they_ran() {
    let system = System::new();
    let id = judgement(&system).to_string();
    let show = ["jobs", "show", &id, "--graph"];
    for (state, refused) in [("blocked", "ready"), ("done", "failed")] {
        let graph = system.json(&show);
        let nodes = graph["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), 4);
        assert_eq!((&nodes[0]["id"], &nodes[0]["state"]), (&id.as_str().into(), &state.into()));
        let judge = of_task(&graph, "judge")[0];
        let [outer, inner] = of_task(&graph, "add")[..] else { panic!("two: {graph:#}") };
        assert_eq!(edges(&graph, outer, judge)[0]["tolerated"], false);
        assert_eq!(edges(&graph, of_task(&graph, "refuse")[0], judge)[0]["tolerated"], true);
        assert_eq!(edges(&graph, inner, outer).len(), 1);
        assert_eq!(graph["edges"].as_array().unwrap().len(), 3);
        let text = system.text(&show);
        assert!(text.starts_with("flowchart LR\n"), "{text}");
        assert!(text.contains(&format!("{}<br/>judge<br/>{state}", &id[28..])), "{text}");
        assert!(text.contains(&format!("<br/>refuse<br/>{refused}\"]:::{refused}")), "{text}");
        assert_eq!((text.matches(" --> ").count(), text.matches(" -.-> ").count()), (2, 1));
        system.drain();
    }
}

#[test]
fn a_job_that_is_not_stored_has_no_graph() {
    let system = System::with_store();
    let id = JobId::new().to_string();
    let error = system.refused(1, &["jobs", "show", &id, "--graph"]);
    assert!(error.contains(&format!("no job {id} is stored")), "{error}");
}

#[test]
fn a_cancel_takes_the_inputs_with_it_unless_they_are_to_be_kept() {
    for (option, left) in [(None, 0), (Some("--keep-inputs"), 3)] {
        let system = System::new();
        let id = judgement(&system).to_string();
        let args = ["jobs", "cancel", &id].into_iter().chain(option).collect::<Vec<_>>();
        assert_eq!(system.text(&args), "1 cancelled before they started\n");
        let waits = |state: &JobState| !state.is_final();
        assert_eq!(system.states().iter().filter(|state| waits(state)).count(), left, "{option:?}");
    }
}

#[test]
fn a_cancel_by_filter_keeps_inputs_as_well() {
    let system = System::new();
    judgement(&system);
    let text = system.text(&["jobs", "cancel", "--task", "judge", "--keep-inputs", "--yes"]);
    assert_eq!(text, "1 cancelled before they started\n");
    assert_eq!(system.states().iter().filter(|state| !state.is_final()).count(), 3);
}

#[test]
fn blocked_jobs_are_counted_by_queue() {
    let system = System::new();
    judgement(&system);
    let queues = system.json(&["queues", "list"]);
    let sums = queues.as_array().unwrap().iter().find(|queue| queue["queue"] == "sums").unwrap();
    assert_eq!((&sums["blocked"], &sums["ready"]), (&2.into(), &1.into()));
    let text = system.text(&["queues", "list"]);
    assert!(text.lines().next().unwrap().contains("SCHEDULED  BLOCKED  RUNNING"), "{text}");
    let worker = crate::support::Running::start(system.worker().args([
        "run",
        "--health",
        "127.0.0.1:0",
        "--queue",
        "unused",
    ]));
    let address = worker.health();
    let line = r#"hereafter_queue_jobs{queue="sums",state="blocked"} 2"#;
    until(|| http(&address, "/metrics").body.lines().any(|found| found == line));
}
