//! Channels: what they do in every flavor, by every start method.

mod bodies;
mod connections;
#[path = "../common/elsewhere.rs"]
mod elsewhere;
mod ends;
mod limits;
#[cfg(feature = "network")]
mod network;
#[cfg(feature = "network")]
#[path = "../common/on_host.rs"]
mod on_host;
#[path = "../common/way.rs"]
mod way;

use procession::channel::{Flavor, Options};
use procession::process::StartMethod;
use std::process::ExitCode;
use std::time::Duration;
use testkit::Test;
pub(crate) use way::start;

/// Far beyond any bound that is promised.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A test of what holds for every flavor and start method.
type Body = fn(Options, StartMethod);

pub(crate) const FLAVORS: [Flavor; 3] = [Flavor::Shared, Flavor::Packets, Flavor::Pipe];

const METHODS: [StartMethod; 3] = [
    StartMethod::Fork,
    StartMethod::Spawn,
    StartMethod::ForkServer,
];

type ByMethod = fn(StartMethod);

/// What holds of connections for every start method.
fn connections() -> Vec<(&'static str, ByMethod)> {
    vec![
        (
            "connections::unrelated_programs_talk",
            connections::unrelated_programs_talk,
        ),
        (
            "connections::a_killed_peer_is_an_end",
            connections::a_killed_peer_is_an_end,
        ),
        #[cfg(feature = "network")]
        (
            "connections::an_end_of_a_connection_travels_on",
            connections::an_end_of_a_connection_travels_on,
        ),
    ]
}

macro_rules! bodies {
    ($($test:path),* $(,)?) => { [$((stringify!($test), $test as Body)),*] };
}

fn main() -> ExitCode {
    procession::init();
    let everywhere = bodies![
        bodies::messages_of_every_length_come_back,
        bodies::a_dropped_end_is_the_end_of_file,
        bodies::a_killed_process_is_the_end_of_file,
        bodies::the_two_ways_go_apart,
        bodies::an_end_travels_on,
        ends::both_ways_end_each_time,
    ];
    let with_descriptors = bodies![bodies::descriptors_travel, bodies::handles_of_ours_travel,];
    let mut tests = testkit::tests![
        limits::deadlines_are_kept,
        limits::polling_sees_messages_and_the_end,
        limits::a_full_channel_makes_its_writer_wait,
        limits::a_pipe_refuses_descriptors_and_goes_on,
        limits::too_many_descriptors_are_an_error_that_has_them,
        limits::what_the_dead_began_to_write_is_an_error,
        limits::a_message_that_had_no_time_for_its_rest_is_taken_back,
        limits::what_was_taken_back_is_nothing_to_receive,
        limits::a_writer_that_travels_finishes_what_it_has_begun,
        limits::a_message_that_had_no_time_is_none_in_the_other_flavors,
        limits::a_message_that_does_not_decode_is_an_error,
        limits::descriptors_of_a_message_that_was_given_up_are_closed,
        limits::no_descriptor_left_is_an_error,
        ends::one_way_ends_each_time,
        ends::what_cannot_be_received_does_not_look_like_the_end,
        ends::a_panic_leaves_a_channel_as_it_was,
        ends::a_message_may_use_its_own_channel,
        ends::channels_work_in_destructors_of_threads,
    ];
    tests.extend(testkit::tests![
        connections::other_types_are_refused,
        connections::sides_mean_the_same_by_their_shape_or_their_schema,
        connections::nobody_there_is_an_error,
        connections::a_path_has_one_listener_at_a_time,
        connections::silent_pending_connections_keep_nobody_waiting,
        connections::talkative_pending_connections_are_closed,
    ]);
    #[cfg(feature = "network")]
    tests.extend(testkit::tests![
        connections::a_handshake_cut_at_any_byte_is_no_connection,
        connections::another_key_is_refused_by_both,
        connections::too_long_a_message_is_refused_by_both,
        network::a_lost_host_is_noticed_by_idle_sides,
        network::a_lost_host_is_noticed_with_messages_under_way,
        network::a_lost_host_is_noticed_with_messages_that_wait,
        network::a_host_that_does_not_answer_is_no_connection,
        network::a_slow_reader_is_not_lost,
        network::a_forked_copy_does_not_send,
        network::of_an_end_that_is_decoded_twice_one_sends,
        network::hosts_have_names,
        network::hosts_are_reached_by_every_address,
        network::a_short_cut_loses_nothing,
    ]);
    for (name, body) in connections() {
        for method in METHODS {
            tests.push(Test::new(format!("{name}::{method}"), move || body(method)));
        }
    }
    for (flavor, bodies) in FLAVORS
        .into_iter()
        .map(|flavor| (flavor, &everywhere[..]))
        .chain(
            [Flavor::Shared, Flavor::Packets]
                .into_iter()
                .map(|flavor| (flavor, &with_descriptors[..])),
        )
    {
        for &(name, body) in bodies {
            let options = Options::new().flavor(flavor);
            let name = format!("{name}::{flavor:?}");
            for method in METHODS {
                let name = format!("{name}::{method}");
                tests.push(Test::new(name, move || body(options, method)));
            }
            tests.extend(way::tests(&name, move |method| body(options, method)));
        }
    }
    testkit::run(tests)
}
