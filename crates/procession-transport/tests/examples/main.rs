//! Every example is run, and prints what it should.

use std::collections::BTreeMap;

const PI: &str = "3.1415926504066944\n";

fn main() -> std::process::ExitCode {
    testkit::run(testkit::examples::tests(
        env!("CARGO_MANIFEST_DIR"),
        expected(),
    ))
}

fn expected() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("20_pi_redis", PI),
        (
            "31_worker_group",
            "0: finished\n0: hello from worker 0\n\
             1: failed over sysv-mq: Some(Signal(9))\n1: hello from worker 1\n\
             2: finished\n2: hello from worker 2\n",
        ),
    ])
}
