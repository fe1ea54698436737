//! Shared objects: what they do, in every setting, and what they survive.

mod bodies;
mod condvar;
mod death;
#[path = "../common/elsewhere.rs"]
mod elsewhere;
mod extremes;
mod guards;
mod handles;
mod hostile;
mod layout;
mod named;
mod proof;
mod resources;
mod scribbled;
mod segments;
mod setting;
mod travel;

use std::process::ExitCode;
use testkit::Test;

macro_rules! bodies {
    ($($body:ident),* $(,)?) => {{
        let mut tests = Vec::new();
        setting::check_exceptions(&[$(stringify!($body)),*]);
        $(
            for (name, setting) in setting::of(stringify!($body)) {
                let name = format!("{}::{name}", stringify!($body));
                tests.push(Test::new(name, move || {
                    if setting.can_be_had() {
                        bodies::$body(setting);
                    }
                }));
            }
        )*
        tests
    }};
}

fn main() -> ExitCode {
    procession::init();
    let mut tests = bodies![
        a_mutex_lets_one_in_at_a_time,
        a_lock_that_is_held_times_out,
        the_lock_of_a_dead_holder_is_handed_over_for_repair,
        a_lock_that_nobody_repairs_is_lost_until_reset,
        a_panic_poisons_and_is_no_death,
        a_reentrant_mutex_is_held_until_the_last_guard_goes,
        readers_share_and_writers_do_not,
        a_writer_that_waits_comes_before_later_readers,
        a_dead_reader_leaves_nothing_and_a_dead_writer_is_told_of,
        a_semaphore_lets_so_many_in,
        permits_of_the_dead_return,
        permits_can_be_added_and_used_up,
        a_bounded_semaphore_has_a_bound,
        a_condvar_wakes_who_waits,
        an_event_lets_all_through_once_it_is_set,
        an_event_that_resets_itself_lets_one_through,
        a_barrier_lets_all_go_together,
        a_party_that_gives_up_breaks_the_barrier,
        once_is_once,
        values_arrays_and_counters_add_up,
    ];
    tests.extend(testkit::tests![
        death::d1_a_blocked_waiter_hears_of_the_holders_death,
        death::d4_poison_and_death_are_different_things,
        death::d6_a_holder_that_execs_is_dead_for_its_locks,
        death::d7_two_thousand_locks_are_all_released,
        death::d8_a_holder_killed_for_want_of_memory_is_dead,
        death::d10_killed_sleepers_disturb_no_condvar,
        death::d11_a_wake_up_that_dies_with_the_woken_is_made_up_for,
        death::d14_a_party_killed_before_it_arrives_breaks_the_barrier,
        death::d15_who_comes_in_place_of_the_dead_completes_the_barrier,
        death::d17_the_next_one_does_what_a_dead_one_began,
        death::s18_no_wait_is_on_the_wall_clock,
        death::s3_a_stopped_holder_is_not_dead,
        death::s11_a_forked_copy_gives_nothing_back,
        death::deadlines_hold_in_a_storm_of_signals,
        condvar::a_wait_ends_for_a_reason_and_says_which,
        condvar::a_notification_ends_as_many_waits_as_it_is_for,
        condvar::who_dies_before_it_notifies_ends_the_waits,
        condvar::who_dies_before_it_ever_used_the_condvar_ends_the_waits,
        condvar::a_wait_gives_back_all_levels_of_a_reentrant_lock,
        condvar::who_waits_hears_that_the_next_holder_died_at_every_level,
        condvar::a_party_that_was_reset_hears_so_however_late_it_looks,
        guards::a_leaked_guard_keeps_its_lock_while_the_process_lives,
        guards::what_a_dead_process_leaked_is_free,
        guards::the_last_handle_gives_back_what_was_leaked,
        guards::a_guard_in_a_thread_local_is_dropped_with_it,
        guards::a_fork_is_refused_while_anything_is_lent,
        guards::a_fork_is_refused_for_what_ended_threads_leaked,
        handles::a_handle_that_comes_back_is_of_the_same_object,
        handles::handles_that_come_to_many_threads_at_once_are_of_one_object,
        handles::the_last_handle_takes_nothing_from_one_that_comes,
        handles::locks_among_the_arguments_of_a_pool_hold,
        handles::a_handle_that_comes_back_counts_for_its_queue,
        proof::a_dead_holder_is_waited_for_while_its_memory_is_in_use,
        proof::a_process_lives_whose_first_thread_has_ended,
        proof::a_forked_copy_is_not_the_one_who_holds,
        proof::more_objects_than_the_kernel_marks_for_one_thread,
        proof::another_time_namespace_does_not_end_the_living,
        proof::containers_that_share_memory_are_killed_at_random,
        proof::without_proc_what_has_no_name_works_and_names_are_refused,
        proof::a_mark_by_mistake_is_taken_back,
        proof::a_process_killed_with_threads_at_work_writes_nothing_more,
        proof::a_system_v_segment_is_not_used_by_who_executed_another_program,
        travel::objects_come_back_as_results,
        travel::many_handles_travel_together,
        travel::an_object_made_by_a_child_outlives_it,
        travel::a_name_stays_while_its_object_is_on_its_way,
        travel::a_name_that_nobody_received_is_collected,
        travel::a_name_given_away_is_there_for_all,
        travel::a_forked_child_keeps_the_name_of_what_it_has,
        travel::a_name_stays_where_nobody_can_look_what_is_on_its_way,
        named::names_are_checked,
        named::a_list_omits_nothing,
        named::creating_twice_is_an_error_and_opening_nothing_too,
        named::the_last_user_removes_the_name,
        named::who_exits_without_dropping_leaves_the_name_to_the_next,
        named::d21_what_killed_users_left_is_made_anew,
        named::garbage_is_collected_and_what_is_used_is_not,
        named::another_kind_or_type_is_refused,
        named::another_layout_of_the_same_name_is_refused,
        named::d30_a_creator_killed_at_any_call_leaves_no_half_object,
        named::d31_a_collector_killed_at_any_call_harms_nothing,
        named::d32_openers_and_killed_users_never_split_an_object,
        named::r16_a_removed_name_harms_nobody_who_has_the_object,
        named::one_name_is_one_object_of_a_process,
        named::values_are_taken_before_anything_is_locked,
        segments::segments_of_every_kind_travel_by_every_method,
        segments::what_was_let_go_on_the_way_is_an_error_that_says_so,
        segments::a_segment_in_a_file_is_found_by_its_path_and_stays,
        segments::a_segment_in_a_file_outlives_the_machines_start,
        segments::a_system_v_segment_is_found_by_its_key_while_somebody_has_it,
        segments::a_key_of_another_program_is_left_alone,
        segments::segments_of_two_namespaces_are_told_apart,
        segments::d30_a_maker_of_a_system_v_segment_killed_at_any_call_leaves_no_half_segment,
        segments::a_segment_grows_for_all_who_have_it,
        segments::growing_may_be_killed_at_any_call_and_compete,
        segments::h2_a_length_that_is_not_there_is_not_believed,
        segments::huge_pages_are_used_where_there_are_some,
        layout::a_layout_changes_with_its_version_only,
        layout::an_object_of_another_version_is_refused_and_left_alone,
        layout::a_file_of_another_version_is_refused_and_left_alone,
        hostile::h1_random_headers_are_refused,
        hostile::h2_truncated_files_are_refused,
        hostile::h4_a_scribbler_crashes_and_hangs_nobody,
        scribbled::h4_any_word_of_a_lock_may_be_anything,
        scribbled::h4_any_word_of_a_meeting_point_may_be_anything,
        scribbled::h4_any_word_of_a_value_may_be_anything,
        hostile::h7_a_parked_word_delays_and_hangs_nobody,
        hostile::h13_another_user_cannot_squat_or_look_in,
        hostile::h13_a_process_that_became_another_user_asks_nobody,
        hostile::h13_h14_files_of_others_links_and_directories_are_no_objects,
        hostile::h29_another_pid_namespace_is_no_obstacle,
        resources::r1_no_descriptor_is_an_error,
        resources::r1_any_limit_of_descriptors_is_an_error_or_enough,
        resources::r5_no_thread_is_an_error,
        resources::a_limit_of_file_sizes_is_an_error,
        resources::r2_no_memory_is_an_error,
        resources::r3_a_full_file_system_is_an_error,
        resources::memory_that_is_not_there_is_refused_before_any_is_taken,
        resources::a_control_group_without_memory_is_an_error_and_kills_nobody,
        resources::signals_do_not_keep_memory_from_being_allocated,
        resources::r15_a_full_registry_is_an_error_until_somebody_dies,
        resources::r17_without_futex_waitv_deaths_are_noticed_all_the_same,
        resources::counts_do_not_overflow,
        extremes::a_time_that_is_no_point_in_time_is_no_limit_to_shared_objects,
        extremes::a_time_that_is_no_point_in_time_is_no_limit_to_messages,
        extremes::a_time_that_is_no_point_in_time_is_no_limit_to_kernel_objects,
        extremes::a_time_that_is_no_point_in_time_is_no_limit_to_processes,
        extremes::numbers_up_to_the_largest_are_done_or_refused,
    ]);
    testkit::run(tests)
}
