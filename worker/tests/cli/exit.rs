//! Exit codes, and the errors that go with them.

use crate::support::{System, ends_with};

#[test]
fn wrong_usage_ends_with_2() {
    let system = System::new();
    for args in [
        &["jump"][..],
        &["run", "--concurrency", "0"],
        &["run", "--queue", "a b"],
        &["jobs", "list", "--since", "yesterday"],
        &["jobs", "show", "seven"],
        &["queues", "purge", "mail", "--all"],
        &["events", "--no-follow"],
        &["events", "--from-oldest", "--after", "3"],
        &["events", "--kind", "jumped"],
        &[],
    ] {
        system.refused(2, args);
    }
}

#[test]
fn without_tasks_a_worker_refuses_to_start_with_3_and_says_what_to_write() {
    let error = System::new().refused(3, &["run"]);
    assert!(error.contains("no task is linked into this worker"), "{error}");
    assert!(error.contains("use my_tasks as _;"), "{error}");
}

#[test]
fn without_a_url_every_command_names_the_three_ways_to_give_one() {
    let system = System::new();
    for mut command in [system.worker(), system.hereafter()] {
        let is_worker = command.get_program().to_string_lossy().contains("cli_worker");
        command.env_remove("HEREAFTER_URL");
        let error = match is_worker {
            true => ends_with(3, command.arg("run")),
            false => ends_with(3, command.args(["queues", "list"])),
        };
        for way in ["`--url URL`", "HEREAFTER_URL", "hereafter.toml"] {
            assert!(error.contains(way), "{error}");
        }
    }
}

#[test]
fn a_broker_that_cannot_be_opened_ends_with_3_and_the_chain_on_one_line() {
    let system = System::new();
    let error = system.refused(3, &["queues", "list", "--url", "carrier-pigeon://loft"]);
    assert!(error.starts_with("error: cannot connect: "), "{error}");
    assert!(error.contains("carrier-pigeon"), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    ends_with(3, system.worker().args(["run", "--url", "carrier-pigeon://loft"]));
}

#[test]
fn a_worker_refuses_to_work_where_delayed_calls_are_not_stored() {
    let system = System::new();
    for variable in ["HEREAFTER_EAGER", "HEREAFTER_DISABLED"] {
        let error = ends_with(3, system.worker().arg("run").env(variable, "1"));
        assert!(error.contains(variable), "{error}");
        let error = ends_with(3, system.worker().arg("run").env(variable, "perhaps"));
        assert!(error.contains("perhaps") && error.contains(variable), "{error}");
    }
}

#[test]
fn a_health_address_that_is_taken_ends_with_3_and_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let system = System::new();
    let error = ends_with(3, system.worker().args(["run", "--health", &address]));
    assert!(error.contains(&address), "{error}");
}

#[test]
fn a_job_that_is_not_stored_ends_with_1() {
    let id = "0190a4c6-9f5e-7d10-8b7c-0c1b2d3e4f50";
    let error = System::with_store().refused(1, &["jobs", "show", id]);
    assert!(error.contains(id), "{error}");
}

#[test]
fn what_changes_jobs_without_a_terminal_needs_to_be_told() {
    let system = System::new();
    for (args, missing) in [
        (&["jobs", "cancel"][..], "--all"),
        (&["replay"], "--all"),
        (&["queues", "purge"], "--all"),
        (&["jobs", "cancel", "--all"], "--yes"),
        (&["replay", "--queue", "mail"], "--yes"),
        (&["queues", "purge", "mail"], "--yes"),
        (&["queues", "purge", "--all"], "--yes"),
    ] {
        let error = system.refused(2, args);
        assert!(error.contains(missing), "{args:?}: {error}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    use std::io::Read as _;
    let system = System::new();
    let mut command = system.hereafter();
    let mut child = command
        .args(["completions", "zsh"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(child.wait().unwrap().success(), "{errors}");
    assert_eq!(errors, "");
}
