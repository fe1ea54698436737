//! Every transport, by the same bodies, and what is special to some.

mod conformance;
mod death;
mod limits;
mod names;
mod started;
mod strangers;

use procession_transport::Transport;
use testkit::Test;

fn main() -> std::process::ExitCode {
    let mut tests = testkit::tests![
        limits::a_file_beyond_the_limit_is_an_error,
        strangers::a_stranger_on_tcp_neither_injects_nor_stalls,
        strangers::a_stranger_on_a_unix_socket_neither_injects_nor_stalls,
        strangers::a_crowd_of_senders_loses_nothing,
        strangers::what_reaches_loopback_is_bound_to_it,
        strangers::a_datagram_without_the_secret_is_ignored,
        names::a_symbolic_link_for_the_private_directory_is_refused,
        names::a_private_directory_that_others_may_enter_is_refused,
        names::names_are_private_and_gone_when_both_sides_hold_the_object,
        names::a_live_owner_is_never_swept,
        names::unavailable_redis_says_why,
    ];
    let mut add = |transport: Transport, bodies: &[conformance::Body]| {
        for &(name, body) in bodies {
            tests.push(Test::new(format!("{transport}::{name}"), move || {
                body(transport)
            }));
        }
    };
    for transport in Transport::ALL {
        add(transport, conformance::BODIES);
        add(transport, death::BODIES);
        add(transport, started::BODIES);
        if transport != Transport::Redis {
            add(transport, death::CALL_BY_CALL);
        }
    }
    for transport in conformance::RINGS {
        add(transport, conformance::RING_BODIES);
    }
    testkit::run(tests)
}

/// Whether the test for this transport can be run; says loudly if not.
fn is_available(transport: Transport) -> bool {
    match transport.probe(&Default::default()) {
        Ok(()) => true,
        // Not installed, or tested alone without the feature.
        Err(error) if transport == Transport::Redis => {
            println!("NOT TESTED: {error}");
            assert!(
                std::env::var_os("PROCESSION_REQUIRE_ALL").is_none(),
                "PROCESSION_REQUIRE_ALL is set and {error}"
            );
            false
        }
        Err(error) => panic!("{error}"),
    }
}
