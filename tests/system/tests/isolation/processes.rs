//! `run --processes`: which processes there are, and when another one takes the place of one.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};

use hereafter::Client;
use tasksystem::on_stores;
use tasksystem::poison::{count_in_process, leak};
use tasksystem::tasks::{exit_process, wait_for_file};

use crate::{LIMIT, PROGRAM, is_alive, until};

fn lines(file: &Path) -> usize {
    std::fs::read_to_string(file).unwrap_or_default().lines().count()
}

/// The process that runs a job now.
async fn process_of(client: &Client) -> u32 {
    count_in_process().delay_on(client).await.unwrap().wait(LIMIT).await.unwrap().0
}

// The engine is the same on every store.
on_stores! {
    [sqlite postgres rabbitmq];

    // WORQ-25.
    async fn worq_25_after_three_jobs_another_process_takes_over(store: Store) {
        let client = store.client().await;
        let args = ["run", "--processes", "1", "--concurrency", "1", "--max-jobs-per-process", "3"];
        let worker = store.start(PROGRAM, &args);
        let calls = (0..4).map(|_| count_in_process());
        let jobs = client.delay_all(calls).await.unwrap();
        let mut ran = Vec::new();
        for job in jobs {
            ran.push(job.wait(LIMIT).await.unwrap());
        }
        let counts: Vec<_> = ran.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [1, 2, 3, 1]);
        let processes: BTreeSet<_> = ran.iter().map(|(process, _)| *process).collect();
        assert_eq!(processes.len(), 2);
        drop(worker);
    }

    // WORQ-27: in the original the exit was swallowed.
    async fn worq_27_after_a_task_that_exits_in_order_another_process_runs_the_next_call(store: Store) {
        let client = store.client().await;
        let args = ["run", "--processes", "1", "--concurrency", "1", "--lease", "1s"];
        let _worker = store.start(PROGRAM, &args);
        let first = process_of(&client).await;
        exit_process(0).delay_on(&client).await.unwrap();
        until("the process to end", || !is_alive(first)).await;
        assert_ne!(process_of(&client).await, first);
    }

    // WORQ-28 in child processes; and AKIMBO-4.
    async fn worq_28_akimbo_4_a_stop_lets_running_jobs_finish_and_no_process_stays(store: Store) {
        let client = store.client().await;
        let (ledger, gate) = (store.file("ledger"), store.file("gate"));
        let mut worker = store.start(PROGRAM, &["run", "--processes", "2", "--concurrency", "2"]);
        let process = process_of(&client).await;
        let job = wait_for_file(&ledger, 1, &gate).delay_on(&client).await.unwrap();
        until("the job to start", || lines(&ledger) == 1).await;
        worker.terminate();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        assert_eq!(worker.ended(), None, "a task is inside");
        std::fs::write(&gate, "").unwrap();
        assert_eq!(job.wait(LIMIT).await, Ok(1));
        let status = tokio::task::spawn_blocking(move || worker.wait(LIMIT)).await.unwrap();
        assert_eq!(status.code(), Some(0));
        assert!(!is_alive(process));
    }

    // WORQ-29.
    async fn worq_29_processes_end_by_themselves_when_the_one_that_started_them_is_killed(store: Store) {
        let client = store.client().await;
        let worker = store.start(PROGRAM, &["run", "--processes", "2"]);
        let process = process_of(&client).await;
        assert!(is_alive(process));
        worker.kill();
        until("the orphan to end", || !is_alive(process)).await;
    }

    // AKIMBO-2, without a clock: four jobs are inside at the same time, each in a process of its own.
    async fn akimbo_2_four_processes_run_four_jobs_at_once(store: Store) {
        let client = store.client().await;
        let (ledger, gate) = (store.file("ledger"), store.file("gate"));
        let args = ["run", "--processes", "4", "--concurrency", "1"];
        let _worker = store.start(PROGRAM, &args);
        let calls = (0..4).map(|id| wait_for_file(&ledger, id, &gate));
        let jobs = client.delay_all(calls).await.unwrap();
        until("all jobs to start", || lines(&ledger) == 4).await;
        std::fs::write(&gate, "").unwrap();
        for (id, job) in (0..).zip(jobs) {
            assert_eq!(job.wait(LIMIT).await, Ok(id));
        }
    }

    async fn each_process_serves_its_health_at_a_port_of_its_own(store: Store) {
        let client = store.client().await;
        let port = two_free_ports();
        let address = format!("127.0.0.1:{port}");
        let args = ["run", "--processes", "2", "--name", "one", "--health", &address];
        let _worker = store.start(PROGRAM, &args);
        process_of(&client).await;
        for (port, name) in [(port, "one.1"), (port + 1, "one.2")] {
            until("the process to be ready", || health(port, "/ready").contains(" 200 ")).await;
            let status = health(port, "/status");
            assert!(status.contains(&format!("\"{name}\"")), "{status}");
        }
    }

    async fn a_process_that_has_too_much_memory_is_replaced(store: Store) {
        let client = store.client().await;
        let args = ["run", "--processes", "1", "--concurrency", "1", "--max-memory", "300MiB"];
        let _worker = store.start(PROGRAM, &args);
        let first = process_of(&client).await;
        let taken = leak(350 << 20).delay_on(&client).await.unwrap().wait(LIMIT).await;
        assert_eq!(taken, Ok(350 << 20), "it ends in order");
        until("the process to end", || !is_alive(first)).await;
        assert_ne!(process_of(&client).await, first);
    }

    async fn drained_processes_end_and_are_not_replaced(store: Store) {
        let client = store.client().await;
        let jobs = client.delay_all((0..20).map(|_| count_in_process())).await.unwrap();
        let args = ["run", "--processes", "2", "--burst", "--max-jobs-per-process", "5"];
        let mut worker = store.start(PROGRAM, &args);
        let status = tokio::task::spawn_blocking(move || worker.wait(LIMIT)).await.unwrap();
        assert_eq!(status.code(), Some(0));
        for job in jobs {
            assert!(job.wait(LIMIT).await.unwrap().1 <= 5);
        }
    }
}

/// The first of two ports in a row that nobody listens at.
fn two_free_ports() -> u16 {
    loop {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

/// What is answered there, with its head; nothing if nobody listens.
fn health(port: u16, path: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_to_string(&mut answer).unwrap();
    }
    answer
}

fn refused(url: &str, args: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(args).env("HEREAFTER_URL", url).output().expect("the program is built")
}

#[test]
fn what_cannot_work_in_processes_is_refused_with_the_remedy() {
    let alone = refused("sqlite://tasks.db", &["run", "--max-memory", "1GiB"]);
    assert_eq!(alone.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&alone.stderr).contains("need `--processes N`"));
    let memory = refused("memory://", &["run", "--processes", "2"]);
    assert_eq!(memory.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&memory.stderr).contains("name another broker"));
    // Whoever starts it is told, and it is not tried again for ever.
    let nowhere = refused("postgres://nobody@127.0.0.1:1/none", &["run", "--processes", "2"]);
    assert_eq!(nowhere.status.code(), Some(3));
}
