//! The suites under AddressSanitizer: a look at every access to memory, for what
//! the arguments beside `unsafe` claim.
//!
//! The sanitizer is in the stable compiler, behind an option that it takes only
//! when it is told to be another one (`RUSTC_BOOTSTRAP`). ThreadSanitizer is of no
//! use here: without the standard library's sources it knows none of that
//! library's locks, and it does not see what another process does.

use crate::{cargo_with, target_directory};

/// The suites, and what of each cannot be run: the sanitizer maps terabytes of
/// address space, so that no test may limit it.
const SUITES: &[(&str, &[&str])] = &[
    ("sync", &["resources::r2_no_memory_is_an_error"]),
    ("queue", &[]),
    ("channel", &[]),
    ("select", &[]),
    ("pool", &[]),
];

pub(crate) fn check() -> bool {
    let directory = format!("{}/sanitize", target_directory());
    let environment = [
        ("RUSTC_BOOTSTRAP", "1"),
        ("RUSTFLAGS", "-Zsanitizer=address"),
        // Processes end without destructors, by design.
        ("ASAN_OPTIONS", "detect_leaks=0"),
        ("CARGO_TARGET_DIR", &directory),
    ];
    // With a target of its own, build scripts and macros are left alone.
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let target = &*target;
    let core = [
        "test",
        "--package",
        "procession-core",
        "--lib",
        "--target",
        target,
    ];
    let mut ok = cargo_with(&core, &environment);
    for (suite, skipped) in SUITES {
        let mut arguments = vec!["test", "--package", "procession", "--target", target];
        arguments.extend(["--features", "network,tokio", "--test", suite, "--"]);
        arguments.extend(skipped.iter().flat_map(|test| ["--skip", test]));
        ok &= cargo_with(&arguments, &environment);
    }
    ok
}
