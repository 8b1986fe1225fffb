//! Broken brokers, each of which fails the case that is named for its defect. A suite that
//! nobody has seen fail proves little.

mod defect;
mod mutant;
mod reference;

use std::panic::{AssertUnwindSafe, catch_unwind};

use defect::Defect;
use mutant::MutantHarness;
use taskconformance::{Harness, MANY, ONE, cases, run};

/// One test for each line: the defect, the case that must catch it, and, if the case carries
/// data, the batch size.
macro_rules! caught {
    (
        on $harness:path;
        $($test:ident: $defect:ident by $module:ident::$case:ident $([$batch:ident])?;)*
    ) => {
        $(
            #[test]
            fn $test() {
                assert_caught($harness, Defect::$defect, &async |harness| {
                    cases::$module::$case(harness $(, $batch)?).await;
                });
            }
        )*
    };
}

// After the macro, which it uses.
mod transport;

caught! {
    on MutantHarness::of_store;
    delivering_twice_is_caught:
        DeliversTwice by reserve::a_job_goes_to_one_caller_until_its_lease_ends [ONE];
    forgetting_a_release_is_caught:
        ForgetsRelease by settle::a_released_job_is_ready_again_and_counts_nothing [ONE];
    releasing_twice_is_caught:
        ReleasesTwice by settle::a_released_job_is_ready_again_and_counts_nothing [ONE];
    ignoring_the_fence_is_caught:
        IgnoresFence by settle::a_verdict_of_an_earlier_lease_is_stale_and_changes_nothing [ONE];
    settling_a_job_that_was_reclaimed_is_caught:
        SettlesReclaimed by settle::a_verdict_of_a_reclaimed_job_is_stale_and_changes_nothing [ONE];
    ignoring_the_end_of_a_lease_is_caught:
        IgnoresLeaseEnd by settle::a_verdict_with_an_expired_lease_is_stale_and_changes_nothing [ONE];
    never_reclaiming_is_caught:
        IgnoresLeaseEnd by lease::a_job_whose_lease_ended_is_reclaimed [ONE];
    answering_out_of_order_is_caught:
        AnswersOutOfOrder by settle::a_stale_entry_does_not_touch_its_neighbours;
    losing_the_tail_of_a_batch_is_caught:
        LosesTail by enqueue::a_job_is_handed_out_as_it_was_stored [MANY];
    handing_out_backwards_is_caught:
        HandsOutBackwards by reserve::jobs_come_in_the_order_of_enqueueing [MANY];
    ignoring_priority_is_caught:
        IgnoresPriority by reserve::higher_priorities_come_first;
    ignoring_the_order_of_queues_is_caught:
        IgnoresQueueOrder by reserve::queues_are_served_in_the_order_of_the_request;
    ignoring_the_limit_of_a_queue_is_caught:
        IgnoresQueueLimit by reserve::each_queue_gives_no_more_than_its_own_limit;
    ignoring_the_wait_is_caught:
        IgnoresWait by reserve::a_wait_ends_with_an_empty_list;
    dropping_what_was_leased_at_an_interrupt_is_caught:
        DropsInterrupted by reserve::an_interrupt_never_drops_what_was_leased [ONE];
    ignoring_a_pause_is_caught:
        IgnoresPause by reserve::a_paused_queue_gives_nothing_until_it_goes_on [ONE];
    delivering_before_the_due_time_is_caught:
        DeliversEarly by schedule::a_job_is_never_handed_out_before_its_due_time [ONE];
    needing_upkeep_for_due_jobs_is_caught:
        PromotesByUpkeepOnly by schedule::a_due_job_is_handed_out_without_upkeep [ONE];
    never_expiring_is_caught:
        NeverExpires by schedule::a_job_that_did_not_start_in_time_expires [ONE];
    storing_a_repeated_id_again_is_caught:
        StoresDuplicates by enqueue::a_repeated_enqueue_answers_duplicate_and_changes_nothing [ONE];
    forgetting_ids_early_is_caught:
        StoresDuplicates by
            enqueue::an_id_stays_taken_for_ten_minutes_when_nothing_else_was_kept [ONE];
    extending_what_was_lost_is_caught:
        ExtendsAnything by lease::a_lease_that_has_ended_is_not_extended [ONE];
    extending_the_neighbours_too_is_caught:
        ExtendsNeighbours by lease::of_jobs_reserved_together_only_those_not_extended_are_reclaimed;
    counting_a_loss_that_never_began_is_caught:
        BeginsAtOnce by lease::a_lost_delivery_that_never_began_is_no_recovery [ONE];
    counting_recoveries_off_by_one_is_caught:
        RecoversOnceMore by lease::a_job_that_keeps_killing_its_worker_ends_as_lost [ONE];
    giving_up_one_recovery_early_is_caught:
        RecoversOnceLess by lease::a_job_that_keeps_killing_its_worker_ends_as_lost [ONE];
    suspecting_nobody_is_caught:
        SuspectsNobody by lease::a_job_is_a_suspect_from_its_second_lost_lease_on [ONE];
    ignoring_the_budget_is_caught:
        IgnoresBudget by upkeep::upkeep_keeps_to_its_budget_and_gets_through;
    pruning_too_early_is_caught:
        PrunesEarly by results::an_outcome_is_kept_for_its_retention [ONE];
    consuming_results_is_caught:
        ConsumesResults by results::reading_an_outcome_never_consumes_it [ONE];
    naming_old_ends_again_is_caught:
        StartsAtTheFirstEnd by
            results::without_a_cursor_finished_answers_at_once_with_the_position_of_now [ONE];
    answering_a_cancel_and_doing_nothing_is_caught:
        CancelsOnlyWaiting by operate::a_running_job_is_cancelled_at_once [ONE];
    replaying_out_of_order_is_caught:
        ReplaysBackwards by operate::replay_makes_failed_jobs_ready_in_order_of_creation [MANY];
    purging_more_than_was_asked_is_caught:
        PurgesAll by operate::purge_deletes_what_passes_the_filter [ONE];
    counting_an_unknown_queue_as_unknown_is_caught:
        KnowsNoUnknownQueue by inspect::an_unknown_queue_has_a_depth_of_zeros;
    listing_the_oldest_first_is_caught:
        ListsOldestFirst by inspect::jobs_are_listed_newest_first;
    cutting_texts_is_caught:
        CutsTexts by limits::a_task_may_have_any_name;
    cutting_a_name_that_is_too_long_is_caught:
        CutsTexts by limits::a_batch_with_a_name_above_the_limit_is_refused_as_a_whole;
    reading_the_envelope_is_caught:
        ReadsEnvelopes by limits::an_envelope_may_be_any_bytes;
    mixing_queues_up_is_caught:
        FoldsQueueCase by limits::queues_are_told_apart_by_every_character;
    storing_half_a_batch_is_caught:
        StoresHalfABatch by limits::a_batch_with_an_envelope_above_the_limit_is_refused_as_a_whole;
    closing_every_connection_is_caught:
        SharesItsEnd by connection::closing_one_connection_leaves_the_others_open;
    never_closing_is_caught:
        NeverCloses by connection::after_close_every_call_answers_closed;
    reserving_in_two_steps_is_caught:
        ReservesInTwoSteps by contention::reservers_at_the_same_time_get_different_jobs;
    reclaiming_without_a_look_at_the_lease_is_caught:
        ReclaimsAnything by lease::a_lease_that_goes_on_is_not_reclaimed [ONE];
    ignoring_inputs_is_caught:
        IgnoresInputs by inputs::a_blocked_job_is_never_handed_out [ONE];
    releasing_when_the_first_input_ends_is_caught:
        WaitsForOneInput by inputs::a_job_is_blocked_until_all_its_inputs_are_done [MANY];
    releasing_before_the_verdict_is_caught:
        ReleasesAtHandOut by inputs::a_job_is_blocked_until_all_its_inputs_are_done [ONE];
    releasing_by_a_stale_verdict_is_caught:
        ReleasesAtAnyVerdict by inputs::a_stale_verdict_releases_nothing [ONE];
    releasing_by_a_retry_is_caught:
        ReleasesAtAnyVerdict by inputs::an_input_that_runs_again_releases_nothing [ONE];
    releasing_in_a_later_step_is_caught:
        ReleasesByUpkeepOnly by
            inputs::one_batch_of_verdicts_releases_all_that_waited_for_it [ONE];
    releasing_before_the_due_time_is_caught:
        IgnoresDueOfBlocked by inputs::a_released_job_that_is_due_later_is_scheduled [ONE];
    forgetting_tolerance_is_caught:
        ForgetsTolerance by
            inputs_failed::a_tolerant_job_waits_for_the_end_of_its_inputs_and_runs [ONE];
    losing_a_failure_on_the_way_is_caught:
        LosesTransitiveFailure by
            inputs_failed::a_failure_goes_all_the_way_and_names_its_root [MANY];
    naming_no_root_is_caught:
        NamesNoRoot by inputs_failed::a_failed_input_fails_what_needs_it [ONE];
    naming_ends_backwards_is_caught:
        NamesEndsBackwards by
            inputs_failed::finished_names_an_input_before_what_failed_because_of_it [ONE];
    counting_blocked_jobs_as_scheduled_is_caught:
        CountsBlockedAsScheduled by inputs::blocked_jobs_are_counted_and_listed [ONE];
    pruning_what_is_waited_for_is_caught:
        PrunesInputsOfBlocked by
            inputs_kept::an_input_that_keeps_nothing_is_kept_for_what_waits_for_it [ONE];
    pruning_when_the_first_reader_ended_is_caught:
        PrunesInputsOfTheFirst by
            inputs_kept::an_input_is_kept_until_the_last_of_many_has_ended [ONE];
    pruning_what_a_replay_needs_is_caught:
        PrunesInputsOfFailed by
            inputs_kept::an_input_is_kept_for_a_failed_job_that_may_be_replayed [ONE];
    cancelling_shared_inputs_is_caught:
        CancelsSharedInputs by inputs_ended::an_input_that_another_job_waits_for_stays [ONE];
    cancelling_inputs_of_others_is_caught:
        OwnsEveryInput by
            inputs_ended::inputs_that_were_not_made_for_a_cancelled_job_stay [ONE];
    ignoring_the_scope_of_a_cancel_is_caught:
        IgnoresScope by inputs_ended::cancelling_the_jobs_alone_leaves_their_inputs [ONE];
    replaying_without_reviving_is_caught:
        ReplaysWithoutReviving by
            inputs_ended::replaying_an_input_blocks_again_what_had_failed_because_of_it [ONE];
    replaying_inputs_that_nobody_named_is_caught:
        ReplaysByInput by
            inputs_ended::a_job_that_failed_because_of_an_input_is_not_replayed_itself;
    never_expiring_blocked_jobs_is_caught:
        NeverExpiresBlocked by inputs_ended::a_blocked_job_expires [ONE];
    ignoring_keys_is_caught:
        IgnoresKeys by unique::a_key_is_held_until_its_job_is_final [ONE];
    freeing_a_key_at_the_hand_out_is_caught:
        FreesKeysAtHandOut by unique::a_key_is_held_until_its_job_is_final [ONE];
    keeping_a_key_while_running_is_caught:
        KeepsKeysWhileRunning by
            unique::a_key_while_queued_is_free_once_its_job_was_handed_out [ONE];
    holding_a_key_too_short_is_caught:
        HoldsKeysTooShort by unique::a_key_for_a_time_is_held_for_that_time [ONE];
    freeing_a_key_for_a_time_at_the_end_is_caught:
        FreesTimedKeysAtTheEnd by unique::a_key_for_a_time_is_held_for_that_time [ONE];
    sharing_keys_between_tasks_is_caught:
        SharesKeys by unique::a_key_belongs_to_its_task;
    mixing_keys_up_is_caught:
        FoldsKeyCase by unique::a_key_may_be_any_text;
    answering_what_a_replay_passed_over_is_caught:
        AnswersWhatItPassedOver by unique::of_failed_jobs_of_one_key_a_replay_takes_one;
    ignoring_groups_is_caught:
        IgnoresGroups by unique_conflict::jobs_that_belong_together_are_stored_together [ONE];
    withholding_the_neighbours_too_is_caught:
        GroupsAll by unique_conflict::a_conflict_does_not_touch_its_neighbours [ONE];
    never_replacing_is_caught:
        NeverReplaces by unique_conflict::a_holder_that_waits_is_replaced [ONE];
    replacing_what_runs_is_caught:
        ReplacesAnything by
            unique_conflict::a_holder_that_runs_or_has_ended_is_not_replaced [ONE];
    replacing_for_a_group_that_is_withheld_is_caught:
        ReplacesForNothing by unique_conflict::a_group_that_is_withheld_replaces_nothing [ONE];
    conflicting_with_itself_is_caught:
        ConflictsWithItself by
            unique_conflict::a_repeated_enqueue_of_the_holder_is_a_duplicate [ONE];
    naming_no_holder_is_caught:
        NamesNoHolder by unique_conflict::the_first_job_of_a_batch_gets_the_key [ONE];
    ending_a_job_that_is_continued_is_caught:
        EndsWhenContinued by
            continued::a_continued_job_is_blocked_until_what_continues_it_is_done [ONE];
    forgetting_what_continues_a_job_is_caught:
        ForgetsJobsOfContinuations by continued::a_continuation_may_be_a_workflow [ONE];
    storing_the_jobs_of_a_stale_continuation_is_caught:
        StoresJobsOfStale by continued::a_stale_continuation_changes_nothing [ONE];
    dropping_the_result_of_a_continued_job_is_caught:
        DropsResultsOfContinued by
            continued::a_continued_job_has_the_result_of_what_continues_it [ONE];
    waiting_for_itself_is_caught:
        ContinuesForEver by continued::a_job_that_would_wait_for_itself_fails_at_once [ONE];
    forgetting_the_root_of_a_continuation_is_caught:
        NamesNoRoot by continued::a_continued_job_fails_with_what_continues_it [ONE];
    disowning_what_continues_a_job_is_caught:
        DisownsContinuations by
            continued_ended::cancelling_a_continued_job_cancels_what_continues_it [ONE];
    owning_what_others_made_is_caught:
        OwnsEveryContinuation by
            continued_ended::cancelling_a_continued_job_leaves_what_was_not_made_for_it [ONE];
    forgetting_the_retention_of_a_continued_job_is_caught:
        ForgetsKeepOfContinued by
            continued_ended::a_continued_job_is_kept_for_its_own_retention [ONE];
    forgetting_cancels_is_caught:
        ForgetsCancels by
            cancelled::cancelled_names_the_running_jobs_that_were_cancelled [ONE];
    naming_old_cancels_again_is_caught:
        StartsAtTheFirstCancel by
            cancelled::without_a_cursor_cancelled_answers_at_once_with_the_position_of_now [ONE];
    starting_a_known_schedule_anew_is_caught:
        RestartsSchedules by schedules::a_put_with_the_same_spec_keeps_what_is_there [ONE];
    ticking_before_the_time_is_caught:
        TicksEarly by schedules::a_schedule_is_due_from_its_tick_on [ONE];
    letting_schedules_starve_is_caught:
        TicksByName by schedules::the_longest_due_come_first_up_to_the_limit;
    firing_a_tick_twice_is_caught:
        FiresStale by schedules::a_repeated_firing_is_stale_and_stores_nothing [ONE];
    firing_a_tick_twice_at_once_is_caught:
        FiresInTwoSteps by schedules::of_firings_at_the_same_time_one_is_applied;
    firing_what_is_paused_is_caught:
        FiresPaused by schedules::a_firing_of_a_schedule_that_changed_is_stale;
    losing_the_jobs_of_a_tick_is_caught:
        LosesTicks by schedules::a_tick_becomes_its_jobs_and_the_schedule_moves_on [ONE];
    ignoring_that_a_schedule_is_paused_is_caught:
        IgnoresHold by schedules::a_paused_schedule_is_not_due_until_it_goes_on [ONE];
    counting_a_snooze_as_an_attempt_is_caught:
        CountsSnoozes by
            settle::a_snoozed_job_is_scheduled_and_counts_nothing [ONE];
    ignoring_a_snooze_is_caught:
        IgnoresSnoozes by
            settle::a_snoozed_job_is_scheduled_and_counts_nothing [ONE];
    ignoring_the_fence_of_reports_is_caught:
        IgnoresFenceOfReports by
            reports::a_report_of_an_earlier_lease_is_stale_and_changes_nothing [ONE];
    failing_the_neighbours_of_a_stale_report_is_caught:
        FailsBatchesOfReports by
            reports::a_stale_report_does_not_touch_its_neighbours;
    never_renewing_the_version_of_progress_is_caught:
        NeverRenewsVersions by
            reports::a_later_progress_takes_the_place_of_an_earlier_one [ONE];
    telling_what_was_seen_before_is_caught:
        ForgetsWhatWasSeen by
            reports::a_waiting_progress_answers_when_there_is_a_newer_one [ONE];
    losing_a_log_at_a_retry_is_caught:
        LosesLogsAtRetry by
            reports::lines_are_told_in_order_with_their_attempts [ONE];
    ignoring_the_age_of_lines_is_caught:
        IgnoresAges by
            reports::a_line_is_as_old_as_the_task_says [ONE];
    keeping_logs_for_ever_is_caught:
        KeepsLogsForEver by
            reports::what_was_said_is_deleted_with_the_job [ONE];
    appending_items_twice_is_caught:
        AppendsRepeatedItems by
            streams::a_repeated_report_of_items_adds_nothing [ONE];
    accepting_a_gap_is_caught:
        AcceptsGaps by
            streams::a_report_that_would_leave_a_gap_is_stale_as_a_whole [ONE];
    recording_half_of_a_report_is_caught:
        RecordsHalfOfGaps by
            streams::a_report_that_would_leave_a_gap_is_stale_as_a_whole [ONE];
    mixing_runs_is_caught:
        MixesRuns by
            streams::each_delivery_begins_a_run_of_its_own [ONE];
    opening_no_empty_run_is_caught:
        OpensNoEmptyRun by
            streams::an_empty_first_report_begins_a_run [ONE];
    ignoring_the_run_of_a_reader_is_caught:
        IgnoresRuns by
            streams::a_reader_of_an_earlier_run_gets_the_new_one_from_the_start [ONE];
    reading_without_a_wait_is_caught:
        ReadsWithoutWaiting by
            streams::a_waiting_reader_gets_items_as_they_are_published [ONE];
    consuming_items_is_caught:
        ConsumesItems by
            streams::reading_items_never_consumes_them [ONE];
    counting_the_latest_pull_is_caught:
        CountsTheLatestPull by
            demand::the_highest_pull_counts [ONE];
    pulling_what_is_final_is_caught:
        PullsWhatIsFinal by
            demand::a_pull_of_a_final_job_changes_nothing [ONE];
    ignoring_a_sign_of_a_reader_is_caught:
        IgnoresLowerPulls by
            demand::a_stream_that_nobody_pulls_grows_idle [ONE];
    telling_a_demand_of_before_is_caught:
        DemandsWhatWasBefore by
            demand::a_waiting_demand_answers_when_a_reader_wants_more [ONE];
    counting_what_is_stale_is_caught:
        CountsStaleVerdicts by
            sums::sums_count_attempts_that_failed_and_leases_that_were_lost [ONE];
    ignoring_the_limit_of_events_is_caught:
        IgnoresMaxOfEvents by
            events::a_reader_that_resumes_sees_each_event_once [MANY];
    losing_sums_with_their_jobs_is_caught:
        LosesSumsAtPrune by
            sums::sums_stay_when_jobs_are_deleted [ONE];
    hiding_what_was_missed_is_caught:
        MissesNothing by
            events::a_slow_reader_is_told_how_many_events_it_missed;
    skipping_numbers_of_events_is_caught:
        SkipsNumbers by
            events::the_life_of_a_job_is_told_in_order [ONE];
    telling_old_events_again_is_caught:
        StartsAtTheFirstEvent by
            events::without_a_position_events_answers_at_once_with_that_of_now [ONE];
    summing_no_waits_is_caught:
        SumsNoWaits by
            sums::sums_tell_how_long_jobs_waited [ONE];
    telling_an_event_twice_is_caught:
        TellsEventsAgain by
            events::a_reader_that_resumes_sees_each_event_once [ONE];
    telling_a_loss_as_a_failure_is_caught:
        TellsLostAsFailed by
            history::the_timeline_tells_deliveries_that_were_lost [ONE];
    telling_no_losses_is_caught:
        TellsNoLosses by
            events::a_lost_lease_is_an_event [ONE];
    telling_no_releases_is_caught:
        TellsNoReleases by
            history::the_timeline_tells_deliveries_that_were_given_back [ONE];
    telling_no_replays_is_caught:
        TellsNoReplays by
            events::a_replay_is_an_event [ONE];
    telling_the_task_of_what_is_deleted_is_caught:
        TellsTasksForEver by
            events::the_task_of_a_deleted_job_is_not_told [ONE];
    telling_the_latest_attempt_alone_is_caught:
        TellsTheLatestAttempt by
            history::the_timeline_tells_each_attempt_and_why_it_failed [ONE];
    telling_the_mean_as_the_longest_is_caught:
        TellsTheMeanAsLongest by
            sums::sums_tell_how_long_jobs_ran [ONE];
    ignoring_the_end_of_the_lease_of_a_report_is_caught:
        IgnoresLeaseEnd by
            reports::a_report_with_an_expired_lease_is_stale_and_changes_nothing [ONE];
    entering_nothing_that_is_ready_is_caught:
        EntersNothingReady by
            outbox_entered::what_is_ready_when_the_outbox_is_opened_is_entered [ONE];
    ignoring_that_an_entry_is_held_is_caught:
        IgnoresHolds by outbox::an_entry_is_nobody_elses_as_long_as_it_is_held [ONE];
    forgetting_what_was_taken_is_caught:
        ForgetsTaken by outbox::what_was_not_sent_comes_again_when_the_hold_ends [ONE];
    forgetting_what_is_ready_again_is_caught:
        SendsByJob by outbox::what_became_ready_again_since_stays_entered [ONE];
    sending_backwards_is_caught:
        SendsBackwards by
            outbox::what_is_stored_together_comes_in_the_order_of_handing_out [MANY];
    claiming_from_a_paused_queue_is_caught:
        ClaimsPaused by claim::a_job_of_a_paused_queue_is_not_claimed_until_it_goes_on [ONE];
    answering_a_claim_twice_is_caught:
        ClaimsTwice by claim::an_id_that_is_named_twice_is_leased_once;
}

/// Runs a case against the sound broker, which must pass, and against the broken one.
fn assert_caught(
    harness: fn(Defect) -> MutantHarness,
    defect: Defect,
    case: &impl AsyncFn(&dyn Harness),
) {
    run(case(&harness(Defect::None)));
    let broken = AssertUnwindSafe(|| run(case(&harness(defect))));
    let Err(panic) = catch_unwind(broken) else { panic!("{defect:?} passes the case") };
    let message = taskcore::panic_message(panic.as_ref());
    assert!(!message.contains("hangs"), "{defect:?} is caught by the clock only: {message}");
}
