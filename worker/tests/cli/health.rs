//! The health server of a running worker, over loopback.

use std::time::Duration;

use crate::support::{Running, System, http, until};
use crate::tasks::{add, refuse, wait_for};

fn start(system: &System, args: &[&str]) -> Running {
    Running::start(system.worker().args(["run", "--health", "127.0.0.1:0"]).args(args))
}

#[test]
fn a_working_worker_is_live_and_ready() {
    let system = System::new();
    let worker = start(&system, &[]);
    let address = worker.health();
    worker.event("worker started");
    assert_eq!(http(&address, "/live").status, 200);
    until(|| http(&address, "/ready").status == 200);
    assert_eq!(http(&address, "/nothing").status, 404);
}

#[cfg(unix)]
#[test]
fn a_stopping_worker_is_live_and_not_ready_and_says_why() {
    let system = System::new();
    let begun = system.path("begun");
    let job = wait_for(begun.clone(), system.path("end"));
    system.client(async |client| job.delay_on(client).await.unwrap());
    let worker = start(&system, &[]);
    let address = worker.health();
    until(|| begun.exists());
    worker.signal("TERM");
    worker.event("stopping; once more to drop what runs");
    until(|| http(&address, "/ready").status == 503);
    assert_eq!(http(&address, "/ready").body, "not ready: the worker is stopping\n");
    assert_eq!(http(&address, "/live").status, 200);
    assert_eq!(http(&address, "/status").json()["state"], "stopping");
    std::fs::write(system.path("end"), "").unwrap();
    assert_eq!(worker.exit_code(), Some(0));
}

#[test]
fn metrics_count_jobs_by_task_queue_and_verdict_and_show_depth() {
    let system = System::new();
    let worker = start(&system, &[]);
    let address = worker.health();
    system.client(async |client| {
        for n in 0..3 {
            add(n, n).delay_on(client).await.unwrap();
        }
        refuse("no".to_owned()).delay_on(client).await.unwrap();
        add(1, 1).queue("unserved").delay_on(client).await.unwrap();
        let hour = Duration::from_secs(3_600);
        client.scope(add(1, 1).call_after(hour)).await.unwrap();
    });
    let has = |text: &str, line: &str| text.lines().any(|found| found == line);
    let done = r#"hereafter_jobs_total{task="add",queue="sums",verdict="done"} 3"#;
    let failed = r#"hereafter_jobs_total{task="refuse",queue="default",verdict="failed"} 1"#;
    let mut text = String::new();
    until(|| {
        text = http(&address, "/metrics").body;
        has(&text, done) && has(&text, failed)
    });
    for line in [
        r#"hereafter_queue_jobs{queue="unserved",state="ready"} 1"#,
        r#"hereafter_queue_paused{queue="sums"} 0"#,
        "hereafter_broker_up 1",
        "hereafter_stuck_slots 0",
        "# TYPE hereafter_jobs_total counter",
        "# TYPE hereafter_job_run_seconds histogram",
        r#"hereafter_job_run_seconds_count{task="add"} 3"#,
        r#"hereafter_job_wait_seconds_count{queue="sums"} 3"#,
        "# TYPE hereafter_lease_losses_total counter",
    ] {
        assert!(has(&text, line), "{line} is not in:\n{text}");
    }
    until(|| {
        let text = http(&address, "/metrics").body;
        has(&text, r#"hereafter_queue_jobs{queue="sums",state="scheduled"} 1"#)
            && has(&text, r#"hereafter_queue_jobs{queue="default",state="failed"} 1"#)
    });
}

#[test]
fn status_says_why_a_worker_idles() {
    let system = System::new();
    system.client(async |client| add(1, 2).queue("slow").delay_on(client).await.unwrap());
    system.text(&["queues", "pause", "sums"]);
    system.client(async |client| add(1, 2).delay_on(client).await.unwrap());
    let worker = start(&system, &["--queue", "sums", "-c", "4"]);
    let address = worker.health();
    worker.event("worker started");
    until(|| http(&address, "/status").json()["state"] == "working");
    let status = http(&address, "/status").json();
    assert_eq!(status["slots"]["total"], 4);
    assert_eq!(status["in_trouble"], true);
    let idle = status["idle"].to_string();
    assert!(idle.contains("queue `sums` has 1 due job and is paused"), "{idle}");
    assert!(
        idle.contains("queue `slow` has 1 due job and this worker does not serve it"),
        "{idle}"
    );
    let queues = status["queues"].as_array().unwrap();
    let sums = queues.iter().find(|queue| queue["queue"] == "sums").unwrap();
    assert!(sums["oldest_ready"].is_string(), "{sums}");
}

#[test]
fn doctor_asks_a_running_worker_why_it_idles() {
    let system = System::new();
    let worker = start(&system, &["--name", "night-shift"]);
    let address = worker.health();
    worker.event("worker started");
    until(|| http(&address, "/ready").status == 200);
    let text = system.text(&["doctor", "--health", &address]);
    for part in
        ["worker night-shift: working", "last fetch", "last delivery never", "nothing is due"]
    {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}
