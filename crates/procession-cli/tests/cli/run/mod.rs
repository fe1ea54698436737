//! `procession run`: what it promises, each sentence a test.

mod delivery;
mod ends;
mod inherited;
mod keys;
mod limits;
mod output;
mod pauses;
mod pressure;
mod quoting;
mod scene;
mod signals;
mod sources;
mod starts;
mod stops;
mod times;
mod words;

/// All of them.
pub(crate) fn tests() -> Vec<testkit::Test> {
    testkit::tests![
        ends::what_ctrl_c_ended_is_run_again,
        ends::what_a_termination_ended_is_run_again,
        ends::what_a_killed_run_had_begun_is_run_again,
        ends::a_job_that_says_no_when_it_is_asked_to_end_is_run_again,
        ends::what_halt_ended_is_run_again,
        ends::a_success_that_ends_all_kills_the_others,
        ends::a_success_that_ends_all_soon_lets_the_others_end,
        ends::a_job_out_of_time_has_ended,
        ends::a_torn_line_of_a_log_is_no_record_and_breaks_none,
        ends::a_job_that_is_another_one_than_in_the_log_is_not_passed_over,
        ends::what_runs_ends_before_another_job_is_refused,
        ends::a_command_is_compared_as_the_log_can_have_it,
        ends::a_job_to_be_tried_again_is_told_of_when_the_run_ends,
        ends::a_full_disk_is_named_with_the_log_that_is_on_it,
        delivery::a_full_output_is_an_error,
        delivery::a_closed_output_is_an_error,
        delivery::a_full_temporary_directory_loses_nothing_silently,
        delivery::a_full_results_directory_is_a_failed_job,
        delivery::a_slow_reader_gets_everything,
        delivery::a_reader_that_has_gone_is_no_success,
        delivery::what_standard_error_did_not_take_is_run_again,
        pressure::one_signal_ends_a_run_whose_reader_stands_still,
        pressure::memory_is_bounded_where_nothing_else_is_there,
        pressure::a_reader_that_goes_ends_the_jobs_that_write,
        pressure::a_reader_that_goes_is_no_matter_for_jobs_that_write_nothing,
        pressure::a_standard_error_that_takes_nothing_now_ends_nothing,
        output::a_job_may_open_its_own_output,
        output::what_a_substituted_process_writes_arrives,
        output::any_bytes_arrive_as_they_are,
        output::long_output_of_one_job_arrives_whole,
        output::only_the_last_try_is_printed,
        output::nothing_is_printed_before_its_job_is_over,
        output::what_a_killed_job_wrote_before_arrives,
        output::equal_arguments_have_results_of_their_own,
        output::long_arguments_have_results_of_their_own,
        output::arguments_with_slashes_stay_below_the_directory,
        starts::an_argument_that_is_too_long_is_one_failed_job,
        starts::an_argument_with_a_nul_is_one_failed_job,
        starts::a_program_that_cannot_be_executed_is_a_failed_job_each_time,
        starts::a_results_directory_that_cannot_be_made_hangs_nobody,
        starts::any_length_of_time_and_any_count_is_understood,
        starts::commands_of_any_bytes_are_run,
        starts::no_exit_code_of_a_job_ends_the_run,
        limits::as_many_at_once_as_descriptors_allow,
        limits::few_descriptors_are_enough_for_all_jobs_or_none_is_begun,
        limits::as_many_at_once_as_processes_are_allowed,
        limits::who_waits_for_a_slow_job_needs_no_descriptors,
        limits::nothing_grows_with_the_jobs_that_are_over,
        sources::jobs_of_several_sources_begin_with_the_first_arguments,
        sources::a_linked_source_is_taken_as_it_is_needed,
        sources::an_endless_source_costs_no_memory,
        sources::a_source_that_is_missing_is_an_error_for_who_names_it,
        sources::a_closed_standard_input_is_no_empty_one,
        sources::arguments_of_any_bytes_arrive,
        sources::files_and_directories_of_any_bytes_are_used,
        quoting::an_argument_is_quoted_for_its_place_or_refused,
        quoting::usual_places_within_quotes_are_understood,
        quoting::arguments_of_chance_are_never_code,
        times::a_job_that_ended_while_we_were_stopped_was_in_time,
        times::a_job_that_ended_while_its_output_was_read_was_in_time,
        times::a_job_that_takes_too_long_is_out_of_time,
        pauses::a_shell_sees_ctrl_z_and_brings_the_run_back,
        pauses::ctrl_z_works_more_than_once,
        pauses::a_run_without_a_shell_stops_as_well,
        pauses::a_job_that_was_being_started_stops_with_the_run,
        pauses::a_job_took_no_longer_than_until_its_end,
        pauses::what_signals_twice_at_once_asks_once,
        pauses::signals_at_once_are_one_request,
        pauses::a_reader_that_ends_with_the_run_takes_no_time_from_jobs,
        pauses::a_log_that_nobody_reads_keeps_no_run_from_its_end,
        pauses::the_terminal_stops_no_run_that_nobody_looks_after,
        times::a_log_says_when_a_job_began_and_how_long_it_took,
        stops::a_stopped_job_is_told_of_and_ctrl_c_reaches_it,
        stops::a_stopped_job_that_goes_on_ends_as_usual,
        stops::ctrl_c_at_a_terminal_ends_all,
        stops::a_job_that_asks_at_the_terminal_gets_it,
        keys::what_ctrl_z_stopped_comes_to_its_end_in_the_background,
        keys::ctrl_z_takes_the_terminal_from_the_job_that_has_it,
        signals::a_job_ignores_what_the_caller_ignored,
        signals::a_run_whose_session_was_begun_elsewhere_goes_on,
        signals::who_is_to_survive_a_hangup_does,
        signals::a_death_by_signal_is_one_for_the_parent,
        inherited::what_the_caller_opened_is_there,
        inherited::substituted_processes_are_read,
        inherited::nothing_of_ours_is_there,
        inherited::standard_input_is_not_for_jobs,
        words::a_full_standard_error_ends_nothing,
        words::a_closed_standard_error_ends_nothing,
        words::a_table_says_what_failed_and_why,
        words::quiet_says_nothing_of_failed_jobs,
        words::a_table_of_many_failures_has_an_end,
    ]
}
