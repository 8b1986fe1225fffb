//! Broken transports.

use crate::assert_caught;
use crate::defect::Defect;
use crate::mutant::MutantHarness;
use taskconformance::{MANY, ONE, cases};

caught! {
    on MutantHarness::of_transport;
    not_fencing_a_verdict_is_caught:
        IgnoresFence by settle::a_verdict_of_an_earlier_lease_is_stale_and_changes_nothing [ONE];
    never_bringing_back_a_lost_lease_is_caught:
        IgnoresLeaseEnd by lease::a_job_whose_lease_ended_is_reclaimed [ONE];
    taking_a_verdict_after_the_end_of_its_lease_is_caught:
        IgnoresLeaseEnd by settle::a_verdict_with_an_expired_lease_is_stale_and_changes_nothing [ONE];
    extending_what_was_lost_is_caught:
        ExtendsAnything by lease::a_lease_that_has_ended_is_not_extended [ONE];
    delivering_twice_is_caught:
        DeliversTwice by reserve::a_job_goes_to_one_caller_until_its_lease_ends [ONE];
    delivering_before_the_due_time_is_caught:
        DeliversEarly by schedule::a_job_is_never_handed_out_before_its_due_time [ONE];
    delivering_long_after_the_due_time_is_caught:
        DeliversLate by transport::a_due_job_comes_soon_after_it_is_due;
    ignoring_priority_is_caught:
        IgnoresPriority by reserve::higher_priorities_come_first;
    handing_out_backwards_is_caught:
        HandsOutBackwards by reserve::jobs_come_in_the_order_of_enqueueing [MANY];
    losing_the_tail_of_a_batch_is_caught:
        LosesTail by enqueue::a_job_is_handed_out_as_it_was_stored [MANY];
    losing_a_release_is_caught:
        ForgetsRelease by settle::a_released_job_is_ready_again_and_counts_nothing [ONE];
    counting_a_snooze_as_an_attempt_is_caught:
        CountsSnoozes by settle::a_snoozed_job_is_scheduled_and_counts_nothing [ONE];
    dropping_what_was_leased_at_an_interrupt_is_caught:
        DropsInterrupted by reserve::an_interrupt_never_drops_what_was_leased [ONE];
    never_expiring_is_caught:
        NeverExpires by schedule::an_expired_job_is_not_handed_out [ONE];
    counting_a_loss_that_never_began_is_caught:
        BeginsAtOnce by lease::a_lost_delivery_that_never_began_is_no_recovery [ONE];
    counting_recoveries_off_by_one_is_caught:
        RecoversOnceMore by lease::a_job_that_keeps_killing_its_worker_ends_as_lost [ONE];
    suspecting_nobody_is_caught:
        SuspectsNobody by lease::a_job_is_a_suspect_from_its_second_lost_lease_on [ONE];
    not_keeping_a_failed_job_is_caught:
        DropsFailed by settle::a_failed_job_is_kept_with_its_failure [ONE];
    losing_the_reason_of_a_failure_is_caught:
        CutsFailures by settle::a_failure_comes_back_as_it_was_given [ONE];
    replaying_what_did_not_pass_is_caught:
        ReplaysAll by transport::a_replay_takes_what_passes_the_filter;
    keeping_jobs_when_closed_is_caught:
        NeverCloses by transport::closing_a_connection_gives_its_jobs_back [ONE];
    never_closing_is_caught:
        NeverCloses by connection::after_close_every_call_answers_closed;
    taking_receipts_of_other_connections_is_caught:
        SharesLeases by
            transport::a_receipt_of_another_connection_is_stale_and_changes_nothing [ONE];
    ignoring_inputs_is_caught:
        IgnoresInputs by transport::a_batch_with_inputs_is_refused_as_a_whole;
    storing_half_of_a_refused_batch_is_caught:
        StoresHalfABatch by transport::a_batch_with_inputs_is_refused_as_a_whole;
    ignoring_keys_is_caught:
        IgnoresKeys by transport::a_batch_with_unique_keys_is_refused_as_a_whole;
    ending_a_job_that_is_continued_is_caught:
        EndsWhenContinued by transport::a_batch_with_a_continuation_is_refused_as_a_whole;
    ignoring_a_pause_is_caught:
        IgnoresPause by transport::a_pause_is_refused_and_changes_nothing;
    answering_that_it_is_too_late_for_a_cancel_is_caught:
        CancelsTooLate by transport::a_cancel_is_refused_and_changes_nothing;
    listing_nothing_in_place_of_what_is_unknown_is_caught:
        ListsTheUnknownAsNone by transport::what_a_transport_does_not_know_of_jobs_is_refused;
}
