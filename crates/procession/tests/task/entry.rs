//! How a process comes to its task: programs with and without `init`, and
//! those that cannot be executed anew. The programs are this binary with
//! another `main`, chosen by an environment variable.

use crate::{by, family, forged};
use procession::ErrorKind;
use procession::process::{self, StartMethod, Task, TaskError};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const FIXTURE: &str = "PROCESSION_TEST_FIXTURE";

/// This binary, as another program.
pub(crate) fn fixture(name: &str) -> Command {
    program(&std::env::current_exe().unwrap(), name)
}

fn program(path: &Path, name: &str) -> Command {
    let mut command = Command::new(path);
    command.env(FIXTURE, name).stdin(Stdio::null());
    command
}

/// The `main` of such a program; whether this is one.
pub(crate) fn run_fixture() -> bool {
    let Ok(name) = std::env::var(FIXTURE) else {
        return false;
    };
    match name.as_str() {
        "start-tasks-for-ever" => family::start_tasks_for_ever(),
        "offer-tasks" => forged::offer_tasks(),
        "refused" => crate::refused::live_without_a_call(),
        "square" => square_in_each_way(),
        "late" => late(),
        "before" => before(),
        "init" => with_init(),
        other => panic!("there is no fixture {other}"),
    }
    true
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    format!("{text}{error}")
}

/// Prints a square for each method, or why there is none.
fn square_in_each_way() {
    for method in [StartMethod::ForkServer, StartMethod::Spawn] {
        if let Some(path) = std::env::var_os("PROCESSION_TEST_DELETE") {
            let _ = std::fs::remove_file(path);
        }
        if let Some(path) = std::env::var_os("PROCESSION_TEST_REPLACE") {
            let other = Path::new(&path).with_extension("other");
            std::fs::write(&other, "#!/bin/false\n").unwrap();
            std::fs::rename(other, path).unwrap();
        }
        let builder = match std::env::var_os("PROCESSION_TEST_CHANGE") {
            Some(value) => by(method).env("PROCESSION_TEST_CHANGED", value),
            None => by(method),
        };
        match builder.spawn(|x: u32| x * x, 9) {
            Ok(mut task) => println!("{method}: {}", task.join().unwrap()),
            Err(error) => println!("{method}: {error}; try: {:?}", error.hint()),
        }
    }
}

/// A copy of this binary, in a directory that goes with the value.
fn copy() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &path).unwrap();
    (directory, path)
}

const SQUARES: &str = "forkserver: 81\nspawn: 81\n";

pub(crate) fn a_program_replaced_or_deleted_still_starts_tasks() {
    let (_directory, path) = copy();
    let mut deletes = program(&path, "square");
    deletes.env("PROCESSION_TEST_DELETE", &path);
    assert_eq!(output(&mut deletes), SQUARES);
    assert!(!path.exists());
    // Replaced by another program under the same name.
    std::fs::copy(std::env::current_exe().unwrap(), &path).unwrap();
    let mut replaces = program(&path, "square");
    replaces.env("PROCESSION_TEST_REPLACE", &path);
    assert_eq!(output(&mut replaces), SQUARES);
    assert_eq!(std::fs::read(&path).unwrap(), b"#!/bin/false\n");
}

pub(crate) fn a_variable_that_leaked_is_harmless() {
    for leaked in [
        "1 server 00000000000000000000000000000001",
        "1 task 1 0 00000000000000000000000000000001",
        "1 task 1 9 00000000000000000000000000000001",
        "2 server 1",
        "nonsense",
        "",
    ] {
        let mut command = fixture("square");
        command.env("PROCESSION_BOOT", leaked);
        assert_eq!(output(&mut command), SQUARES, "{leaked:?}");
        // Nor with a socket as standard input that somebody else talks on.
        let (ours, theirs) = procession::os::socket::SeqPacket::pair().unwrap();
        ours.send(&[3; 64]).unwrap();
        command.stdin(std::os::fd::OwnedFd::from(theirs));
        assert_eq!(output(&mut command), SQUARES, "{leaked:?}");
    }
}

pub(crate) fn a_variable_with_an_impossible_name_is_harmless() {
    for has_changes in [false, true] {
        let mut command = fixture("square");
        // Nobody but execve can set it: its name has the `=` in front.
        command.env("=C:", "x");
        if has_changes {
            command.env("PROCESSION_TEST_CHANGE", "1");
        }
        assert_eq!(output(&mut command), SQUARES);
    }
}

