//! Examples, each of which is run and has to print what it should.

use crate::Test;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One test for each example of a package, by what it prints, and one that none is
/// missing from the list. `package` is the directory of its manifest.
///
/// # Panics
/// If cargo cannot build the examples.
#[must_use]
pub fn tests(package: &'static str, expected: BTreeMap<&'static str, &'static str>) -> Vec<Test> {
    let directory = examples_directory();
    let mut tests: Vec<Test> = expected
        .iter()
        .map(|(&name, &output)| {
            let program = directory.join(name);
            Test::new(name, move || prints(&program, output))
        })
        .collect();
    tests.push(Test::new("every_example_is_listed", move || {
        let sources = Path::new(package).join("examples");
        let found = std::fs::read_dir(sources).unwrap().map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        });
        let mut found: Vec<String> = found.collect();
        found.sort();
        assert_eq!(found, expected.keys().copied().collect::<Vec<_>>());
    }));
    tests
}

/// Where cargo puts examples: beside the directory of this test. Running this
/// test alone does not build them, so cargo is asked to.
fn examples_directory() -> PathBuf {
    let me = std::env::current_exe().unwrap();
    let profile = me.parent().unwrap().parent().unwrap();
    if std::env::var_os("PROCESSION_TEST_CHILD").is_none() {
        let mut cargo = Command::new(env!("CARGO"));
        // The whole workspace: another choice of features would build them anew.
        cargo.args(["build", "--quiet", "--workspace", "--examples"]);
        if !cfg!(debug_assertions) {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "building the examples");
    }
    profile.join("examples")
}

fn prints(program: &Path, expected: &str) {
    let output = Command::new(program).output().unwrap();
    let (printed, said) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{}\n{printed}{said}",
        output.status
    );
    // What an example prints that lacks a program it needs.
    if printed.starts_with("no ") && printed.contains(" here: ") {
        assert!(
            std::env::var_os("PROCESSION_REQUIRE_ALL").is_none(),
            "{printed}"
        );
        println!("NOT TESTED: {printed}");
        return;
    }
    assert_eq!(printed, expected, "{said}");
}
