//! The kernel's objects, one file for each family.

mod anonymous;
#[path = "../common/elsewhere.rs"]
mod elsewhere;
mod fifo;
mod interrupted;
mod mapped;
mod posix;
mod socket;
mod sysv;

use procession::process::{self, Child, Fork};

fn main() -> std::process::ExitCode {
    testkit::run(testkit::tests![
        anonymous::a_reader_sees_the_end_when_the_last_writer_is_killed,
        anonymous::writing_without_a_reader_is_an_error_not_a_signal,
        anonymous::a_full_pipe_says_so_and_times_out,
        anonymous::blocks_of_pipe_buf_never_interleave,
        anonymous::capacity_is_rounded_up_and_never_cuts_content,
        anonymous::a_descriptor_for_other_programs_blocks,
        anonymous::an_event_counter_counts_across_processes,
        anonymous::an_event_counter_as_semaphore_gives_one_at_a_time,
        anonymous::a_full_event_counter_waits,
        anonymous::seals_hold_against_everybody,
        anonymous::a_received_descriptor_is_checked_before_it_is_mapped,
        anonymous::a_memory_file_grows_and_shrinks_until_sealed,
        socket::messages_keep_their_boundaries,
        socket::a_killed_peer_is_end_of_file_and_then_broken_pipe,
        socket::what_a_peer_sent_is_received_though_it_left_something_unread,
        socket::a_message_longer_than_the_buffer_is_an_error,
        socket::a_message_longer_than_the_kernel_takes_names_the_limit,
        socket::a_listener_is_private_and_replaces_nothing,
        socket::credentials_are_those_of_the_connecting_process,
        socket::whom_our_namespace_does_not_know_has_no_pid,
        socket::descriptors_arrive_in_exact_numbers,
        socket::unexpected_descriptors_are_closed,
        socket::a_receiver_without_room_gets_an_error_and_no_descriptor,
        fifo::creating_twice_is_an_error_and_opening_is_not,
        fifo::what_is_not_our_fifo_is_refused,
        fifo::a_fifo_has_the_mode_that_was_asked_for,
        fifo::programs_of_two_users_share_a_fifo,
        fifo::a_writer_without_a_reader_does_not_hang,
        fifo::an_unrelated_program_writes,
        fifo::the_end_comes_and_the_next_writer_too,
        fifo::a_persistent_reader_outlives_its_writers,
        fifo::a_writer_waits_for_its_reader,
        mapped::a_writer_and_a_reader_share_a_file,
        mapped::growing_keeps_what_was_written,
        mapped::a_truncated_file_is_an_error,
        mapped::a_read_only_mapping_refuses_to_be_written,
        mapped::what_is_not_a_regular_file_is_refused_without_hanging,
        mapped::ranges_outside_are_errors,
        mapped::a_full_file_system_is_found_at_creation,
        posix::messages_come_by_priority,
        posix::a_full_queue_and_an_empty_one_say_so,
        posix::a_queue_lives_after_unlink_and_its_name_is_free,
        posix::a_queue_outlives_its_processes,
        posix::one_process_at_a_time_is_notified,
        posix::directions_are_kept,
        posix::limits_are_named,
        posix::a_queue_is_polled,
        posix::a_named_semaphore_joins_unrelated_processes,
        posix::a_semaphore_times_out_and_counts,
        posix::a_permit_of_a_killed_holder_stays_taken,
        posix::semaphores_live_in_shared_memory,
        posix::shared_memory_is_found_by_name_and_resized,
        posix::shared_memory_for_reading_only_cannot_be_written,
        posix::a_full_dev_shm_is_found_at_creation,
        posix::opening_or_creating_agrees_on_one_object,
        posix::owners_permissions_and_times_are_told,
        sysv::message_types_select,
        sysv::a_long_message_is_kept_or_cut_as_asked,
        sysv::a_full_queue_and_an_empty_one_say_so,
        sysv::a_removed_queue_wakes_whoever_waits,
        sysv::a_queue_outlives_its_processes_and_is_found_by_key,
        sysv::queue_status_tells_who_did_what,
        sysv::queue_limits_are_named,
        sysv::a_message_is_peeked_at,
        sysv::all_steps_or_none,
        sysv::undo_gives_back_what_a_killed_process_took,
        sysv::waiting_for_zero_ends_at_zero,
        sysv::a_semaphore_set_times_out_and_tells_who_waits,
        sysv::a_set_is_initialised_exactly_once,
        sysv::a_set_half_made_by_a_killed_process_is_finished_by_the_next,
        sysv::mistakes_with_semaphores_are_named,
        sysv::a_removed_set_wakes_whoever_waits,
        sysv::a_segment_lives_until_its_last_attachment,
        sysv::a_segment_attached_for_reading_cannot_be_written,
        sysv::a_segment_that_exists_shorter_is_refused,
        sysv::permissions_and_owners_change,
        sysv::what_another_user_may_write_is_refused,
        interrupted::waits_survive_a_storm_of_signals,
        interrupted::names_that_make_no_sense_never_reach_the_kernel,
    ])
}

/// A child that runs `body`; it exits with code 101 if that panics.
fn child(body: impl FnOnce()) -> Child {
    match process::fork().unwrap() {
        Fork::Child => {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            process::exit(if outcome.is_ok() { 0 } else { 101 })
        }
        Fork::Parent(child) => child,
    }
}

/// Somebody else on this machine.
const OTHER: u32 = 65534;

/// [`child`], as another user, which only root can be.
fn as_user(id: u32, body: impl FnOnce()) -> Child {
    child(|| {
        let (user, group) = (rustix::fs::Uid::from_raw(id), rustix::fs::Gid::from_raw(id));
        rustix::thread::set_thread_groups(&[]).unwrap();
        rustix::thread::set_thread_gid(group).unwrap();
        // Of the one thread that there is.
        rustix::thread::set_thread_uid(user).unwrap();
        body();
    })
}

/// Waits for a child that must not have panicked.
#[track_caller]
fn succeeds(child: Child) {
    let status = child.wait().unwrap();
    assert!(status.success(), "child: {status}");
}

fn is_asleep(child: &Child) -> bool {
    child.state().unwrap() == Some(process::ProcessState::Sleeping)
}
