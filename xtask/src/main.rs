//! The project's own commands: `cargo xtask test`, `cargo xtask ci`,
//! `cargo xtask chaos`, `cargo xtask bench`.

mod ci;
mod features;
mod licences;
mod macros;
mod members;
mod minimal;
mod package;
mod readme;
mod refused;
mod sanitize;
mod shapes;
mod suites;
mod tidy;

use std::process::{Command, ExitCode, Stdio};

/// The workspace.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

const HELP: &str = "\
cargo xtask <command>

  test [ARGS]   run all tests, installing what optional ones need where that is
                allowed, the models, the shapes and the programs of the
                README; with ARGS, only what `cargo test` makes of them
  models        go through the models of the algorithms (loom)
  shapes        build a program that uses procession in every shape: static,
                link-time optimised, and so on; and run it
  readme        paste the programs of the README into a new crate, and run them
  package       check that each published package says what it is, carries its
                licences and a README, and is built from its file alone
  tidy          check the order of modules, and what comments and documents say
                about the code; --prose lists what is not house English
  chaos [ARGS]  kill processes at every instruction and at random, and print
                figures: --kills N (100000), --seed S, --step, --random,
                --only NAME; unless --step or --only says otherwise, also what
                `procession run` has begun, one for each fifty kills; with
                --only run nothing else, each kill a run (2000)
  refused [SUITE ...] [CALL:ERRNO ...]
                run suites with one system call refused in each test, one call
                after the other, and print a table
  sanitize      run the suites of shared memory under AddressSanitizer
  ci [--long] [QUESTION ...]
                everything that must hold, question after question: tests,
                format, lints, features, docs, packages, 'minimal versions',
                licences, tidy; or only those that are named; with --long also
                what takes hours: kills by the million, kills at every
                instruction, the sanitizer
  bench [ARGS]  run the benchmarks; ARGS go to them (see `bench/README.md`)
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next();
    let rest: Vec<String> = arguments.collect();
    let ok = match command.as_deref() {
        Some("test") => test(&rest),
        Some("models") => models(),
        Some("refused") => {
            let arguments: Vec<&str> = rest.iter().map(String::as_str).collect();
            refused::check(&arguments)
        }
        Some("shapes") => shapes::check(),
        Some("package") => package::check(),
        Some("tidy") if rest == ["--prose"] => tidy::list_prose(std::path::Path::new(ROOT)),
        Some("tidy") => tidy::check(std::path::Path::new(ROOT)),
        Some("readme") => readme::check(),
        Some("chaos") => {
            let arguments: Vec<&str> = rest.iter().map(String::as_str).collect();
            chaos(&arguments)
        }
        Some("sanitize") => sanitize::check(),
        Some("ci") => {
            let names = rest.iter().map(String::as_str);
            let names: Vec<&str> = names.filter(|name| *name != "--long").collect();
            ci::check(rest.iter().any(|it| it == "--long"), &names)
        }
        Some("bench") => {
            let mut arguments = vec!["run", "--release", "--package", "bench", "--"];
            arguments.extend(rest.iter().map(String::as_str));
            cargo(&arguments)
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Kills of processes for which a run of commands is killed: that takes longer.
const KILLS_FOR_A_RUN: u64 = 50;

/// Kills processes and prints figures.
fn chaos(rest: &[&str]) -> bool {
    let value = |option: &str| {
        let pairs = rest.windows(2);
        pairs
            .rev()
            .find(|pair| pair[0] == option)
            .map(|pair| pair[1])
    };
    match value("--only") {
        // The command has a program of tests of its own.
        Some("run") => return report("procession-cli", rest),
        Some(_) => return report("procession", rest),
        None if rest.contains(&"--step") => return report("procession", rest),
        None => {}
    }
    let kills = value("--kills").and_then(|kills| kills.parse::<u64>().ok());
    let kills = kills.map(|kills| kills.div_ceil(KILLS_FOR_A_RUN).to_string());
    let mut of_runs = Vec::new();
    for (option, value) in [("--kills", kills.as_deref()), ("--seed", value("--seed"))] {
        of_runs.extend(value.into_iter().flat_map(|value| [option, value]));
    }
    // Both, so that a failure of one hides none of the other.
    let outcomes = [
        report("procession", rest),
        report("procession-cli", &of_runs),
    ];
    outcomes.into_iter().all(|ok| ok)
}

/// Has the tests of chance of a package print figures.
fn report(package: &str, options: &[&str]) -> bool {
    let mut arguments = vec!["test", "--release", "--package", package];
    arguments.extend(["--test", "chaos", "--", "--report"]);
    arguments.extend(options);
    cargo(&arguments)
}

/// Runs cargo in the workspace and says whether it succeeded.
fn cargo(arguments: &[&str]) -> bool {
    eprintln!("+ cargo {}", arguments.join(" "));
    let status = command_of_cargo().args(arguments).status();
    status.is_ok_and(|status| status.success())
}

/// Runs cargo with some variables set.
fn cargo_with(arguments: &[&str], environment: &[(&str, &str)]) -> bool {
    let set: Vec<String> = environment
        .iter()
        .map(|(name, value)| format!("{name}='{value}'"))
        .collect();
    eprintln!("+ {} cargo {}", set.join(" "), arguments.join(" "));
    let mut command = command_of_cargo();
    command.args(arguments).envs(environment.iter().copied());
    command.status().is_ok_and(|status| status.success())
}

/// Cargo, in the workspace.
fn command_of_cargo() -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(ROOT);
    command
}

/// Where cargo builds, relative to the workspace.
fn target_directory() -> String {
    std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned())
}

