//! Processes and signals.

mod children;
mod fork;
mod signals;

fn main() -> std::process::ExitCode {
    testkit::run(testkit::tests![
        fork::parent_and_child_know_each_other,
        fork::ten_children_run_and_are_reaped,
        fork::a_process_with_another_thread_is_refused,
        fork::a_thread_that_was_joined_does_not_count,
        fork::the_reaper_thread_does_not_count,
        fork::buffered_output_is_not_printed_twice,
        fork::running_out_of_descriptors_starts_no_child,
        fork::a_failing_system_call_leaks_nothing,
        fork::a_child_tied_to_its_parent_dies_with_it,
        fork::a_child_whose_parent_is_gone_already_ends_at_once,
        fork::code_that_reaps_every_child_changes_nothing,
        fork::children_whose_ends_are_ignored_are_held_all_the_same,
        fork::a_child_that_is_killed_at_birth_does_not_hurt_its_parent,
        children::raw_status_holds_code_signal_and_core_flag,
        children::waiting_again_gives_the_same_status,
        children::waiting_with_a_deadline_leaves_the_child_running,
        children::a_stopped_child_is_not_an_ended_one,
        children::a_zombie_is_seen_and_reaped,
        children::a_signal_never_reaches_a_process_with_the_same_number,
        children::a_status_that_was_reaped_elsewhere_is_the_kernels_or_an_error,
        children::a_copy_in_a_forked_child_neither_waits_nor_reaps,
        children::dropped_children_are_reaped,
        children::a_thousand_dropped_children_leave_no_zombie,
        children::other_code_with_children_is_not_disturbed,
        children::waiting_survives_a_storm_of_signals,
        signals::an_ignored_signal_does_nothing_and_kill_ends_it_all,
        signals::a_handler_is_ordinary_code,
        signals::dropping_signals_brings_the_old_disposition_back,
        signals::a_forked_child_does_not_inherit_caught_signals,
        signals::a_signal_is_caught_once_at_a_time,
        signals::kill_and_stop_cannot_be_caught_or_ignored,
        signals::blocked_signals_come_later,
        signals::real_time_signals_have_numbers_too,
    ])
}
