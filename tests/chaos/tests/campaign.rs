//! Campaigns on real servers, small.

use std::process::{Command, Output};

use serde_json::Value;

fn campaign(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskchaos"));
    command.args(["postgres", "--quick", "--json", "--seed", "7"]).args(args);
    command.output().expect("the program is built")
}

fn report(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// A campaign that ends without a fault in its books.
fn nothing_is_lost(fault: &str) -> Value {
    let output = campaign(&["--fault", fault]);
    let report = report(&output);
    assert!(output.status.success(), "{report:#}");
    assert_eq!(report["acknowledged"], 3_000);
    for nothing in ["lost", "unexpected", "acknowledged_twice", "miscounted", "unfinished"] {
        assert_eq!(report[nothing], 0, "{nothing}: {report:#}");
    }
    report
}

#[test]
fn a_restart_of_the_server_loses_no_job() {
    let report = nothing_is_lost("restart");
    assert!(report["fault_lasted"].as_f64() > Some(0.0), "the server was never down: {report:#}");
}

#[test]
fn backends_that_are_terminated_each_second_lose_no_job() {
    let report = nothing_is_lost("kill-backends");
    assert!(report["backends"].as_u64() > Some(0), "{report:#}");
}

#[test]
fn a_snapshot_that_is_held_loses_no_job_and_the_times_of_claims_are_told() {
    let report = nothing_is_lost("snapshot");
    let phases = report["phases"].as_array().expect("there are three of them");
    assert_eq!(phases.len(), 3);
    assert!(phases.iter().all(|phase| phase["p50"].as_f64() > Some(0.0)), "{report:#}");
}

/// Who cannot find anything finds nothing wrong.
#[test]
fn a_job_that_is_deleted_behind_the_back_of_the_system_is_found_to_be_lost() {
    let output = campaign(&["--fault", "theft"]);
    let report = report(&output);
    assert_eq!(output.status.code(), Some(1), "{report:#}");
    assert_eq!(report["lost"], 1, "{report:#}");
    assert_eq!(report["acknowledged"], 3_000);
}
