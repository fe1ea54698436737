//! What local and remote queues, locks, permits and events have in common, by the same bodies.

mod bodies;
#[path = "../common/elsewhere.rs"]
mod elsewhere;
#[cfg(feature = "network")]
mod hosts;
mod locks;
#[cfg(feature = "network")]
#[path = "../common/on_host.rs"]
mod on_host;
mod random;
mod setting;
mod table;
#[path = "../common/way.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod way;

use procession::process::StartMethod;
use setting::{Local, Remote, Setting};
use std::process::ExitCode;
use std::time::Duration;
use testkit::Test;

/// Far beyond any bound that is promised.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// Bodies for each setting and start method.
fn bodies_of<S: Setting>() -> Vec<(String, Test)> {
    macro_rules! bodies {
        ($($body:ident),* $(,)?) => {{
            let bodies: [(&str, fn(StartMethod)); _] = [$((stringify!($body), bodies::$body::<S>)),*];
            bodies
        }};
    }
    let bodies = bodies![
        messages_of_a_sender_keep_their_order,
        each_message_goes_to_one_receiver,
        a_full_queue_makes_its_senders_wait,
        an_empty_queue_makes_its_receivers_wait,
        handles_travel_there_and_back,
        long_messages_come_whole,
        what_is_not_acknowledged_comes_again,
        what_the_dead_had_comes_again,
        what_a_panic_drops_comes_again,
    ];
    let methods = [
        StartMethod::Fork,
        StartMethod::Spawn,
        StartMethod::ForkServer,
    ];
    let each = |(name, body): (&str, fn(StartMethod))| {
        let name = name.to_owned();
        methods.map(move |method| {
            let full = format!("bodies::{name}::{}::{method}", S::NAME);
            (name.clone(), Test::new(full, move || body(method)))
        })
    };
    bodies.into_iter().flat_map(each).collect()
}

fn main() -> ExitCode {
    procession::init();
    let mut tests = testkit::tests![table::the_tables_have_each_body];
    let (names, locks) = locks::tests();
    tests.extend(locks);
    tests.push(Test::new(
        "table::what_the_tables_name_is_there",
        move || {
            table::check_names(bodies_of::<Remote>().into_iter().map(|(name, _)| name));
            table::check_names_of_locks(&names);
        },
    ));
    tests.extend(bodies_of::<Local>().into_iter().map(|(_, test)| test));
    tests.extend(bodies_of::<Remote>().into_iter().map(|(_, test)| test));
    tests.push(Test::new(
        "random::kills_lose_and_repeat_nothing_unmarked::local",
        random::kills_lose_and_repeat_nothing_unmarked::<Local>,
    ));
    tests.push(Test::new(
        "random::kills_lose_and_repeat_nothing_unmarked::remote",
        random::kills_lose_and_repeat_nothing_unmarked::<Remote>,
    ));
    #[cfg(feature = "network")]
    tests.extend(testkit::tests![
        hosts::objects_are_used_from_every_host,
        hosts::a_proxy_travels_from_host_to_host,
        hosts::what_a_host_had_that_vanishes_goes_to_another,
        hosts::a_short_cut_costs_nothing,
        hosts::a_manager_that_was_restarted_is_another_one,
    ]);
    testkit::run(tests)
}
