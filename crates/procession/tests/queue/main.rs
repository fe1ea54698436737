//! Queues: what they do by every start method, and what they survive.

mod bodies;
mod death;
#[path = "../common/elsewhere.rs"]
mod elsewhere;
mod ends;
mod growing;
mod handles;
mod limits;
mod long;
mod named;
mod panics;
mod ranges;
mod rendezvous;
mod scribbled;
mod shapes;
#[path = "../common/way.rs"]
mod way;
mod work;

use procession::process::StartMethod;
use std::process::ExitCode;
use std::time::Duration;
use testkit::Test;
pub(crate) use way::start;

/// Far beyond any bound that is promised.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A test of what holds for every start method.
type Body = fn(StartMethod);

macro_rules! bodies {
    ($($test:path),* $(,)?) => { [$((stringify!($test), $test as Body)),*] };
}

fn main() -> ExitCode {
    procession::init();
    let for_each_method = bodies![
        bodies::messages_of_a_sender_keep_their_order,
        bodies::each_message_goes_to_one_receiver,
        bodies::a_full_queue_makes_its_senders_wait,
        bodies::the_end_of_all_senders_ends_the_receivers,
        bodies::the_end_of_all_receivers_ends_the_senders,
        bodies::handles_travel_there_and_back,
        handles::each_message_brings_its_own,
        handles::a_message_says_where_to_answer,
        handles::what_the_dead_held_comes_again_whole,
        long::long_messages_come_whole,
        ranges::ranges_of_messages_are_apart,
        work::joining_waits_until_all_is_done,
        work::what_the_dead_were_at_is_not_done,
        work::what_is_not_acknowledged_comes_again,
        work::what_is_lost_keeps_nobody_waiting,
        work::batches_keep_their_order_and_lose_nothing,
        work::the_highest_priority_comes_first,
        long::what_the_dead_had_borrowed_comes_again,
        growing::slow_processes_keep_nobody_from_sending,
        growing::unbounded_queues_lose_nothing_between_processes,
        rendezvous::each_message_is_handed_to_one_receiver,
        rendezvous::sending_returns_when_a_receiver_has_the_message,
        rendezvous::who_does_not_wait_sends_to_a_receiver_that_does,
        rendezvous::what_the_dead_offered_or_requested_is_gone,
        rendezvous::a_message_held_by_the_dead_comes_again,
        rendezvous::the_end_of_the_other_side_ends_the_wait,
        rendezvous::batches_and_borrowed_messages_are_handed_over,
        rendezvous::descriptors_are_handed_over,
        death::a_killed_sender_is_no_sender_any_more,
        death::a_message_held_by_the_dead_comes_again,
        death::what_the_dead_held_is_counted_where_it_is_lost,
        ends::after_the_last_receiver_every_sender_is_refused,
        ends::a_receiver_that_is_lost_on_the_way_is_gone,
        ends::receivers_get_what_is_there_and_are_then_refused,
        ends::a_loop_over_messages_fails_with_their_error,
        panics::what_a_panic_drops_comes_again,
        panics::what_a_panic_drops_is_counted_where_it_is_lost,
    ];
    let mut tests = testkit::tests![
        limits::a_queue_of_one,
        limits::many_senders_and_many_receivers,
        limits::messages_of_every_length,
        long::the_memory_of_the_longest_is_given_back,
        long::what_was_not_sent_keeps_no_memory,
        long::more_than_four_gibibytes_go_through_one_queue,
        long::a_reservation_that_is_dropped_sends_nothing,
        long::a_forked_copy_has_no_borrowed_message,
        long::no_space_for_a_long_message_is_an_error_that_has_it,
        long::no_room_to_borrow_a_message_leaves_it_to_another,
        ranges::long_messages_go_where_files_are_limited,
        ranges::what_does_not_fit_below_the_limit_is_an_error,
        ranges::a_sender_with_a_lower_limit_sends_long_messages,
        ranges::ranges_of_killed_senders_are_used_again,
        rendezvous::who_gives_up_has_neither_sent_nor_received,
        rendezvous::closing_wakes_all_who_wait,
        rendezvous::more_wait_than_there_is_room_for,
        rendezvous::descriptors_of_what_is_given_up_are_closed,
        rendezvous::two_futures_meet_and_one_that_is_dropped_sends_nothing,
        rendezvous::a_forked_future_sends_a_message_of_its_own,
        rendezvous::priorities_do_not_meet,
        rendezvous::a_sender_killed_at_any_instruction_has_handed_over_or_not,
        rendezvous::a_receiver_killed_at_any_instruction_leaves_the_message_to_another,
        rendezvous::a_message_handed_to_one_that_does_not_come_is_anothers,
        rendezvous::who_is_stopped_while_it_waits_stands_in_nobodys_way,
        limits::what_cannot_be_is_refused,
        limits::deadlines_are_kept,
        limits::closing_lets_the_rest_be_received,
        limits::laps_go_round_many_times,
        limits::a_message_that_does_not_decode_is_an_error,
        limits::no_descriptor_is_an_error,
        handles::three_hundred_descriptors_come_at_once,
        handles::many_descriptors_wait_for_room,
        handles::a_queue_with_a_name_refuses_descriptors_and_goes_on,
        handles::no_room_for_descriptors_leaves_the_message_to_another,
        handles::what_was_not_sent_in_time_is_closed,
        work::a_batch_ends_where_it_has_to,
        work::code_between_two_messages_may_wait_for_the_other_side,
        work::priorities_lose_nothing,
        work::what_is_requeued_for_ever_loses_nothing,
        ends::bytes_are_refused_as_values_are,
        ends::a_batch_hears_of_the_end_in_its_middle,
        ends::what_waits_in_a_closed_queue_that_is_full_is_refused,
        ends::a_receiver_in_a_message_is_still_one,
        ends::joining_says_that_nobody_will_do_the_rest,
        ends::what_cannot_be_received_does_not_look_like_the_end,
        panics::a_thread_that_panics_leaves_its_message_to_one_that_waits,
        panics::a_message_that_panics_while_it_is_encoded_takes_no_room,
        panics::a_message_that_panics_while_it_is_decoded_gives_its_room_back,
        panics::a_callback_that_panics_keeps_no_room,
        panics::queues_work_in_destructors_of_threads,
        growing::places_are_as_small_as_the_type_and_taken_as_they_are_used,
        growing::long_messages_of_small_places_come_whole,
        growing::unacknowledged_messages_keep_nobody_from_sending,
        growing::more_unacknowledged_than_allowed_is_an_error_that_says_so,
        growing::an_unbounded_queue_takes_all_and_keeps_the_order,
        growing::at_the_memory_limit_sending_fails_and_then_goes_on,
        growing::what_is_there_stays_when_somebody_else_has_no_space,
        growing::who_is_killed_while_memory_is_added_leaves_a_whole_queue,
        named::programs_meet_by_name,
        named::another_type_is_refused,
        shapes::programs_with_one_shape_talk_and_others_are_refused,
        shapes::a_schema_stands_for_the_shape,
        shapes::what_describes_itself_is_refused_when_the_queue_is_made,
        shapes::a_message_with_handles_of_its_own_kind_has_a_shape,
        named::the_queue_of_killed_users_is_made_anew,
        named::h1_random_bytes_are_refused,
        named::h4_a_scribbler_crashes_and_hangs_nobody,
        scribbled::any_value_in_a_word_of_the_ends_is_survived,
        scribbled::any_value_in_a_slot_or_a_block_is_survived,
        scribbled::a_length_that_is_a_lie_takes_no_memory,
        scribbled::who_waits_for_ever_is_told_of_nonsense,
        scribbled::who_waits_for_nobody_is_told_so,
        death::a_handle_on_the_way_to_the_dead_keeps_nobody_waiting,
        death::a_stopped_sender_stands_in_nobodys_way,
        death::a_stopped_receiver_stands_in_nobodys_way,
        death::a_sender_killed_at_any_instruction_has_sent_or_not,
        death::a_receiver_killed_at_any_instruction_loses_nothing,
    ];
    // Minutes of copying, in which nothing depends on how the ends came.
    let mut ordinary = vec!["long::long_messages_come_whole"];
    for (name, body) in for_each_method {
        for method in [
            StartMethod::Fork,
            StartMethod::Spawn,
            StartMethod::ForkServer,
        ] {
            tests.push(Test::new(format!("{name}::{method}"), move || body(method)));
        }
        if let Some(place) = ordinary.iter().position(|ordinary| *ordinary == name) {
            ordinary.remove(place);
            continue;
        }
        tests.extend(way::tests(name, body));
    }
    assert!(ordinary.is_empty(), "no such bodies: {ordinary:?}");
    testkit::run(tests)
}
