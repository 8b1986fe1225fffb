//! The one list of cases.

/// Each case under what it fits: `every` broker, a `store`, or a `transport`, which carries jobs
/// and keeps nothing of them. `once` cases take a harness; `batched` ones a harness and a batch
/// size.
#[doc(hidden)]
#[macro_export]
macro_rules! __cases {
    ($($mode:tt)*) => {
        $crate::__expand! {
            $($mode)*
            cancelled {
                store {
                    once [
                        cancelled_waits_no_longer_than_asked
                        cancelled_answers_at_most_ten_thousand_ids_and_goes_on
                        close_ends_a_cancelled_that_waits
                    ]
                    batched [
                        without_a_cursor_cancelled_answers_at_once_with_the_position_of_now
                        cancelled_names_the_running_jobs_that_were_cancelled
                        cancelled_names_running_inputs_that_were_cancelled_with_their_job
                        a_waiting_cancelled_answers_when_a_job_is_cancelled
                    ]
                }
            }
            claim {
                outbox {
                    once [
                        a_claim_answers_each_id_in_order
                        an_id_that_is_named_twice_is_leased_once
                        a_job_that_has_expired_is_not_claimed
                        a_key_while_queued_is_free_once_its_job_was_claimed
                        an_empty_claim_answers_an_empty_list
                        a_claim_takes_ten_thousand_ids_and_no_more
                        claimers_at_the_same_time_get_each_job_once
                        a_claim_that_races_a_reserve_leaves_each_job_to_one
                    ]
                    batched [
                        a_claimed_job_is_handed_out_as_it_was_stored
                        a_verdict_of_a_claimed_job_counts
                        a_claimed_job_is_leased_until_its_lease_ends
                        a_claim_is_told_like_any_hand_out
                        a_job_that_runs_again_is_claimed_with_its_next_attempt
                        a_claimed_job_whose_lease_was_lost_becomes_a_suspect
                        a_due_job_is_claimed_without_upkeep
                        a_job_of_a_paused_queue_is_not_claimed_until_it_goes_on
                        a_claim_counts_as_sending
                    ]
                }
            }
            connection {
                every {
                    once [
                        a_broker_has_a_short_lower_case_name
                        capabilities_are_the_same_on_every_connection
                        a_duplicate_is_driven_by_the_runtime_that_made_it
                        after_close_every_call_answers_closed
                        closing_twice_is_allowed
                        closing_one_connection_leaves_the_others_open
                        close_ends_a_reserve_that_waits
                    ]
                    batched [
                        a_duplicate_works_on_the_same_store
                    ]
                }
            }
            contention {
                every {
                    once [
                        reservers_at_the_same_time_get_different_jobs
                        a_verdict_that_races_a_reclaim_is_applied_or_stale
                        a_late_verdict_that_races_a_reclaim_is_stale
                        of_verdicts_at_the_same_time_one_is_applied
                        upkeeps_at_the_same_time_reclaim_each_job_once
                        replays_at_the_same_time_replay_each_job_once
                        jobs_stored_while_others_are_reserved_are_all_done_once
                    ]
                    batched []
                }
                store {
                    once [
                        enqueues_of_the_same_ids_at_the_same_time_store_each_once
                        a_cancel_that_races_a_verdict_has_one_winner
                        the_last_inputs_that_end_at_the_same_time_release_once
                        a_job_that_is_stored_while_its_input_ends_can_run
                        readers_of_a_stream_that_is_being_made_get_all_of_it
                        of_pulls_at_the_same_time_the_highest_counts
                    ]
                    batched []
                }
            }
            continued {
                store {
                    once [
                        a_chain_of_thousands_of_continuations_ends_together
                        a_waiting_reserve_gets_what_continues_a_job
                    ]
                    batched [
                        a_continued_job_is_blocked_until_what_continues_it_is_done
                        a_continued_job_has_the_result_of_what_continues_it
                        a_stale_continuation_changes_nothing
                        a_continuation_may_be_a_workflow
                        a_job_may_be_continued_by_one_that_was_stored_before
                        a_job_that_is_continued_by_one_that_has_ended_ends_at_once
                        a_continued_job_fails_with_what_continues_it
                        what_waits_for_a_continued_job_goes_on_when_that_is_done
                        a_job_that_would_wait_for_itself_fails_at_once
                        a_job_may_be_continued_by_one_that_ends_in_the_same_batch
                        finished_names_what_continues_a_job_before_it
                    ]
                }
            }
            continued_ended {
                store {
                    once []
                    batched [
                        cancelling_a_continued_job_cancels_what_continues_it
                        cancelling_a_continued_job_leaves_what_was_not_made_for_it
                        replaying_what_continues_a_job_blocks_it_again
                        a_continued_job_never_expires
                        a_continued_job_is_kept_for_its_own_retention
                        a_continued_job_keeps_what_continues_it_and_not_its_inputs
                        continued_jobs_and_what_continues_them_can_be_deleted
                    ]
                }
            }
            demand {
                store {
                    once [
                        demand_waits_no_longer_than_asked
                        close_ends_a_demand_that_waits
                        there_is_no_demand_of_a_job_that_does_not_run
                    ]
                    batched [
                        the_highest_pull_counts
                        a_pull_counts_before_the_job_runs
                        a_stream_that_nobody_pulls_grows_idle
                        a_stream_is_not_idle_before_it_was_handed_out
                        a_waiting_demand_answers_when_a_reader_wants_more
                        demand_answers_at_once_if_more_is_wanted_than_known
                        a_pull_of_a_final_job_changes_nothing
                    ]
                }
            }
            enqueue {
                every {
                    once [
                        ten_thousand_jobs_come_out_once_each_in_order
                    ]
                    batched [
                        a_job_is_handed_out_as_it_was_stored
                        jobs_outlive_the_connection_that_stored_them
                        a_stored_job_is_seen_by_every_connection
                    ]
                }
                store {
                    once [
                        an_id_named_twice_in_one_batch_is_stored_once
                        a_batch_of_new_and_known_ids_answers_each_in_order
                    ]
                    batched [
                        a_repeated_enqueue_answers_duplicate_and_changes_nothing
                        an_id_stays_taken_while_its_job_runs_and_after_it_ended
                        an_id_stays_taken_after_its_job_ended_badly
                        an_id_stays_taken_for_ten_minutes_when_nothing_else_was_kept
                        an_id_stays_taken_for_ten_minutes_when_the_outcome_was_pruned_before
                    ]
                }
            }
            events {
                store {
                    once [
                        events_waits_no_longer_than_asked
                        close_ends_an_events_that_waits
                        a_slow_reader_is_told_how_many_events_it_missed
                        events_at_the_same_time_are_all_told_once
                    ]
                    batched [
                        without_a_position_events_answers_at_once_with_that_of_now
                        the_life_of_a_job_is_told_in_order
                        each_verdict_is_an_event
                        a_continuation_is_an_event
                        a_job_that_would_wait_for_itself_is_an_event_of_a_failure
                        a_lost_lease_is_an_event
                        a_cancel_is_an_event
                        inputs_that_are_cancelled_with_their_job_are_events
                        a_holder_that_is_replaced_is_an_event
                        an_expiry_is_an_event
                        a_replay_is_an_event
                        a_failure_because_of_an_input_is_an_event
                        a_job_that_cannot_run_is_two_events
                        deleting_an_input_is_an_event_of_what_needs_it
                        a_job_that_a_schedule_stored_is_an_event
                        what_changes_nothing_is_no_event
                        a_job_that_becomes_ready_is_no_event
                        the_task_of_a_deleted_job_is_not_told
                        a_reader_that_resumes_sees_each_event_once
                        a_waiting_events_answers_when_something_happens
                        what_is_gone_of_batches_is_counted_too
                    ]
                }
            }
            history {
                store {
                    once [
                        there_is_no_timeline_of_an_unknown_job
                        at_least_the_latest_fifty_deliveries_are_told
                        after_close_history_answers_closed
                    ]
                    batched [
                        the_timeline_of_a_job_that_waits_has_no_attempts
                        the_timeline_of_a_running_job_tells_who_has_it
                        the_timeline_of_a_job_that_is_done_tells_its_end
                        the_timeline_tells_each_attempt_and_why_it_failed
                        the_timeline_tells_deliveries_that_were_given_back
                        the_timeline_tells_deliveries_that_were_lost
                        the_timeline_tells_a_cancel
                        the_timeline_tells_a_cancel_of_inputs
                        the_timeline_of_an_expired_job_has_no_attempts
                        the_timeline_of_a_continued_job_ends_with_what_continues_it
                        the_timeline_tells_a_continuation_that_failed_at_once
                        a_replay_adds_to_the_timeline
                        a_timeline_is_kept_as_long_as_the_job
                    ]
                }
            }
            inputs {
                store {
                    once [
                        a_fan_in_of_hundreds_is_released_once
                    ]
                    batched [
                        a_job_is_blocked_until_all_its_inputs_are_done
                        one_batch_of_verdicts_releases_all_that_waited_for_it
                        a_stale_verdict_releases_nothing
                        an_input_that_runs_again_releases_nothing
                        inputs_may_come_in_the_same_batch
                        an_input_that_is_done_already_is_not_waited_for
                        a_diamond_runs_from_its_source_to_its_sink
                        a_chain_runs_in_order
                        a_released_job_that_is_due_later_is_scheduled
                        a_blocked_job_is_never_handed_out
                        a_released_job_comes_in_the_order_of_its_due_time
                        a_waiting_reserve_gets_a_job_whose_inputs_ended
                        repeating_a_batch_with_inputs_changes_nothing
                        blocked_jobs_are_counted_and_listed
                    ]
                }
            }
            inputs_ended {
                store {
                    once [
                        a_cancel_goes_up_a_chain_of_thousands
                        a_job_that_failed_because_of_an_input_is_not_replayed_itself
                    ]
                    batched [
                        a_blocked_job_can_be_cancelled
                        inputs_that_were_made_for_a_cancelled_job_are_cancelled
                        inputs_that_were_not_made_for_a_cancelled_job_stay
                        an_input_that_another_job_waits_for_stays
                        an_input_that_only_ended_jobs_shared_is_cancelled_with_its_owner
                        an_input_shared_by_jobs_that_are_cancelled_together_goes_with_them
                        of_a_chain_that_is_cancelled_together_each_job_is_prevented
                        cancelling_the_jobs_alone_leaves_their_inputs
                        deleting_an_input_that_has_not_ended_fails_what_needs_it
                        deleting_an_input_that_has_ended_changes_nothing
                        jobs_may_be_deleted_together_with_their_inputs
                        a_blocked_job_can_be_deleted
                        replaying_an_input_blocks_again_what_had_failed_because_of_it
                        a_revived_job_fails_again_with_its_input
                        a_job_stays_failed_while_another_of_its_inputs_is
                        replaying_an_input_leaves_jobs_that_failed_on_their_own
                        a_job_that_is_replayed_with_its_input_waits_for_it
                        a_blocked_job_waits_again_for_an_input_that_is_replayed
                        a_blocked_job_expires
                        a_job_that_is_released_after_its_time_expires
                    ]
                }
            }
            inputs_failed {
                store {
                    once [
                        a_failure_goes_down_a_chain_of_thousands
                        a_batch_with_a_failure_fails_a_job_that_needs_all_of_it
                    ]
                    batched [
                        a_tolerant_job_waits_for_the_end_of_its_inputs_and_runs
                        a_tolerant_job_does_not_wait_for_what_has_no_result
                        each_input_is_tolerated_on_its_own
                        a_failed_input_fails_what_needs_it
                        an_input_with_nothing_to_do_fails_what_needs_it
                        a_cancelled_input_fails_what_needs_it
                        an_expired_input_fails_what_needs_it
                        a_lost_input_fails_what_needs_it
                        an_unknown_input_fails_the_job_as_it_is_stored
                        an_input_that_had_failed_before_fails_the_job_as_it_is_stored
                        a_failure_goes_all_the_way_and_names_its_root
                        a_job_that_failed_because_of_an_input_is_final
                        finished_names_an_input_before_what_failed_because_of_it
                    ]
                }
            }
            inputs_kept {
                store {
                    once [
                        inputs_that_are_kept_do_not_hold_up_upkeep
                    ]
                    batched [
                        an_input_is_kept_until_what_waited_for_it_is_done
                        an_input_that_keeps_nothing_is_kept_for_what_waits_for_it
                        an_input_is_kept_for_a_failed_job_that_may_be_replayed
                        an_input_is_kept_for_a_job_that_another_input_failed
                        an_input_is_kept_until_the_last_of_many_has_ended
                        cancelled_expired_and_deleted_jobs_keep_no_input
                        an_input_keeps_its_own_retention
                        an_input_that_was_done_before_is_kept_too
                        an_input_without_a_result_is_kept_too
                    ]
                }
            }
            inspect {
                every {
                    once [
                        depth_counts_the_jobs_of_each_queue_in_the_order_asked
                        an_unknown_queue_has_a_depth_of_zeros
                    ]
                    batched []
                }
                store {
                    once [
                        jobs_are_listed_newest_first
                        each_field_of_a_filter_narrows
                        jobs_are_found_in_every_state
                        a_record_tells_the_life_of_a_job
                        queues_that_hold_a_job_or_are_paused_are_listed_by_name
                        depth_tells_since_when_the_oldest_ready_job_waits
                        a_check_of_a_sound_store_finds_no_error
                    ]
                    batched []
                }
            }
            lease {
                every {
                    once [
                        of_jobs_reserved_together_only_those_not_extended_are_reclaimed
                        beginning_one_delivery_says_nothing_of_its_neighbours
                        a_limit_of_zero_recoveries_ends_a_begun_job_at_its_first_loss
                    ]
                    batched [
                        a_job_whose_lease_ended_is_reclaimed
                        a_lease_that_goes_on_is_not_reclaimed
                        an_extension_makes_the_lease_end_that_span_from_now
                        a_verdict_counts_after_an_extension
                        a_lease_that_has_ended_is_not_extended
                        a_shorter_extension_shortens_the_lease
                        an_extension_of_a_settled_job_is_lost
                        an_extension_with_an_earlier_receipt_is_lost_and_extends_nothing
                        a_lost_delivery_that_never_began_is_no_recovery
                        a_lost_delivery_that_began_is_a_recovery
                        beginning_with_a_lease_that_is_over_is_stale_and_marks_nothing
                        the_mark_of_having_begun_ends_with_the_delivery
                        the_mark_of_having_begun_survives_an_extension
                        a_job_is_a_suspect_from_its_second_lost_lease_on
                        a_retry_clears_suspicion
                        a_job_that_never_began_is_never_lost
                        a_job_that_keeps_killing_its_worker_ends_as_lost
                        a_verdict_of_a_lost_job_is_stale
                    ]
                }
                store {
                    once [
                        an_extension_answers_each_receipt_in_order
                        a_reclaimed_job_that_had_begun_goes_behind_its_neighbours
                    ]
                    batched [
                        an_extension_tells_which_jobs_were_cancelled
                    ]
                }
            }
            limits {
                every {
                    once [
                        a_task_may_have_any_name
                        an_envelope_may_be_any_bytes
                        a_worker_may_have_any_name
                        queues_are_told_apart_by_every_character
                        a_batch_above_the_limit_is_refused_as_a_whole
                        a_batch_with_an_envelope_above_the_limit_is_refused_as_a_whole
                        a_batch_with_a_name_above_the_limit_is_refused_as_a_whole
                        an_empty_batch_answers_an_empty_list
                    ]
                    batched [
                        an_envelope_of_one_mebibyte_comes_out_whole
                    ]
                }
                store {
                    once [
                        a_filter_matches_whole_names_literally
                    ]
                    batched []
                }
            }
            operate {
                every {
                    once []
                    batched [
                        replay_replays_each_job_once
                        replay_takes_lost_jobs_too
                    ]
                }
                store {
                    once [
                        cancelling_answers_each_id_in_order
                        replay_takes_what_passes_the_filter
                        purge_keeps_to_the_limit_of_the_filter
                        a_queue_that_was_paused_twice_goes_on_at_once
                    ]
                    batched [
                        a_job_that_is_cancelled_before_it_starts_never_runs
                        a_running_job_is_cancelled_at_once
                        a_job_that_waits_for_its_next_attempt_can_be_cancelled
                        a_job_that_has_ended_cannot_be_cancelled
                        replay_makes_failed_jobs_ready_in_order_of_creation
                        replay_leaves_jobs_that_did_not_fail_alone
                        purge_deletes_what_passes_the_filter
                        purge_without_a_filter_spares_running_jobs_only
                    ]
                }
            }
            outbox {
                outbox {
                    once [
                        an_outbox_that_is_opened_again_stays_as_it_is
                        openings_at_the_same_time_enter_each_job_once
                        jobs_stored_while_the_outbox_is_opened_are_all_entered
                        an_entry_tells_the_queue_and_the_priority_of_its_job
                        what_became_ready_first_comes_first
                        what_becomes_due_together_comes_in_the_order_of_handing_out
                        no_more_entries_are_taken_than_asked
                        entries_may_be_deleted_twice
                        takers_at_the_same_time_get_different_entries
                        unsent_waits_no_longer_than_asked
                        a_waiting_unsent_gets_a_job_that_becomes_due
                        a_waiting_unsent_gets_an_entry_whose_hold_ends
                        close_ends_an_unsent_that_waits
                        after_close_an_outbox_answers_closed
                    ]
                    batched [
                        what_is_stored_together_comes_in_the_order_of_handing_out
                        an_entry_is_nobody_elses_as_long_as_it_is_held
                        what_was_not_sent_comes_again_when_the_hold_ends
                        what_was_sent_does_not_come_again
                        what_became_ready_again_since_stays_entered
                        entries_of_deleted_jobs_hide_no_others
                        a_waiting_unsent_gets_a_job_that_another_connection_stores
                    ]
                }
            }
            outbox_entered {
                outbox {
                    once [
                        an_outbox_stays_open_without_who_opened_it
                    ]
                    batched [
                        what_is_ready_when_the_outbox_is_opened_is_entered
                        a_job_is_entered_as_it_is_stored
                        a_job_is_entered_when_it_becomes_due
                        a_job_is_entered_when_its_next_attempt_is_due
                        a_job_is_entered_when_its_snooze_is_over
                        a_job_is_entered_as_it_is_given_back
                        a_job_is_entered_as_its_lost_lease_is_reclaimed
                        a_job_is_entered_as_its_inputs_end
                        a_job_is_entered_as_it_is_replayed
                        a_job_is_entered_as_its_schedule_ticks
                        a_job_is_entered_as_it_continues_another
                    ]
                }
            }
            reports {
                store {
                    once [
                        progress_and_lines_may_hold_anything
                        a_stale_report_does_not_touch_its_neighbours
                        a_receipt_does_not_report_for_another_job
                        a_receipt_that_no_broker_made_reports_nothing
                        an_empty_batch_of_reports_answers_an_empty_list
                        progress_answers_at_once_if_the_job_is_final_or_unknown
                        progress_waits_no_longer_than_asked
                        close_ends_a_progress_that_waits
                        after_close_reports_answer_closed
                    ]
                    batched [
                        progress_is_told_as_it_was_reported
                        a_later_progress_takes_the_place_of_an_earlier_one
                        a_report_without_progress_leaves_what_is_there
                        of_a_job_that_said_nothing_only_the_state_is_told
                        lines_are_told_in_order_with_their_attempts
                        a_line_is_as_old_as_the_task_says
                        what_was_said_stays_when_the_job_runs_again
                        what_was_said_is_kept_as_long_as_the_job
                        what_was_said_is_deleted_with_the_job
                        a_report_of_an_earlier_lease_is_stale_and_changes_nothing
                        a_report_with_an_expired_lease_is_stale_and_changes_nothing
                        a_report_after_the_verdict_is_stale_and_changes_nothing
                        a_report_of_a_cancelled_job_is_stale_and_changes_nothing
                        a_waiting_progress_answers_when_there_is_a_newer_one
                        progress_answers_at_once_if_there_is_a_newer_one
                        a_waiting_progress_answers_when_the_job_ends
                    ]
                }
            }
            reserve {
                every {
                    once [
                        higher_priorities_come_first
                        within_a_priority_earlier_due_times_come_first
                        queues_are_served_in_the_order_of_the_request
                        each_queue_gives_no_more_than_its_own_limit
                        a_queue_that_is_asked_for_twice_gives_each_job_once
                        a_queue_that_was_not_asked_for_gives_nothing
                        an_unknown_queue_gives_nothing_and_is_not_created
                        an_empty_store_answers_at_once_when_there_is_no_wait
                        a_wait_ends_with_an_empty_list
                        a_reserve_returns_with_what_there_is
                        an_interrupt_ends_the_wait_with_an_empty_list
                        a_waiting_reserve_gets_a_job_that_becomes_due
                        a_waiting_reserve_gets_a_job_that_is_released
                        a_waiting_reserve_gets_a_job_that_is_reclaimed
                        a_waiting_reserve_gets_a_job_that_is_replayed
                    ]
                    batched [
                        a_job_goes_to_one_caller_until_its_lease_ends
                        jobs_come_in_the_order_of_enqueueing
                        no_more_than_the_limit_is_handed_out
                        an_interrupt_never_drops_what_was_leased
                        a_waiting_reserve_gets_a_job_that_another_connection_stores
                        dropping_a_waiting_reserve_leaves_the_store_sound
                        dropping_a_reserve_midway_loses_no_job
                    ]
                }
                store {
                    once [
                        a_waiting_reserve_gets_the_jobs_of_a_queue_that_goes_on
                        a_paused_queue_holds_up_neither_other_queues_nor_running_jobs
                    ]
                    batched [
                        a_paused_queue_gives_nothing_until_it_goes_on
                        a_store_remembers_who_took_a_job_and_when
                    ]
                }
            }
            results {
                store {
                    once [
                        an_outcome_without_a_result_is_final_all_the_same
                        lookups_answer_each_id_in_order
                        finished_answers_at_most_ten_thousand_ids_and_goes_on
                        finished_waits_no_longer_than_asked
                        results_are_there_if_the_capabilities_say_so
                    ]
                    batched [
                        an_outcome_holds_the_result_as_it_was_given
                        results_of_one_batch_are_not_mixed_up
                        reading_an_outcome_never_consumes_it
                        a_job_that_is_not_final_is_pending_in_its_state
                        an_outcome_is_kept_for_its_retention
                        nothing_is_kept_of_a_job_that_keeps_nothing
                        a_failed_job_is_never_pruned
                        outcomes_of_cancelled_and_expired_jobs_are_kept_for_a_while
                        without_a_cursor_finished_answers_at_once_with_the_position_of_now
                        finished_names_the_jobs_that_became_final
                        a_waiting_finished_answers_when_a_job_ends
                    ]
                }
            }
            schedule {
                every {
                    once []
                    batched [
                        a_job_is_never_handed_out_before_its_due_time
                        a_due_job_is_handed_out_without_upkeep
                        a_due_job_counts_as_ready
                        a_job_may_be_due_at_a_time
                        a_due_time_in_the_past_is_now
                        a_job_due_after_no_time_can_run_at_once
                        a_delivery_tells_since_when_it_was_due
                        a_job_may_be_due_in_a_thousand_years
                        a_job_that_did_not_start_in_time_expires
                        an_expired_job_is_not_handed_out
                        a_scheduled_job_expires_too
                        a_job_that_was_given_back_may_still_expire
                        a_job_that_is_given_back_after_its_time_expires
                        a_job_that_was_snoozed_may_still_expire
                        a_job_whose_lease_was_lost_does_not_expire
                        a_job_that_has_failed_before_does_not_expire
                        a_replayed_job_does_not_expire
                        a_job_that_started_in_time_does_not_expire
                    ]
                }
                store {
                    once []
                    batched [
                        a_deleted_jobs_time_to_expire_goes_with_it
                    ]
                }
            }
            schedules {
                store {
                    once [
                        a_schedule_may_have_any_texts
                        a_filter_narrows_the_list
                        a_put_of_one_that_has_ended_starts_it_anew
                        a_name_that_is_put_twice_at_once_is_one_schedule
                        the_longest_due_come_first_up_to_the_limit
                        a_waiting_due_answers_when_a_tick_comes
                        a_waiting_due_answers_when_a_due_schedule_is_put
                        due_waits_no_longer_than_asked
                        a_waiting_reserve_gets_the_job_of_a_tick
                        a_firing_of_a_schedule_that_changed_is_stale
                        of_firings_at_the_same_time_one_is_applied
                        a_firing_without_jobs_only_moves_on
                        a_firing_without_a_next_tick_ends_the_schedule
                        a_job_that_is_stored_already_is_left_out
                        the_latest_runs_are_remembered
                        after_close_no_schedule_can_be_asked_for
                    ]
                    batched [
                        a_schedule_is_listed_as_it_was_stored
                        a_put_with_the_same_spec_keeps_what_is_there
                        a_put_with_another_spec_takes_the_new_tick
                        a_schedule_is_due_from_its_tick_on
                        a_tick_becomes_its_jobs_and_the_schedule_moves_on
                        a_repeated_firing_is_stale_and_stores_nothing
                        a_paused_schedule_is_not_due_until_it_goes_on
                        a_deleted_schedule_is_gone_and_its_jobs_stay
                    ]
                }
            }
            settle {
                every {
                    once [
                        a_stale_entry_does_not_touch_its_neighbours
                        a_batch_may_hold_verdicts_of_every_kind
                        a_receipt_named_twice_in_one_batch_counts_once
                        a_receipt_does_not_settle_another_job
                        a_receipt_that_no_broker_made_is_stale
                        a_verdict_of_an_unknown_job_is_stale
                    ]
                    batched [
                        a_job_that_is_done_never_runs_again
                        a_retry_is_scheduled_and_counts_an_attempt
                        a_retry_without_a_delay_can_run_at_once
                        a_failed_job_is_kept_with_its_failure
                        a_verdict_of_nothing_to_do_ends_the_job_as_cancelled
                        a_released_job_is_ready_again_and_counts_nothing
                        a_snoozed_job_is_scheduled_and_counts_nothing
                        a_snoozed_job_is_due_that_span_from_now
                        a_snooze_of_no_time_can_run_at_once
                        a_snooze_leaves_what_was_counted_before
                        a_repeated_verdict_is_stale_and_has_no_second_effect
                        a_verdict_with_an_expired_lease_is_stale_and_changes_nothing
                        a_verdict_of_an_earlier_lease_is_stale_and_changes_nothing
                        a_verdict_of_a_reclaimed_job_is_stale_and_changes_nothing
                        a_failure_comes_back_as_it_was_given
                    ]
                }
                store {
                    once []
                    batched [
                        a_released_job_keeps_its_turn
                        a_verdict_of_a_cancelled_job_is_stale_and_changes_nothing
                        a_job_that_failed_before_and_is_done_has_a_result_and_no_failure
                    ]
                }
            }
            streams {
                store {
                    once [
                        an_item_may_be_any_bytes
                        items_are_read_page_by_page
                        reading_answers_at_once_if_the_job_is_final_or_unknown
                        reading_waits_no_longer_than_asked
                        close_ends_a_reader_that_waits
                    ]
                    batched [
                        items_are_read_as_they_were_published
                        a_run_grows_with_each_report
                        reading_items_never_consumes_them
                        a_repeated_report_of_items_adds_nothing
                        a_report_that_overlaps_adds_what_is_new
                        a_report_that_would_leave_a_gap_is_stale_as_a_whole
                        an_empty_first_report_begins_a_run
                        each_delivery_begins_a_run_of_its_own
                        an_empty_first_report_deletes_the_run_before
                        a_run_begins_at_index_0
                        a_reader_of_an_earlier_run_gets_the_new_one_from_the_start
                        a_waiting_reader_gets_items_as_they_are_published
                        a_waiting_reader_is_told_that_its_run_is_over
                        a_waiting_reader_is_told_that_the_job_has_ended
                        a_late_reader_reads_from_the_start
                    ]
                }
            }
            sums {
                store {
                    once [
                        sums_are_told_by_the_names_of_tasks
                        sums_of_jobs_that_end_at_the_same_time_are_right
                    ]
                    batched [
                        sums_count_each_job_that_was_stored_once
                        sums_count_how_jobs_end
                        sums_count_attempts_that_failed_and_leases_that_were_lost
                        sums_count_a_replayed_job_again
                        sums_count_jobs_that_end_because_of_others
                        sums_count_jobs_that_nobody_named
                        sums_count_runs_that_came_to_a_verdict
                        sums_tell_how_long_jobs_ran
                        sums_tell_how_long_jobs_waited
                        the_wait_for_inputs_counts_as_a_wait
                        sums_stay_when_jobs_are_deleted
                    ]
                }
            }
            transport {
                transport {
                    once [
                        what_is_off_has_no_face
                        a_batch_with_inputs_is_refused_as_a_whole
                        a_batch_with_unique_keys_is_refused_as_a_whole
                        a_batch_with_a_continuation_is_refused_as_a_whole
                        what_a_transport_does_not_know_of_jobs_is_refused
                        a_cancel_is_refused_and_changes_nothing
                        a_pause_is_refused_and_changes_nothing
                        an_extension_answers_held_and_lost_in_order
                        a_replay_takes_what_passes_the_filter
                        a_purge_takes_what_passes_the_filter
                        a_due_job_comes_soon_after_it_is_due
                        after_close_no_failed_job_can_be_asked_for
                    ]
                    batched [
                        closing_a_connection_gives_its_jobs_back
                        closing_a_connection_gives_back_no_verdict
                        closing_a_duplicate_leaves_the_jobs_of_the_others
                        a_receipt_of_another_connection_is_stale_and_changes_nothing
                        a_repeated_enqueue_is_answered_as_stored
                        failed_jobs_are_listed_with_all_that_is_known_of_them
                        a_replayed_job_starts_anew
                        purged_failed_jobs_are_gone
                    ]
                }
            }
            unique {
                store {
                    once [
                        every_end_of_a_job_frees_its_key
                        a_key_belongs_to_its_task
                        a_key_may_be_any_text
                        of_failed_jobs_of_one_key_a_replay_takes_one
                        a_job_is_not_revived_while_another_holds_its_key
                        a_record_tells_the_key
                    ]
                    batched [
                        a_key_is_held_until_its_job_is_final
                        a_continued_job_holds_its_key_until_it_is_final
                        a_key_is_free_once_an_input_has_failed
                        a_key_while_queued_is_free_once_its_job_was_handed_out
                        a_key_for_a_time_is_held_for_that_time
                        a_key_that_is_over_goes_to_the_next_job
                        a_replay_takes_the_key_again
                        a_replay_passes_over_a_job_whose_key_is_held
                        a_job_that_is_revived_takes_its_key_again
                    ]
                }
            }
            unique_conflict {
                store {
                    once [
                        two_jobs_of_a_group_with_one_key_conflict
                        of_jobs_of_one_key_at_the_same_time_one_is_stored
                    ]
                    batched [
                        the_first_job_of_a_batch_gets_the_key
                        a_conflict_does_not_touch_its_neighbours
                        a_repeated_enqueue_of_the_holder_is_a_duplicate
                        jobs_that_belong_together_are_stored_together
                        every_conflict_of_a_group_is_told
                        a_holder_that_waits_is_replaced
                        a_holder_that_runs_or_has_ended_is_not_replaced
                        a_replaced_job_takes_its_inputs_along
                        of_a_batch_that_replaces_the_last_job_stays
                        a_group_that_is_withheld_replaces_nothing
                    ]
                }
            }
            upkeep {
                every {
                    once [
                        upkeep_of_an_empty_store_is_idle
                        upkeep_keeps_to_its_budget_and_gets_through
                        jobs_that_need_nothing_do_not_hold_up_upkeep
                    ]
                    batched [
                        a_second_upkeep_finds_nothing_to_do
                    ]
                }
                store {
                    once [
                        upkeep_prunes_only_outcomes_whose_retention_is_over
                    ]
                    batched []
                }
            }
        }
    };
}