fn test(arguments: &[String]) -> bool {
    let missing = missing_after_install();
    let ok = if arguments.is_empty() {
        suites::run()
    } else {
        // One failure hides no other.
        let mut command = vec!["test", "--workspace", "--no-fail-fast"];
        command.extend(arguments.iter().map(String::as_str));
        cargo(&command)
    };
    for program in missing {
        eprintln!("\nNOT TESTED: what needs {program}. Install it and run the tests again.");
    }
    ok
}

/// Compiles the algorithms against loom's atomics, in a directory of their own,
/// and goes through the models.
fn models() -> bool {
    let arguments = [
        "test",
        "--release",
        "--package",
        "procession-core",
        "--test",
        "loom",
    ];
    let directory = format!("{}/loom", target_directory());
    let environment = [
        ("RUSTFLAGS", "--cfg loom"),
        ("CARGO_TARGET_DIR", &directory),
    ];
    cargo_with(&arguments, &environment)
}

/// Programs that optional tests need, with their Debian packages.
const OPTIONAL: &[(&str, &str)] = &[("redis-server", "redis-server"), ("ip", "iproute2")];

/// Installs what is missing, where we may; what is missing after that.
fn missing_after_install() -> Vec<&'static str> {
    let missing = || {
        OPTIONAL
            .iter()
            .filter(|(program, _)| !is_installed(program))
    };
    let packages: Vec<&str> = missing().map(|(_, package)| *package).collect();
    if !packages.is_empty() && is_root() && is_installed("apt-get") {
        eprintln!("+ apt-get install {}", packages.join(" "));
        let apt_get = |arguments: &[&str]| {
            Command::new("apt-get")
                .args(arguments)
                .env("DEBIAN_FRONTEND", "noninteractive")
                // Installed to be run by the tests, not as a service.
                .env("RUNLEVEL", "1")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        };
        let install = [
            &["install", "--yes", "--no-install-recommends"],
            &packages[..],
        ]
        .concat();
        let _ = apt_get(&install) || apt_get(&["update"]) && apt_get(&install);
    }
    let missing: Vec<&str> = missing().map(|(program, _)| *program).collect();
    for program in &missing {
        eprintln!("note: {program} is not installed; the tests that need it say NOT TESTED");
    }
    missing
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status.lines().any(|line| {
            line.strip_prefix("Uid:")
                .is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0"))
        })
    })
}