/// A `main` that calls `init` the first time only.
fn late() {
    let mark = std::env::var_os("PROCESSION_TEST_MARK").unwrap();
    if Path::new(&mark).exists() {
        // What a program does that never comes to `init`.
        loop {
            std::thread::park();
        }
    }
    procession::init();
    std::fs::write(&mark, "").unwrap();
    let mut task = by(StartMethod::Spawn)
        .start_timeout(Duration::from_millis(100))
        .spawn(|()| (), ())
        .unwrap();
    match task.join().unwrap_err() {
        TaskError::NeverStarted(error, ..) => println!("{error}; try: {:?}", error.hint()),
        other => println!("{other}"),
    }
    // The other method does not need `main`.
    println!("{:?}", process::spawn(|()| 4, ()).unwrap().join().unwrap());
}

pub(crate) fn a_program_that_comes_late_to_init_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("mark");
    let said = output(fixture("late").env("PROCESSION_TEST_MARK", mark));
    assert!(said.contains("before the task began"), "{said}");
    assert!(said.contains("procession::init()"), "{said}");
    assert!(said.ends_with("4\n"), "{said}");
}

/// A `main` that starts tasks before it calls `init`.
fn before() {
    let mark = std::env::var_os("PROCESSION_TEST_MARK").unwrap();
    if Path::new(&mark).exists() {
        let refused = process::spawn(|()| (), ()).unwrap_err();
        std::fs::write(&mark, refused.to_string()).unwrap();
    }
    procession::init();
    std::fs::write(&mark, "").unwrap();
    let mut task = by(StartMethod::Spawn).spawn(|()| 6, ()).unwrap();
    println!("{:?}", task.join().unwrap());
    println!("{}", std::fs::read_to_string(&mark).unwrap());
}

pub(crate) fn a_program_that_spawns_before_init_is_refused_in_its_tasks() {
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("mark");
    let said = output(fixture("before").env("PROCESSION_TEST_MARK", mark));
    assert!(said.starts_with("6\n"), "{said}");
    assert!(said.contains("has not come to"), "{said}");
}

/// A `main` as the documentation has it.
fn with_init() {
    procession::init();
    println!("main");
    let name = |()| std::thread::current().name().map(str::to_owned);
    for method in [StartMethod::Spawn, StartMethod::ForkServer] {
        println!("{:?}", by(method).spawn(name, ()).unwrap().join().unwrap());
    }
}

pub(crate) fn a_program_with_init_runs_its_tasks_there() {
    // The runtime calls its thread so; before `main` it has no name.
    assert_eq!(output(&mut fixture("init")), "main\nSome(\"main\")\nNone\n");
}

pub(crate) fn an_explicit_loader_is_refused() {
    let Some(loader) = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"]
        .into_iter()
        .find(|path| Path::new(path).exists())
    else {
        println!("note: no dynamic loader here");
        return;
    };
    let mut command = Command::new(loader);
    command
        .arg(std::env::current_exe().unwrap())
        .env(FIXTURE, "square");
    let said = output(&mut command);
    assert!(said.contains("explicit dynamic loader"), "{said}");
    assert!(said.contains("start the program directly"), "{said}");
}

pub(crate) fn a_set_user_id_program_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let (directory, path) = copy();
    if !rustix::process::geteuid().is_root() {
        println!("note: only root can make a program set-user-id for another");
        return;
    }
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(directory.path(), 0o755);
    open(directory.path().parent().unwrap(), 0o755);
    open(directory.path().parent().unwrap().parent().unwrap(), 0o755);
    open(&path, 0o4755);
    let said = output(program(&path, "square").uid(65534).gid(65534));
    if said == SQUARES {
        println!("note: the file system of temporary files ignores set-user-id");
        return;
    }
    assert!(said.contains("more rights than its caller"), "{said}");
}

pub(crate) fn a_function_of_a_shared_library_is_refused() {
    // Whatever its type: it is only looked at, never called.
    let address = libc::getpid as *const ();
    // SAFETY: a function pointer made from the address of a function.
    let function = unsafe { std::mem::transmute::<*const (), fn(u8) -> u8>(address) };
    let error = Task::new(function).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("main program"), "{error}");
}
