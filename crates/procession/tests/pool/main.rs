//! Pools: results, failures, deaths, and the life of the pool itself.

mod background;
mod closing;
mod extremes;
mod failures;
mod guests;
mod large;
mod life;
mod many;
mod order;
mod pains;
mod results;
mod spoilt;
mod storms;
mod times;
#[cfg(feature = "tracing")]
mod traces;

use procession::pool::Pool;

/// A pool of two.
pub(crate) fn pool() -> Pool {
    Pool::new(2).unwrap()
}

/// As good as for ever.
pub(crate) fn sleep_for_ever<T>(_: T) {
    loop {
        std::thread::park();
    }
}

pub(crate) fn increment(x: u64) -> u64 {
    x + 1
}

fn main() -> std::process::ExitCode {
    #[allow(unused_mut, reason = "features add tests")]
    let mut tests = testkit::tests![
        results::all_results_come_in_order,
        results::no_arguments_have_no_results,
        results::unordered_results_come_with_their_places,
        results::results_come_while_arguments_are_without_end,
        results::no_more_arguments_are_taken_than_may_be,
        results::chunks_of_every_size_are_the_same,
        results::captured_and_lent_values_are_there,
        results::named_tasks_run,
        results::results_are_reduced,
        results::results_of_tasks_are_reduced,
        results::a_function_is_known_by_its_types_too,
        results::futures_and_callbacks_are_told,
        results::a_panicking_callback_stops_nobody,
        results::many_threads_use_one_pool,
        results::two_pools_work_at_once,
        results::a_task_may_have_a_pool,
        results::priorities_are_heeded,
        results::handles_travel_in_arguments_and_results,
        results::state_is_made_once_and_ended_once,
        results::a_dropped_handle_lets_the_task_go_on,
        results::the_first_of_several_tasks_is_waited_for,
        background::results_come_in_order,
        background::progress_is_told_while_nobody_waits,
        background::the_first_failure_ends_the_wait,
        background::an_argument_that_cannot_be_encoded_is_a_failure,
        background::workers_killed_meanwhile_lose_nothing,
        background::what_is_cancelled_ends,
        background::what_is_given_notice_ends_by_itself,
        background::the_end_of_the_pool_is_the_end_of_the_map,
        background::a_closed_pool_takes_none,
        background::a_panicking_iterator_begins_nothing,
        background::a_dropped_handle_lets_the_calls_go_on,
        background::a_deadline_ends_it_though_nobody_waits,
        background::it_is_a_future,
        background::a_forked_copy_of_the_handle_is_refused,
        failures::a_panic_fails_one_call,
        failures::an_exit_fails_one_call,
        failures::signals_fail_one_call,
        failures::a_stack_overflow_fails_one_call,
        failures::memory_beyond_the_limit_fails_one_call,
        failures::an_undecodable_argument_fails_one_call,
        failures::an_argument_that_kills_when_decoded_fails_one_call,
        failures::a_result_that_does_not_encode_fails_one_call,
        failures::a_result_that_kills_when_encoded_fails_one_call,
        failures::a_result_that_does_not_decode_here_fails_one_call,
        failures::a_panic_while_unwinding_fails_one_call,
        failures::an_argument_that_does_not_encode_fails_one_call,
        failures::a_captured_value_that_kills_when_decoded_fails_its_calls,
        failures::last_words_are_kept,
        failures::a_gigabyte_of_words_disturbs_nobody,
        failures::closed_descriptors_disturb_nobody,
        failures::a_daemon_of_a_task_is_gone_with_the_family,
        failures::an_iterator_that_panics_panics_here,
        failures::an_initializer_that_fails_ends_the_pool,
        failures::starts_that_fail_do_not_end_a_pool_that_has_a_worker,
        failures::a_worker_that_is_to_end_before_it_is_ready_keeps_nobody_waiting,
        failures::an_initializer_that_fails_once_is_tried_again,
        failures::an_initializer_that_never_returns_ends_the_pool,
        failures::the_first_failure_ends_a_map_and_not_the_pool,
        failures::results_of_the_same_batch_survive,
        failures::spoilt_memory_costs_its_worker,
        times::a_task_that_takes_too_long_is_killed_alone,
        times::whoever_ignores_sigterm_is_killed_too,
        times::grandchildren_are_killed_with_their_task,
        times::notice_is_seen,
        times::a_running_task_is_cancelled,
        times::a_waiting_task_is_cancelled,
        times::a_task_may_end_by_itself_when_it_is_cancelled,
        times::cancelling_what_is_finished_harms_nobody_else,
        times::retries_come_to_a_result_or_the_last_error,
        times::a_deadline_ends_all_calls,
        times::a_deadline_ends_one_call,
        times::a_call_after_a_late_one_is_not_hit,
        times::waiting_for_a_result_has_an_end,
        times::a_stopped_worker_runs_out_of_time,
        life::joining_does_the_rest,
        life::closing_takes_no_more,
        life::terminating_ends_all,
        life::dropping_ends_all,
        life::a_pool_that_is_forgotten_goes_with_the_process,
        life::whoever_kills_the_parent_leaves_nobody,
        life::workers_are_recycled_by_count,
        life::workers_are_recycled_by_size,
        life::a_pool_grows_and_shrinks,
        life::idle_workers_end_and_come_back,
        life::a_lazy_pool_starts_nobody,
        life::nobody_is_busy_with_places_that_stay_vacant,
        life::the_pool_of_the_process_works,
        life::the_pool_of_the_process_is_made_when_it_can_be,
        life::a_forked_copy_is_refused,
        life::bad_settings_are_refused,
        life::variables_that_cannot_be_are_refused_at_once,
        life::a_pool_goes_on_and_ends_when_its_process_has_become_another_user,
        life::settings_are_applied,
        life::a_replaced_worker_has_what_the_pool_was_made_with,
        life::a_call_does_not_wait_for_a_slow_start_beside_an_idle_worker,
        life::pools_nest_to_a_depth,
        life::a_closed_pool_ends_what_has_begun,
        life::joining_has_an_end,
        life::ctrl_c_is_the_parents_affair,
        life::a_failing_system_call_ends_in_an_error_or_a_pool,
        closing::a_pool_whose_worker_is_being_replaced_is_joined,
        closing::recycled_workers_are_replaced_until_all_is_done,
        closing::a_pool_without_workers_ends,
        closing::workers_that_die_are_replaced_until_all_is_done,
        closing::callbacks_are_called_once_whatever_ends_the_pool,
        closing::a_callback_may_end_its_pool,
        closing::a_callback_after_the_end_is_called_at_once,
        closing::any_number_of_callbacks_are_called_after_one_has_ended_the_pool,
        closing::joining_does_not_wait_for_what_only_the_joiner_could_take,
        closing::joining_waits_for_what_others_take,
        guests::a_judge_that_panics_has_not_said_yes,
        guests::a_judge_may_use_the_pool,
        guests::a_pool_ends_while_a_failure_is_judged,
        guests::wakers_may_panic_and_use_the_pool,
        guests::captured_values_may_use_the_pool,
        guests::a_result_that_panics_when_decoded_harms_nobody_else,
        guests::what_was_taken_before_an_iterator_panicked_has_its_results,
        extremes::no_duration_is_too_long,
        extremes::no_number_is_too_large,
        order::priorities_hold_for_all_that_was_not_begun,
        order::a_chunk_of_low_priority_is_given_back,
        order::what_is_given_back_takes_nobodys_place,
        order::a_hang_is_work_and_slow,
        spoilt::whatever_a_word_becomes_there_is_an_answer,
        spoilt::a_word_that_hides_a_result_is_written_again,
        failures::the_text_of_a_panic_arrives_whole,
        failures::whoever_holds_standard_error_may_wait_for_the_pool,
        large::large_arguments_and_results_travel,
        large::five_gigabytes_travel,
        large::many_large_ones_wait,
        large::thousands_that_wait_need_few_descriptors,
        large::results_beyond_the_memory_of_a_worker_fail,
        many::ten_million_need_little_memory,
        many::a_long_task_does_not_keep_short_ones,
        many::a_batch_that_turns_out_long_is_shared,
        many::a_thousand_handles_wait,
        many::arguments_that_are_here_do_not_wait_for_others,
        storms::workers_killed_at_random_lose_nothing,
        storms::single_tasks_survive_a_storm,
        storms::all_workers_killed_at_once,
        storms::killed_while_starting,
        storms::retried_tasks_all_succeed_in_a_storm,
        storms::panics_in_a_storm_are_told_and_nothing_is_lost,
        pains::fork_beside_a_pool_is_refused,
        pains::a_killed_worker_is_named,
        pains::a_pool_has_no_names,
        pains::a_pool_starts_anywhere,
        pains::processors_are_counted_as_they_may_be_used,
    ];
    #[cfg(feature = "tracing")]
    tests.extend(testkit::tests![traces::lives_calls_and_deaths_are_told]);
    testkit::run(tests)
}
