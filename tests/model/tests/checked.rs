//! All states of the model, with sound rules and with those that lack something.

use stateright::{Checker, Model};
use taskmodel::{LeaseModel, Rules};

fn model(rules: Rules) -> LeaseModel {
    LeaseModel { rules, workers: 2, leases: 2 }
}

#[test]
fn sound_rules_keep_every_promise_in_every_state() {
    let checker = model(Rules::Sound).checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    // Few would mean that something never happens.
    assert!(checker.unique_state_count() > 10_000, "{}", checker.unique_state_count());
}

/// A state in which this promise is broken is found, with the way to it.
fn breaks(rules: Rules, broken: &'static str) {
    let checker = model(rules).checker().threads(2).spawn_bfs().join();
    let path = checker.assert_any_discovery(broken);
    assert!(path.into_actions().len() > 3);
}

#[test]
fn without_a_fence_a_job_ends_twice() {
    breaks(Rules::NoFence, "a job ends once");
}

#[test]
fn a_renewal_after_expiry_brings_a_lease_back_that_was_over() {
    breaks(Rules::RenewalAfterExpiry, "a lease that was taken back never counts again");
}

#[test]
fn a_release_before_the_result_runs_a_job_without_its_input() {
    breaks(Rules::ReleaseBeforeResult, "a job runs when the results of its inputs are there");
}

#[test]
fn a_double_release_runs_a_job_whose_other_input_has_not_ended() {
    breaks(Rules::DoubleRelease, "a job waits until each of its inputs has ended");
}
