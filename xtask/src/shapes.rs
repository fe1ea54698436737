//! The crate `consumer`, built in every shape that cargo and rustc offer for a
//! program: each must start its tasks, and none of them may come to the wrong
//! `main`.

use std::process::Command;

/// What its programs print.
const EXPECTED: &str = "forkserver 49, spawn 49\n";

/// A way to build a program.
struct Shape {
    name: &'static str,
    flags: &'static str,
    profile: &'static [&'static str],
    /// It needs libc's static library.
    is_static: bool,
}

const SHAPES: [Shape; 4] = [
    Shape {
        name: "link-time optimised, aborting, stripped",
        flags: "",
        profile: &["lto=\"fat\"", "panic=\"abort\"", "strip=true"],
        is_static: false,
    },
    Shape {
        name: "at a fixed address",
        flags: "-C relocation-model=static",
        profile: &[],
        is_static: false,
    },
    Shape {
        name: "static, position independent",
        flags: "-C target-feature=+crt-static",
        profile: &[],
        is_static: true,
    },
    Shape {
        name: "static, at a fixed address",
        flags: "-C target-feature=+crt-static -C relocation-model=static",
        profile: &[],
        is_static: true,
    },
];

/// Builds and runs all; whether all is well.
pub(crate) fn check() -> bool {
    SHAPES.iter().all(Shape::check)
        // With the features of the tests, so that little is compiled again.
        && super::cargo(&["test", "--workspace", "--bench", "own_main"])
        && under_nextest()
}

impl Shape {
    fn check(&self) -> bool {
        if self.is_static && !has_static_libc() {
            eprintln!(
                "NOT TESTED: programs that are {}: there is no libc.a",
                self.name
            );
            return true;
        }
        let Some(host) = host() else {
            eprintln!("rustc does not say what it compiles for");
            return false;
        };
        let directory = format!("{}/shapes", super::target_directory());
        // With a target, or the flags would be those of procedural macros too.
        let mut arguments = vec!["build", "--package", "consumer", "--target", &host];
        arguments.extend(["--bins", "--examples"]);
        let settings = self.profile.iter();
        let settings: Vec<String> = settings.map(|it| format!("profile.dev.{it}")).collect();
        for setting in &settings {
            arguments.extend(["--config", setting]);
        }
        eprintln!("+ RUSTFLAGS='{}' cargo {}", self.flags, arguments.join(" "));
        let built = super::command_of_cargo()
            .args(&arguments)
            .env("RUSTFLAGS", self.flags)
            .env("CARGO_TARGET_DIR", &directory)
            .status();
        if !built.is_ok_and(|status| status.success()) {
            return false;
        }
        ["consumer", "examples/with_init"].iter().all(|program| {
            let path = format!("{}/{host}/debug/{program}", absolute(&directory));
            let printed = Command::new(&path).output();
            let right = printed.as_ref().is_ok_and(|output| {
                output.status.success() && output.stdout == EXPECTED.as_bytes()
            });
            if right {
                println!("shape {}: {program} ... ok", self.name);
            } else {
                println!("shape {}: {program} ... FAILED\n{printed:?}", self.name);
            }
            right
        })
    }
}

/// Relative to the workspace, where cargo runs.
fn absolute(directory: &str) -> String {
    if directory.starts_with('/') {
        directory.to_owned()
    } else {
        format!("{}/{directory}", super::ROOT)
    }
}

fn text_of(command: &mut Command) -> Option<String> {
    String::from_utf8(command.output().ok()?.stdout).ok()
}

fn host() -> Option<String> {
    let version = text_of(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
}

fn has_static_libc() -> bool {
    // It repeats the name if it finds no such file.
    text_of(Command::new("cc").arg("-print-file-name=libc.a"))
        .is_some_and(|path| path.trim().starts_with('/'))
}

fn under_nextest() -> bool {
    let version = super::command_of_cargo()
        .args(["nextest", "--version"])
        .output();
    if !version.is_ok_and(|output| output.status.success()) {
        eprintln!("NOT TESTED: tasks under cargo-nextest, which is not installed");
        return true;
    }
    super::cargo(&["nextest", "run", "--package", "consumer"])
}
