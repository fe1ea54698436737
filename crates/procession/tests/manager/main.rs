//! Objects of managers, and what becomes of them when somebody dies.

mod addresses;
mod crowd;
mod data;
mod death;
mod hostile;
mod lives;
mod local;
mod locks;
mod meetings;
#[cfg(feature = "network")]
mod network;
mod objects;
mod storm;
mod user;

use procession::manager::Manager;
use std::process::ExitCode;
use std::time::Duration;

/// Far beyond any bound that is promised.
pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) fn manager() -> Manager {
    Manager::start().unwrap()
}

fn main() -> ExitCode {
    procession::init();
    #[cfg_attr(not(feature = "network"), expect(unused_mut))]
    let mut tests = testkit::tests![
        addresses::a_manager_has_several_addresses,
        addresses::a_proxy_finds_its_manager_by_any_route,
        addresses::addresses_that_are_none_are_refused,
        addresses::clients_beyond_the_limit_are_sent_away,
        objects::a_dictionary_keeps_order_and_types,
        objects::a_list_is_changed_as_a_whole_at_one_moment,
        objects::updates_of_many_processes_are_not_lost,
        objects::iteration_takes_chunks,
        objects::a_queue_is_bounded_and_joined,
        objects::a_wait_that_gave_up_has_taken_nothing,
        objects::events_wake_all,
        objects::values_that_cannot_be_kept_are_refused,
        objects::many_threads_share_one_connection,
        objects::threads_with_long_and_short_calls_do_not_block_each_other,
        crowd::a_crowd_at_a_socket_loses_no_wake_up,
        crowd::a_crowd_at_a_ring_loses_no_wake_up,
        data::a_set_is_what_std_has,
        data::members_of_a_set_are_popped_once,
        data::an_array_is_what_std_has,
        data::numbers_of_a_counter_are_drawn_once,
        data::a_counter_wakes_those_whose_number_has_come,
        data::a_dictionary_is_what_std_has,
        data::a_list_is_what_std_has,
        data::a_long_list_is_searched_in_parts,
        data::the_highest_priority_comes_first,
        data::the_message_of_a_killed_receiver_keeps_its_priority,
        data::a_namespace_keeps_types_apart,
        lives::an_object_goes_with_its_last_proxy,
        lives::a_proxy_travels_three_times,
        lives::a_task_returns_a_proxy_of_what_it_has_created,
        lives::a_proxy_is_a_value_of_another_object,
        lives::names_keep_objects_and_types,
        lives::a_forked_child_has_a_session_of_its_own,
        lives::a_manager_serves_at_a_path,
        lives::another_manager_at_the_same_path_is_not_taken_for_the_old_one,
        local::a_client_that_calls_often_uses_shared_memory,
        local::without_memory_files_calls_go_by_the_socket,
        local::clients_killed_at_random_harm_no_other,
        local::a_client_that_scribbles_over_its_rings_harms_itself_only,
        local::a_child_that_is_forked_amid_calls_has_rings_of_its_own,
        local::a_stopped_client_slows_nobody,
        local::many_calls_need_no_more_memory,
        death::a_killed_holder_leaves_the_lock_to_the_next,
        death::a_killed_receiver_leaves_its_message_to_the_next,
        death::a_forked_copy_of_a_dead_client_keeps_nothing,
        death::a_client_killed_at_any_system_call_takes_nothing_along,
        death::a_manager_that_dies_fails_all_that_wait,
        death::a_manager_that_is_shut_down_says_so,
        death::a_manager_that_is_stopped_gives_up_nobody,
        death::a_panicking_holder_poisons,
        death::a_large_value_goes_back_with_its_lock,
        death::what_was_unlocked_counts_though_its_process_ends,
        death::a_value_that_has_become_too_long_stays_as_it_was,
        death::a_value_whose_decoding_panics_holds_nothing,
        death::a_death_does_not_hide_a_panic,
        hostile::another_user_is_refused,
        hostile::any_bytes_end_one_session_only,
        hostile::another_version_is_told_which_this_is,
        hostile::a_client_that_waits_too_often_is_refused,
        hostile::a_client_that_does_not_read_slows_nobody,
        hostile::what_a_client_said_while_it_did_not_read_counts,
        lives::a_path_that_a_killed_manager_left_is_taken_over,
        lives::a_listener_that_accepts_nothing_keeps_nobody_waiting,
        hostile::a_thousand_clients_and_ten_thousand_waits,
        locks::permits_of_a_killed_client_come_back,
        locks::a_wait_for_a_permit_that_gave_up_has_taken_none,
        locks::readers_and_writers_that_are_killed_leave_the_lock,
        locks::a_thread_that_waits_for_itself_is_told,
        locks::a_writer_that_panics_poisons_and_a_reader_does_not,
        locks::a_killed_process_that_waits_receives_no_notification,
        locks::a_death_ends_the_waits_of_all,
        locks::a_wait_that_gave_up_has_lost_no_notification,
        locks::a_buffer_of_many_processes_loses_nothing,
        locks::a_wait_with_a_strange_guard_is_refused,
        meetings::all_parties_pass_a_barrier_or_none,
        meetings::a_party_that_is_killed_breaks_a_barrier,
        meetings::the_last_party_acts_before_the_others_pass,
        meetings::a_thread_takes_a_reentrant_mutex_again,
        meetings::a_reentrant_mutex_tells_of_deaths_and_panics,
        storm::clients_that_are_killed_at_any_moment_leave_all_in_order,
        locks::guards_outlive_their_manager_without_harm,
        user::objects_of_ones_own_are_called,
        user::what_is_asked_for_must_be_there,
        user::calls_of_many_threads_are_made_once_each,
        user::methods_that_share_the_object_run_beside_each_other,
        user::a_method_that_waits_delays_no_other_object,
        user::a_call_whose_time_has_passed_is_not_made_or_its_result_dropped,
        user::a_panic_is_a_value_and_the_object_stays,
        user::a_method_learns_that_its_client_was_killed,
        user::an_object_of_ones_own_goes_with_its_last_proxy,
        user::methods_may_be_added_and_not_changed,
        user::values_that_cannot_be_sent_fail_one_call,
        user::two_objects_with_one_name_are_refused,
        user::a_method_that_does_not_return_keeps_no_manager,
        user::any_bytes_as_arguments_fail_one_call,
        user::objects_that_cannot_go_to_another_process_are_refused,
        user::a_process_that_serves_shares_its_object_with_clients,
        user::no_more_methods_run_than_there_are_workers,
        user::a_client_killed_at_any_system_call_of_a_method_leaves_the_object_whole,
        user::clients_create_objects_of_ones_own,
        user::what_a_killed_client_had_ordered_goes,
    ];
    #[cfg(feature = "network")]
    tests.extend(testkit::tests![
        network::a_manager_is_used_over_tcp,
        network::where_nobody_listens_there_is_no_manager,
        network::a_killed_client_over_tcp_holds_no_lock,
        network::who_has_not_the_key_is_refused,
        network::silent_strangers_keep_nobody_out,
        network::a_connection_cut_at_any_byte_is_an_error,
        network::a_recorded_session_leads_nowhere,
        network::a_manager_that_is_started_anew_is_another_one,
        network::a_stopped_client_is_not_lost,
    ]);
    testkit::run(tests)
}
