//! Tasks: functions in other processes, by every start method.

mod attributes;
mod builder;
mod commands;
mod entry;
mod exit_handlers;
mod family;
mod forged;
#[cfg(feature = "tokio")]
mod future;
mod handles;
mod lines;
mod many;
mod named;
mod refused;
mod results;
mod scope;
mod shared;
mod shell;
mod supervisor;
mod waiting;

use procession::process::{Builder, StartMethod};
use testkit::Test;

/// A test of what holds for every start method.
type Body = fn(StartMethod);

pub(crate) const METHODS: [StartMethod; 3] = [
    StartMethod::Fork,
    StartMethod::Spawn,
    StartMethod::ForkServer,
];

/// A builder for the method.
pub(crate) fn by(method: StartMethod) -> Builder {
    Builder::new().start_method(method)
}

macro_rules! bodies {
    ($($test:path),* $(,)?) => { [$((stringify!($test), $test as Body)),*] };
}

fn main() -> std::process::ExitCode {
    if let Some(path) = std::env::var_os(many::GUARD) {
        // This process was executed anew, and should not have come here.
        let _ = std::fs::write(path, "main has run");
        return std::process::ExitCode::FAILURE;
    }
    if entry::run_fixture() {
        return std::process::ExitCode::SUCCESS;
    }
    let for_each_method = bodies![
        results::a_value_returns,
        results::a_panic_returns_as_data,
        results::a_panic_payload_may_be_anything,
        results::a_backtrace_comes_if_asked_for,
        results::an_exit_code_is_told,
        results::an_abort_is_a_signal,
        results::a_signal_is_told,
        results::a_stack_overflow_is_a_signal,
        results::a_stack_overflow_of_a_copy_is_not_the_tasks,
        results::a_stopped_task_is_running,
        results::a_task_that_never_returns_can_be_killed,
        results::an_argument_that_does_not_decode_is_an_error,
        results::a_result_that_does_not_decode_is_an_error,
        results::a_result_that_does_not_encode_is_an_error,
        results::errors_of_any_kind_return_as_failures,
        results::joining_twice_is_an_error,
        results::trying_and_timing_do_not_disturb,
        results::errors_of_this_library_are_results,
        results::lengths_around_every_boundary_travel,
        results::many_megabytes_travel_while_nobody_joins,
        results::shared_bytes_travel_and_are_sent_on,
        results::captured_values_travel,
        results::a_task_is_a_value,
        named::a_task_is_found_by_name,
        forged::tasks_travel_all_over_the_family,
        results::a_task_may_start_tasks,
        results::parent_and_name_are_known,
        results::the_end_of_the_parent_can_be_waited_for,
        handles::a_file_travels_there_and_back,
        handles::a_captured_file_is_shared,
        handles::three_hundred_files_travel,
        handles::pipes_sockets_and_memory_files_travel,
        handles::sockets_of_std_travel,
        handles::nothing_but_the_listed_descriptors_is_inherited,
        builder::a_name_is_shown_by_ps,
        builder::variables_are_set_removed_and_cleared,
        builder::variables_that_cannot_be_are_refused_at_once,
        builder::the_environment_is_the_callers_of_now,
        builder::the_directory_is_the_callers_of_now_or_the_given,
        builder::a_directory_that_is_not_there_is_an_error,
        builder::standard_streams_are_pipes_files_or_nothing,
        builder::standard_streams_may_be_closed,
        builder::what_c_code_prints_arrives_once,
        builder::a_thread_that_holds_the_output_keeps_no_task_from_ending,
        builder::limits_niceness_and_cpus_are_applied,
        builder::a_cpu_that_is_not_there_is_an_error,
        builder::a_group_or_session_is_led,
        builder::another_user_is_become,
        builder::a_hook_runs_before_the_task,
        builder::a_deadline_is_kept,
        builder::memory_beyond_the_limit_ends_the_task,
        builder::signals_are_as_documented,
        waiting::a_request_comes_first,
        waiting::terminate_comes_second,
        waiting::kill_comes_last,
        waiting::the_whole_group_is_stopped,
        waiting::a_group_does_not_outlive_its_leader,
        waiting::a_dropped_handle_detaches_kills_or_joins,
        waiting::any_and_all_of_several_are_waited_for,
        waiting::a_signal_never_reaches_a_stranger,
        waiting::a_storm_of_signals_disturbs_nothing,
        family::killing_the_parent_kills_all,
        family::killing_a_task_kills_its_tasks,
        family::ctrl_c_is_the_parents_affair,
        exit_handlers::handlers_run_at_an_orderly_end,
        exit_handlers::handlers_do_not_run_at_another_end,
        exit_handlers::what_a_handler_does_costs_no_result,
        exit_handlers::a_handler_may_use_the_library,
        exit_handlers::a_forked_copy_runs_its_own_handlers,
        exit_handlers::a_task_that_hangs_in_a_handler_is_stopped_and_has_its_result,
        scope::a_scope_waits_for_all,
        scope::a_panic_in_a_scope_kills_all,
        many::a_failing_system_call_starts_nothing_or_works,
        many::whoever_is_killed_at_whatever_call_nobody_hangs,
        many::a_thousand_in_a_row,
        many::two_hundred_at_once,
        many::other_code_that_reaps_everything_changes_nothing,
    ];
    let mut tests = testkit::tests![
        exit_handlers::a_handler_that_hangs_is_ended_by_the_kernel,
        exit_handlers::handlers_of_workers_run_after_their_last_task,
        exit_handlers::handlers_run_in_processes_that_are_no_tasks,
        results::a_gibibyte_travels_there_and_back,
        results::a_forked_argument_is_not_encoded,
        handles::a_task_with_no_room_for_descriptors_is_told,
        family::a_killed_server_takes_its_tasks_with_it_and_is_replaced,
        family::killing_parent_and_server_leaves_nobody,
        family::a_daemon_does_not_outlive_the_family,
        family::at_a_normal_end_nobody_is_left,
        family::the_parent_may_be_killed_at_any_moment,
        family::the_thread_that_starts_a_task_may_end,
        family::tasks_and_programs_are_children,
        family::any_process_can_be_signalled,
        family::a_forked_copy_has_no_part_in_its_parents_tasks,
        family::the_first_process_of_a_container_reaps_what_a_killed_server_leaves,
        refused::a_call_that_is_not_permitted_is_an_error_or_does_not_matter,
        refused::a_call_that_is_not_implemented_is_an_error_or_does_not_matter,
        attributes::nobody_has_more_than_its_caller,
        attributes::who_becomes_another_user_for_a_while_has_its_tasks,
        attributes::threads_of_several_rights_have_each_their_own,
        attributes::threads_with_as_many_filters_have_each_their_own,
        attributes::who_is_confined_has_confined_tasks,
        attributes::tasks_from_before_are_joined_and_ended_afterwards,
        attributes::another_user_does_not_outlive_the_server,
        attributes::pools_outlive_the_rights_of_their_caller,
        attributes::nobody_leaves_a_sandbox_in_a_namespace_of_users,
        attributes::whose_children_would_be_elsewhere_starts_none,
        attributes::who_hides_later_has_tasks_that_have_tasks,
        entry::a_program_replaced_or_deleted_still_starts_tasks,
        entry::a_variable_that_leaked_is_harmless,
        entry::a_variable_with_an_impossible_name_is_harmless,
        entry::a_program_that_comes_late_to_init_is_told,
        entry::a_program_that_spawns_before_init_is_refused_in_its_tasks,
        entry::a_program_with_init_runs_its_tasks_there,
        entry::an_explicit_loader_is_refused,
        entry::a_set_user_id_program_is_refused,
        entry::a_function_of_a_shared_library_is_refused,
        many::sixteen_busy_threads_do_not_matter,
        many::starting_from_many_threads,
        many::a_server_without_descriptors_refuses,
        named::a_name_that_does_not_fit_is_an_error,
        forged::a_task_is_what_the_family_has_put_together,
        forged::a_name_stands_for_a_listed_function_of_its_type,
        forged::other_formats_do_not_carry_tasks,
        forged::text_inside_a_message_names_no_code,
        forged::a_task_of_another_execution_is_refused_unless_it_has_a_name,
        commands::a_status_is_told,
        commands::output_is_collected,
        commands::a_check_tells_status_and_last_words,
        commands::megabytes_in_and_out_do_not_deadlock,
        commands::a_program_that_is_not_there_is_an_error,
        commands::a_timeout_ends_the_whole_group,
        commands::too_much_output_ends_it,
        commands::communicating_again_loses_nothing,
        commands::a_pipeline_is_one_command,
        commands::settings_are_applied,
        commands::a_program_is_stopped_step_by_step,
        commands::a_dropped_program_goes_on_or_not,
        commands::a_program_does_not_outlive_its_family,
        commands::output_of_many_programs_at_once,
        commands::descriptors_have_the_numbers_that_are_given,
        commands::numbers_that_cannot_be_are_refused,
        commands::an_error_says_whether_it_passes,
        commands::a_server_without_descriptors_or_memory_says_so,
        commands::a_server_without_processes_says_so,
        shared::several_wait_while_another_kills,
        shared::a_forked_child_and_a_task_are_shared_as_well,
        shared::the_end_of_the_server_is_the_end_for_all_who_wait,
        shared::input_is_fed_while_somebody_waits,
        supervisor::who_is_killed_at_random_is_restarted,
        supervisor::who_dies_at_once_reaches_the_limit,
        supervisor::input_that_nobody_writes_is_refused,
        supervisor::a_policy_says_who_is_restarted,
        supervisor::who_ignores_sigterm_is_killed,
        supervisor::a_stop_while_a_child_restarts_is_heeded,
        supervisor::nobody_outlives_the_process_of_the_supervisor,
        supervisor::a_panic_of_a_handler_kills_the_children,
        supervisor::who_cannot_be_started_is_told,
        supervisor::children_of_a_killed_server_are_restarted,
        lines::a_line_comes_when_it_is_written,
        lines::half_a_line_is_kept,
        lines::a_death_in_the_middle_of_a_line_is_seen,
        lines::who_is_left_behind_keeps_the_lines_open_or_not,
        lines::a_line_without_end_does_not_stretch_the_time,
        lines::a_program_that_never_reads_has_its_lines,
        lines::a_line_of_a_hundred_megabytes_takes_no_memory,
        lines::both_streams_are_read_without_deadlock,
        lines::lines_that_nobody_wants_end_the_program,
        shell::arguments_reach_a_script_unharmed,
        shell::argument_zero_is_what_is_asked_for,
        shell::several_variables_are_set,
        shell::streams_are_merged_in_the_order_of_writing,
        shell::a_stream_that_is_itself_is_refused,
        builder::a_kill_for_want_of_memory_is_told,
        builder::a_preloaded_value_is_there_in_every_task,
        builder::a_preload_that_panics_is_told,
    ];
    #[cfg(feature = "tokio")]
    tests.extend(future::tests());
    for (name, body) in for_each_method {
        for method in METHODS {
            tests.push(Test::new(format!("{name}::{method}"), move || body(method)));
        }
    }
    testkit::run(tests)
}
