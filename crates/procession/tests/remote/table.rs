//! Which bodies of the tests of queues and locks hold for those of managers as well.

use std::collections::BTreeSet;

/// What becomes of a body of `tests/queue`.
enum Remote {
    /// A body of this program says the same.
    As(&'static str),
    /// Why it does not hold, or what is in its place.
    Not(&'static str),
}
use Remote::{As, Not};

/// A queue of a manager stays as long as it has a proxy or a name.
const NO_LAST: Remote = Not("a queue of a manager has no last sender and no last receiver");
const NO_DESCRIPTORS: Remote = Not("a manager keeps no descriptors");
const NO_CAPACITY_0: Remote = Not("a queue of a manager keeps at least one message");
const NO_LOSS: Remote = Not("a queue of a manager has no `at_most_once`");
const NO_BORROWING: Remote = Not("its messages are not in shared memory");

const TABLE: &[(&str, Remote)] = &[
    (
        "bodies::messages_of_a_sender_keep_their_order",
        As("messages_of_a_sender_keep_their_order"),
    ),
    (
        "bodies::each_message_goes_to_one_receiver",
        As("each_message_goes_to_one_receiver"),
    ),
    (
        "bodies::a_full_queue_makes_its_senders_wait",
        As("a_full_queue_makes_its_senders_wait"),
    ),
    ("bodies::the_end_of_all_senders_ends_the_receivers", NO_LAST),
    ("bodies::the_end_of_all_receivers_ends_the_senders", NO_LAST),
    (
        "bodies::handles_travel_there_and_back",
        As("handles_travel_there_and_back"),
    ),
    ("handles::each_message_brings_its_own", NO_DESCRIPTORS),
    (
        "handles::a_message_says_where_to_answer",
        Not("a proxy as a value: `manager::lives::a_proxy_is_a_value_of_another_object`"),
    ),
    (
        "handles::what_the_dead_held_comes_again_whole",
        NO_DESCRIPTORS,
    ),
    (
        "long::long_messages_come_whole",
        As("long_messages_come_whole"),
    ),
    ("ranges::ranges_of_messages_are_apart", NO_BORROWING),
    (
        "work::joining_waits_until_all_is_done",
        Not("`join` is no method of the traits: `manager::objects::a_queue_is_bounded_and_joined`"),
    ),
    (
        "work::what_the_dead_were_at_is_not_done",
        As("what_the_dead_had_comes_again"),
    ),
    (
        "work::what_is_not_acknowledged_comes_again",
        As("what_is_not_acknowledged_comes_again"),
    ),
    ("work::what_is_lost_keeps_nobody_waiting", NO_LOSS),
    (
        "work::batches_keep_their_order_and_lose_nothing",
        Not(
            "`send_many` is no method of the traits: `manager::objects::a_queue_is_bounded_and_joined`",
        ),
    ),
    (
        "work::the_highest_priority_comes_first",
        Not("it has no priorities"),
    ),
    ("long::what_the_dead_had_borrowed_comes_again", NO_BORROWING),
    (
        "growing::slow_processes_keep_nobody_from_sending",
        Not("what is not acknowledged is no part of its capacity, and it does not grow in steps"),
    ),
    (
        "growing::unbounded_queues_lose_nothing_between_processes",
        As("each_message_goes_to_one_receiver"),
    ),
    (
        "rendezvous::each_message_is_handed_to_one_receiver",
        NO_CAPACITY_0,
    ),
    (
        "rendezvous::sending_returns_when_a_receiver_has_the_message",
        NO_CAPACITY_0,
    ),
    (
        "rendezvous::who_does_not_wait_sends_to_a_receiver_that_does",
        NO_CAPACITY_0,
    ),
    (
        "rendezvous::what_the_dead_offered_or_requested_is_gone",
        NO_CAPACITY_0,
    ),
    (
        "rendezvous::a_message_held_by_the_dead_comes_again",
        NO_CAPACITY_0,
    ),
    (
        "rendezvous::the_end_of_the_other_side_ends_the_wait",
        NO_CAPACITY_0,
    ),
    (
        "rendezvous::batches_and_borrowed_messages_are_handed_over",
        NO_CAPACITY_0,
    ),
    ("rendezvous::descriptors_are_handed_over", NO_CAPACITY_0),
    ("death::a_killed_sender_is_no_sender_any_more", NO_LAST),
    (
        "death::a_message_held_by_the_dead_comes_again",
        As("what_the_dead_had_comes_again"),
    ),
    (
        "death::what_the_dead_held_is_counted_where_it_is_lost",
        NO_LOSS,
    ),
    (
        "ends::after_the_last_receiver_every_sender_is_refused",
        NO_LAST,
    ),
    ("ends::a_receiver_that_is_lost_on_the_way_is_gone", NO_LAST),
    (
        "ends::receivers_get_what_is_there_and_are_then_refused",
        NO_LAST,
    ),
    (
        "ends::a_loop_over_messages_fails_with_their_error",
        Not("it is no iterator"),
    ),
    (
        "panics::what_a_panic_drops_comes_again",
        As("what_a_panic_drops_comes_again"),
    ),
    (
        "panics::what_a_panic_drops_is_counted_where_it_is_lost",
        NO_LOSS,
    ),
];

/// Bodies of `tests/sync` that do not hold, or not yet; the others have their name here, too.
const LOCKS: &[(&str, &str)] = &[
    (
        "a_lock_that_nobody_repairs_is_lost_until_reset",
        "the value that a dead holder leaves is whole: nothing is to be repaired",
    ),
    (
        "a_reentrant_mutex_is_held_until_the_last_guard_goes",
        "the two are not run by one text yet",
    ),
    (
        "a_writer_that_waits_comes_before_later_readers",
        "the two are not run by one text yet",
    ),
    (
        "a_bounded_semaphore_has_a_bound",
        "the two are not run by one text yet",
    ),
    (
        "a_condvar_wakes_who_waits",
        "the two are not run by one text yet",
    ),
    (
        "an_event_that_resets_itself_lets_one_through",
        "an event of a manager does not reset itself; a semaphore lets one through",
    ),
    (
        "a_barrier_lets_all_go_together",
        "the two are not run by one text yet",
    ),
    (
        "a_party_that_gives_up_breaks_the_barrier",
        "the two are not run by one text yet",
    ),
    ("once_is_once", "`get_or_register` is in its place"),
    (
        "values_arrays_and_counters_add_up",
        "other types with other methods: `manager::data`",
    ),
];

/// The bodies of `tests/sync` are those that are run here, and those that the table names.
pub(crate) fn check_names_of_locks(run: &[&str]) {
    let listed: BTreeSet<&str> = LOCKS.iter().map(|(name, _)| *name).collect();
    let source = include_str!("../sync/main.rs");
    let (_, rest) = source.split_once("let mut tests = bodies![").unwrap();
    let (list, _) = rest.split_once("];").unwrap();
    let there = list
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let there: BTreeSet<&str> = there.collect();
    let both = run.iter().copied().chain(listed.iter().copied());
    assert_eq!(both.collect::<BTreeSet<&str>>(), there);
    assert!(run.iter().all(|name| !listed.contains(name)));
    assert!(LOCKS.iter().all(|(_, reason)| !reason.is_empty()));
}

/// Whatever the table names is there, as `bodies` are the bodies of this program.
pub(crate) fn check_names(bodies: impl Iterator<Item = String>) {
    let bodies: BTreeSet<String> = bodies.collect();
    for (body, remote) in TABLE {
        match remote {
            As(name) => assert!(bodies.contains(*name), "{body}: there is no {name}"),
            Not(reason) => assert!(!reason.is_empty(), "{body}"),
        }
    }
}

pub(crate) fn the_tables_have_each_body() {
    let source = include_str!("../queue/main.rs");
    let (_, rest) = source.split_once("for_each_method = bodies![").unwrap();
    let (list, _) = rest.split_once("];").unwrap();
    let there: Vec<&str> = list.split(',').map(str::trim).collect();
    let there: Vec<&str> = there.into_iter().filter(|name| !name.is_empty()).collect();
    let listed: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    assert_eq!(listed, there);
    let held = TABLE.iter().filter(|(_, remote)| matches!(remote, As(_)));
    println!("{} of {} bodies hold", held.count(), TABLE.len());
}
