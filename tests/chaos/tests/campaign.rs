//! Campaigns on real servers, small.

use std::collections::HashSet;
use std::process::{Command, Output};

use serde_json::Value;

fn campaign(server: &str, fault: &str) -> Output {
    campaign_with(server, fault, &[])
}

fn campaign_with(server: &str, fault: &str, options: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskchaos"));
    command.args([server, "--quick", "--json", "--seed", "7", "--fault", fault]).args(options);
    command.output().expect("the program is built")
}

fn report(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// A campaign that ends without a fault in its books.
fn nothing_is_lost(server: &str, fault: &str) -> Value {
    let report = nothing_is_wrong(&campaign(server, fault));
    for nothing in ["acknowledged_twice", "miscounted"] {
        assert_eq!(report[nothing], 0, "{nothing}: {report:#}");
    }
    report
}

/// RabbitMQ, with jobs on the ladder of delays at the time of the fault.
fn rabbitmq_loses_nothing(fault: &str) -> Value {
    let report = nothing_is_wrong(&campaign_with("amqp", fault, &["--delayed", "300"]));
    assert!(report["waiting"].as_u64() > Some(100), "no job was on the ladder: {report:#}");
    assert!(report["acknowledged_twice"].is_null(), "who told it? {report:#}");
    report
}

fn nothing_is_wrong(output: &Output) -> Value {
    let report = report(output);
    assert!(output.status.success(), "{report:#}");
    assert_eq!(report["acknowledged"], 3_000);
    for nothing in ["lost", "early", "unexplained", "unexpected", "unfinished"] {
        assert_eq!(report[nothing], 0, "{nothing}: {report:#}");
    }
    report
}

fn survives_a_restart(server: &str) {
    let report = nothing_is_lost(server, "restart");
    assert!(report["fault_lasted"].as_f64() > Some(0.0), "the server was never down: {report:#}");
}

fn survives_the_end_of_its_sessions(server: &str) {
    let report = nothing_is_lost(server, "kill-backends");
    assert!(report["backends"].as_u64() > Some(0), "{report:#}");
}

#[test]
fn a_restart_of_postgres_loses_no_job() {
    survives_a_restart("postgres");
}

#[test]
fn a_restart_of_mariadb_loses_no_job() {
    survives_a_restart("mysql");
}

#[test]
fn sessions_on_postgres_that_are_terminated_each_second_lose_no_job() {
    survives_the_end_of_its_sessions("postgres");
}

#[test]
fn sessions_on_mariadb_that_are_terminated_each_second_lose_no_job() {
    survives_the_end_of_its_sessions("mysql");
}

#[test]
fn a_snapshot_that_is_held_loses_no_job_and_the_times_of_claims_are_told() {
    let report = nothing_is_lost("postgres", "snapshot");
    let phases = report["phases"].as_array().expect("there are three of them");
    assert_eq!(phases.len(), 3);
    assert!(phases.iter().all(|phase| phase["p50"].as_f64() > Some(0.0)), "{report:#}");
}

#[test]
fn a_restart_of_rabbitmq_loses_no_job() {
    let report = rabbitmq_loses_nothing("restart");
    assert!(report["resumed_after"].as_f64() < Some(10.0), "{report:#}");
}

#[test]
fn a_cluster_of_rabbitmq_whose_leader_is_killed_loses_no_job() {
    let report = rabbitmq_loses_nothing("kill-node");
    assert!(report["resumed_after"].as_f64() < Some(10.0), "{report:#}");
}

#[test]
fn a_crash_of_rabbitmq_beside_a_store_loses_no_job_and_settles_each_once() {
    let output = campaign_with("amqp", "crash", &["--results", "sqlite"]);
    let report = nothing_is_wrong(&output);
    assert_eq!(report["acknowledged_twice"], 0, "{report:#}");
    assert_eq!(report["miscounted"], 0, "{report:#}");
}

#[test]
fn a_fault_that_a_server_cannot_have_is_refused_with_those_that_it_can() {
    for (server, fault, said) in [
        ("amqp", "snapshot", "choose `restart`, `crash` or `kill-node`"),
        ("postgres", "kill-node", "only `amqp` has a cluster"),
    ] {
        let output = campaign(server, fault);
        assert_eq!(output.status.code(), Some(2));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(said), "{error}");
    }
}

/// Who cannot find anything finds nothing wrong.
#[test]
fn a_job_that_is_deleted_behind_the_back_of_the_system_is_found_to_be_lost() {
    for server in ["postgres", "mysql", "amqp"] {
        let output = campaign(server, "theft");
        let report = report(&output);
        assert_eq!(output.status.code(), Some(1), "{report:#}");
        assert_eq!(report["lost"], 1, "{report:#}");
        assert_eq!(report["acknowledged"], 3_000);
    }
}

/// Everything goes wrong at random, for a few seconds.
fn survives_a_storm(server: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskchaos"));
    command.args([server, "--quick", "--json", "--seed", "7"]);
    let output = command.output().expect("the program is built");
    let report = report(&output);
    assert!(output.status.success(), "{report:#}");
    assert!(report["acknowledged"].as_u64() >= Some(3_000), "{report:#}");
    for nothing in ["lost", "unexpected", "unfinished"] {
        assert_eq!(report[nothing], 0, "{nothing}: {report:#}");
    }
    let struck = report["struck"].as_array().unwrap();
    let kinds: HashSet<_> = struck.iter().map(|it| it["what"].as_str().unwrap()).collect();
    assert!(kinds.len() > 3, "too little went wrong: {report:#}");
}

#[test]
fn a_storm_on_postgres_loses_no_job() {
    survives_a_storm("postgres");
}

#[test]
fn a_storm_on_sqlite_loses_no_job() {
    survives_a_storm("sqlite");
}

#[test]
fn a_storm_on_rabbitmq_loses_no_job() {
    survives_a_storm("amqp");
}
